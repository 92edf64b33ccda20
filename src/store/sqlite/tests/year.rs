//! How fast a year of analytics is read from a file.

use super::file;
use crate::clock::Stopwatch;
use crate::store::day::Day;
use crate::store::ledger::Ledger;
use crate::store::ledger_suite::Bench;

/// A year of 1,500 users a day out of 10,000, 18 messages each: 10 million messages, as the roll-ups keep them.
const YEAR: &str = "
    WITH RECURSIVE days(day) AS (SELECT 0 UNION ALL SELECT day + 1 FROM days WHERE day < 364),
        numbers(number) AS (SELECT 0 UNION ALL SELECT number + 1 FROM numbers WHERE number < 1499)
    INSERT OR IGNORE INTO usage_day_users
    SELECT date('2025-11-25', day || ' days'), 'user-' || ((day * 37 + number * 6) % 10000), 18, 3, 9000, 4000, 100, 70
    FROM days, numbers;
    INSERT INTO usage_month_users
    SELECT substr(day, 1, 7), user_id, sum(messages), sum(premium_messages), sum(input_tokens), sum(output_tokens),
        sum(cached_tokens), sum(cost_micro_usd)
    FROM usage_day_users GROUP BY 1, 2;
    INSERT INTO usage_actives SELECT 'day', day, count(*) FROM usage_day_users GROUP BY day;";

/// A measurement: `cargo test --lib a_year_of_ten_million -- --ignored --nocapture`.
#[tokio::test]
#[ignore = "a measurement"]
async fn a_year_of_ten_million_messages() {
    let file = file().await;
    file.execute(YEAR).await.unwrap();
    let (from, to) = (Day::parse("2025-11-25").unwrap(), Day::parse("2026-11-24").unwrap());
    for range in ["cold", "warm", "warm"] {
        let started = Stopwatch::start();
        let found = file.ledger.analytics(&from, &to).await.unwrap();
        println!("sqlite, {range}: {} ms, {} users", started.elapsed_ms(), found.active_users.range);
    }
}
