//! By which plans the statements run, and how fast batches go in.

use super::*;
use crate::clock::Stopwatch;
use crate::store::ledger_suite::{assert_conserved, entry};

/// Rows of 200 users in three months, seen by the planner.
async fn filled() -> Server {
    let server = server().await;
    for month in ["2026-10", "2026-11", "2026-12"] {
        let batch: Vec<Entry> = (0..2_000)
            .map(|at| Entry { month: month.to_owned(), ..entry(&format!("user-{}", at % 200)) })
            .collect();
        server.ledger.ingest(&batch).await.unwrap();
    }
    server.execute("ANALYZE message_logs; ANALYZE user_usage").await.unwrap();
    server
}

async fn plan(server: &Server, statement: &str) -> String {
    let explain = format!("EXPLAIN (COSTS OFF) {statement}");
    let lines = server
        .ledger
        .run("explain", PoolLimit::Statement, async |client| {
            let rows = client.query(&explain, &[]).await?;
            Ok(rows.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>())
        })
        .await
        .unwrap();
    lines.join("\n")
}

/// What runs while users wait touches only the rows it needs, in every month.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hot_statements_read_by_index() {
    let server = filled().await;
    let load = sql::read::load_statement::<Pg<'_, Object>>()
        .replace("$1", "'user:user-7'")
        .replace("$2", "0")
        .replace("$3", "300000");
    let statements = [
        load.as_str(),
        &sql::read::LAST_SEEN.replace("$1", "'user-7'"),
        "SELECT * FROM message_logs WHERE request_id = 'req-7'",
    ];
    for statement in statements {
        let plan = plan(&server, statement).await;
        for table in ["message_logs_2026_10", "message_logs_2026_11", "message_logs_2026_12", "user_usage"] {
            assert!(!plan.contains(&format!("Seq Scan on {table}")), "{plan}");
        }
        assert!(plan.contains("Index"), "{plan}");
    }
}

/// One user's page of the audit log is found by index, however long the log is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_done_to_one_user_is_read_by_index() {
    let server = server().await;
    let fill = "INSERT INTO audit_log
        SELECT at, at, 'root', 'usage.reset', 'user-' || at % 5000, '', '{}', ''::bytea, ''::bytea
        FROM generate_series(1, 20000) AS at; ANALYZE audit_log";
    server.execute(fill).await.unwrap();
    let values = ["NULL::bigint", "NULL::bigint", "NULL::text", "NULL::text", "51", "'user-7'"];
    let page = values.iter().enumerate().fold(sql::audit::page_statement(true), |page, (at, value)| {
        page.replace(&format!("${}", at + 1), value)
    });
    let plan = plan(&server, &page).await;
    assert!(plan.contains("audit_log_subject"), "{plan}");
}

/// The suite's four writers would not notice: a statement that met a deadlock is sent again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_meet_no_deadlock() {
    let server = server().await;
    for _ in 0..3 {
        server.execute("TRUNCATE message_logs, user_usage, usage_days, usage_day_users, usage_month_users, usage_day_teams, usage_actives").await.unwrap();
        crate::store::ledger_suite::four_writers_of_the_same_rows_lose_nothing(&server).await;
    }
    // A session adds its figures when it ends.
    server.ledger.close();
    let mut met = None;
    for _ in 0..50 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        let (client, connection) =
            tokio_postgres::connect(&server.database.url(), tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        let figures =
            "SELECT deadlocks, xact_commit FROM pg_stat_database WHERE datname = current_database()";
        let row = client.query_one(figures, &[]).await.unwrap();
        if row.get::<_, i64>(1) >= 60 {
            met = Some(row.get::<_, i64>(0));
            break;
        }
    }
    assert_eq!(met, Some(0));
}

/// A measurement: `cargo nextest run --run-ignored only batches_of_five_hundred --no-capture`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn batches_of_five_hundred() {
    let server = server().await;
    server.ledger.ingest(&[entry("warm")]).await.unwrap();
    let batches: Vec<Vec<Entry>> =
        (0..40).map(|_| (0..500).map(|at| entry(&format!("user-{}", at % 300))).collect()).collect();
    for writers in [1, 4] {
        let started = Stopwatch::start();
        let tasks: Vec<_> = (0..writers)
            .map(|writer| {
                let ledger = server.ledger.clone();
                let mine: Vec<Vec<Entry>> = batches.iter().skip(writer).step_by(writers).cloned().collect();
                tokio::spawn(async move {
                    for mut batch in mine {
                        for row in &mut batch {
                            row.id = crate::clock::Clock::system().request_id();
                        }
                        ledger.ingest(&batch).await.unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let rows_per_s = 20_000.0 / started.elapsed().as_secs_f64();
        println!("{writers} writers: {rows_per_s:.0} rows/s");
    }
    assert_conserved(&server).await;
}
