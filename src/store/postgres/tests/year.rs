//! By which plans a year of analytics is read, and how fast.

use super::*;
use crate::clock::Stopwatch;

/// A year of 1,500 users a day out of 10,000, 18 messages each: 10 million messages, as the roll-ups keep them.
const YEAR: &str = "
    INSERT INTO usage_day_users
    SELECT to_char(date '2025-11-25' + day, 'YYYY-MM-DD'), 'user-' || (day * 37 + number * 6) % 10000, 18, 3, 9000, 4000, 100, 70
    FROM generate_series(0, 364) AS day, generate_series(0, 1499) AS number ON CONFLICT DO NOTHING;
    INSERT INTO usage_month_users
    SELECT left(day, 7), user_id, sum(messages), sum(premium_messages), sum(input_tokens), sum(output_tokens),
        sum(cached_tokens), sum(cost_micro_usd)
    FROM usage_day_users GROUP BY 1, 2;
    INSERT INTO usage_actives SELECT 'day', day, count(*) FROM usage_day_users GROUP BY day;
    INSERT INTO usage_actives SELECT 'month', month, count(*) FROM usage_month_users GROUP BY month;
    INSERT INTO usage_actives SELECT 'week', to_char(date_trunc('week', day::timestamp), 'YYYY-MM-DD'), count(DISTINCT user_id)
    FROM usage_day_users GROUP BY 2;
    INSERT INTO usage_days
    SELECT to_char(date '2025-11-25' + day, 'YYYY-MM-DD'), 'model-' || model, 'plan-' || plan, 450, 75, 1, 1, 1, 1
    FROM generate_series(0, 364) AS day, generate_series(1, 20) AS model, generate_series(1, 3) AS plan;
    INSERT INTO usage_day_outcomes
    SELECT to_char(date '2025-11-25' + day, 'YYYY-MM-DD'), 'model-' || model, outcome, 675
    FROM generate_series(0, 364) AS day, generate_series(1, 20) AS model, unnest(ARRAY['ok', 'upstream_error']) AS outcome;
    INSERT INTO usage_day_latencies
    SELECT to_char(date '2025-11-25' + day, 'YYYY-MM-DD'), measure, 250 * bound, 540
    FROM generate_series(0, 364) AS day, unnest(ARRAY['duration', 'first_byte']) AS measure, generate_series(1, 25) AS bound;
    ANALYZE;";

fn year() -> (Day, Day) {
    (Day::parse("2025-11-25").unwrap(), Day::parse("2026-11-24").unwrap())
}

/// The statement with its parameters in their places.
fn top_users(from: &Day, to: &Day) -> String {
    let pieces = sql::analytics::pieces(from, to);
    pieces.iter().enumerate().fold(sql::analytics::top_users_statement(), |statement, (at, piece)| {
        statement.replace(&format!("${}", at + 1), &format!("'{}'", piece.text()))
    })
}

/// The users of a year are read from its whole months and the days at its ends: by index, and never from the rows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_year_is_read_from_months_and_a_few_days() {
    let server = server().await;
    server.execute(YEAR).await.unwrap();
    let (from, to) = year();
    let statement = top_users(&from, &to);
    let plan = server.database.rows(&format!("EXPLAIN (COSTS OFF) {statement}")).await;
    let plan = plan.concat().join("\n");
    assert!(plan.contains("Index") && !plan.contains("Seq Scan on usage_day_users"), "{plan}");
    assert!(!plan.contains("message_logs"), "{plan}");
    let found = server.ledger.analytics(&from, &to).await.unwrap();
    assert_eq!((found.days.len(), found.by_model.len(), found.active_users.day), (365, 20, 1_500));
    let sums = server.database.rows("SELECT sum(messages) FROM usage_days").await;
    assert_eq!(found.days.iter().map(|day| day.sums.messages).sum::<u64>().to_string(), sums[0][0]);
}

/// A measurement: `cargo test --lib a_year_of_ten_million -- --ignored --nocapture`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn a_year_of_ten_million_messages() {
    let server = server().await;
    server.execute(YEAR).await.unwrap();
    let (from, to) = year();
    let statement = top_users(&from, &to);
    let plan = server.database.rows(&format!("EXPLAIN (ANALYZE, COSTS OFF) {statement}")).await;
    println!("postgres, the plan of the users:\n{}", plan.concat().join("\n"));
    for range in ["cold", "warm", "warm"] {
        let started = Stopwatch::start();
        let found = server.ledger.analytics(&from, &to).await.unwrap();
        println!("postgres, {range}: {} ms, {} users", started.elapsed_ms(), found.active_users.range);
    }
}
