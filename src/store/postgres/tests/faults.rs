//! What goes wrong between a gateway and its database.

use std::time::Duration;

use super::*;
use crate::quota::Domain;
use crate::store::ledger_suite::{assert_conserved, entry};

fn settings(url: String) -> PostgresSettings {
    PostgresSettings { pool_size: 1, ..PostgresSettings::new(url) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateways_that_start_at_once_upgrade_once() {
    let database = Database::create().await;
    let starts: Vec<_> = (0..4)
        .map(|_| {
            let ledger = PostgresLedger::connect(&settings(database.url())).unwrap();
            tokio::spawn(async move {
                ledger.migrate().await.unwrap();
                ledger.ensure_partitions(crate::clock::Clock::system().now_ms()).await.unwrap();
                ledger.verify_schema().await.unwrap();
            })
        })
        .collect();
    for start in starts {
        start.await.unwrap();
    }
}

#[tokio::test]
async fn a_database_without_tables_says_what_to_do() {
    let database = Database::create().await;
    let ledger = PostgresLedger::connect(&settings(database.url())).unwrap();
    let error = ledger.verify_schema().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "postgres verify_schema: the tables have version 0, this program needs 1: run `tollgate migrate`"
    );
    assert!(!error.transient);
    assert!(!ledger.load(&Domain::user("ada"), 0).await.unwrap_err().transient);
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let server = server().await;
    let newer = "INSERT INTO refinery_schema_history (version, name, applied_on, checksum)
                 VALUES (99, 'later', '2027-01-01T00:00:00Z', '1')";
    server.execute(newer).await.unwrap();
    let error = server.ledger.migrate().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "postgres migrate: the tables have version 99, this program knows 1: use a newer `tollgate`"
    );
    assert!(!error.transient);
}

/// The server ends every session, as it does on a restart: one call fails, the next goes through.
#[tokio::test]
async fn lost_connections_pass() {
    let server = server().await;
    server.ledger.ping().await.unwrap();
    let kill = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}' AND pid <> pg_backend_pid()",
        server.database.name
    );
    server.execute(&kill).await.unwrap();
    let row = entry("ada");
    let batch = std::slice::from_ref(&row);
    if let Err(error) = server.ledger.ingest(batch).await {
        assert!(error.transient, "{error}");
    }
    let again = server.ledger.ingest(batch).await.unwrap();
    assert_eq!(again.inserted + again.duplicates, 1);
    assert_conserved(&server).await;
}

#[tokio::test]
async fn a_server_that_is_not_there_passes() {
    for url in [
        "postgresql://tollgate:s3cr%65t-word@127.0.0.1:9/db",
        "host=/nonexistent user=tollgate password=s3cret-word",
    ] {
        let ledger = PostgresLedger::connect(&settings(url.to_owned())).unwrap();
        let error = ledger.ping().await.unwrap_err();
        assert!(error.transient, "{error}");
        assert!(!format!("{error} {error:?} {ledger:?}").contains("s3cret-word"), "{error:?}");
    }
}

#[tokio::test]
async fn wrong_names_stay_and_show_no_password() {
    let database = Database::create().await;
    for (from, to) in [("user=tollgate", "user=nobody"), ("dbname=", "dbname=not")] {
        let url = format!("{} password=s3cret-word", database.url().replace(from, to));
        let error = PostgresLedger::connect(&settings(url)).unwrap().ping().await.unwrap_err();
        assert!(!error.transient, "{error}");
        assert!(!format!("{error} {error:?}").contains("s3cret-word"), "{error:?}");
    }
}

/// A statement that runs too long is stopped by the server, its connection can be used again.
#[tokio::test]
async fn statements_are_bounded() {
    let server = server().await;
    let url = server.database.url();
    let short = PostgresSettings { statement_timeout_ms: 300, ..settings(url) };
    let ledger = PostgresLedger::connect(&short).unwrap();
    server.ledger.ensure_partitions(1_794_744_000_000).await.unwrap();
    server.ledger.ingest(&[entry("ada")]).await.unwrap();
    let (client, connection) =
        tokio_postgres::connect(&server.database.url(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("BEGIN; LOCK user_usage IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let row = entry("ada");
    let error = ledger.ingest(std::slice::from_ref(&row)).await.unwrap_err();
    assert!(error.transient && error.message.contains("statement timeout"), "{error}");
    assert_eq!(ledger.open_connections(), 1, "it is kept");
    client.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(ledger.ingest(&[row]).await.unwrap().inserted, 1);
    assert_conserved(&server).await;
}

#[tokio::test]
async fn a_full_pool_is_waited_for_and_passes() {
    let server = server().await;
    let short = PostgresSettings { pool_wait_ms: 50, ..settings(server.database.url()) };
    let ledger = PostgresLedger::connect(&short).unwrap();
    let lease = ledger.0.connections.lease().await.unwrap();
    let error = ledger.ping().await.unwrap_err();
    assert_eq!(error.to_string(), "postgres ping: all connections are busy");
    assert!(error.transient);
    drop(lease);
    ledger.ping().await.unwrap();
}

/// A caller that leaves in the middle of a statement must not leave its answer to the next.
#[tokio::test]
async fn a_connection_given_up_half_way_is_not_used_again() {
    let server = server().await;
    let ledger = PostgresLedger::connect(&settings(server.database.url())).unwrap();
    let pid = async || {
        ledger
            .run("pid", PoolLimit::Statement, async |client| {
                Ok(client.query_one("SELECT pg_backend_pid()", &[]).await?.try_get::<_, i32>(0)?)
            })
            .await
            .unwrap()
    };
    let first = pid().await;
    assert_eq!(pid().await, first, "a sound connection is used again");
    let slow = ledger.run("sleep", PoolLimit::Statement, async |client| {
        Ok(client.batch_execute("SELECT pg_sleep(5)").await?)
    });
    tokio::time::timeout(Duration::from_millis(100), slow).await.unwrap_err();
    assert_ne!(pid().await, first);
}

/// An archive dropped a month while the gateway ran: a late row makes it again.
#[tokio::test]
async fn a_dropped_partition_is_made_again() {
    let server = server().await;
    let ledger = &server.ledger;
    ledger.ingest(&[entry("ada")]).await.unwrap();
    let rolled_up = "usage_days, usage_day_users, usage_month_users, usage_week_users, usage_users, usage_actives, usage_day_outcomes, usage_day_latencies";
    server
        .execute(&format!("DROP TABLE message_logs_2026_11; TRUNCATE user_usage, {rolled_up}"))
        .await
        .unwrap();
    assert_eq!(ledger.ingest(&[entry("ada")]).await.unwrap().inserted, 1);
    assert_conserved(&server).await;
}

#[tokio::test]
async fn partitions_stand_ahead_of_time() {
    let server = server().await;
    server.ledger.ensure_partitions(1_794_744_000_000).await.unwrap();
    server.ledger.ensure_partitions(1_794_744_000_000).await.unwrap();
    let (client, connection) =
        tokio_postgres::connect(&server.database.url(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let rows = client
        .query("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'message_logs'::regclass ORDER BY 1", &[])
        .await
        .unwrap();
    let names: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(
        names,
        [
            "message_logs_2026_11",
            "message_logs_2026_12",
            "message_logs_2027_01",
            "message_logs_2027_02",
            "message_logs_unknown"
        ]
    );
    let indexes: i64 = client
        .query_one("SELECT count(*) FROM pg_indexes WHERE tablename = 'message_logs_2027_02'", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(indexes, 4, "the key and three indexes");
}

#[tokio::test]
async fn the_timeline_is_the_incarnation() {
    let server = server().await;
    assert_eq!(server.ledger.ingest(&[entry("ada")]).await.unwrap().incarnation, 1);
}

/// A managed server may hide its timeline: the ledger works without.
#[tokio::test]
async fn a_hidden_timeline_is_done_without() {
    let server = server().await;
    let role = format!("r{}", server.database.name);
    let limited = format!(
        "CREATE ROLE {role} LOGIN; GRANT ALL ON SCHEMA public TO {role};
         GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}; ALTER TABLE message_logs OWNER TO {role};
         REVOKE EXECUTE ON FUNCTION pg_walfile_name(pg_lsn) FROM PUBLIC"
    );
    server.execute(&limited).await.unwrap();
    let url = server.database.url().replace("user=tollgate", &format!("user={role}"));
    let ledger = PostgresLedger::connect(&settings(url)).unwrap();
    for _ in 0..2 {
        let ingested = ledger.ingest(&[entry("ada")]).await.unwrap();
        assert_eq!((ingested.inserted, ingested.incarnation), (1, 0));
    }
}

/// A standby, or a primary that became one, takes no writes: the batch waits and the connection is not kept.
#[tokio::test]
async fn a_read_only_server_passes() {
    let server = server().await;
    server.ledger.ingest(&[entry("ada")]).await.unwrap();
    let name = &server.database.name;
    server.execute(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on")).await.unwrap();
    let ledger = PostgresLedger::connect(&settings(server.database.url())).unwrap();
    let row = entry("ada");
    let error = ledger.ingest(std::slice::from_ref(&row)).await.unwrap_err();
    assert!(error.transient && error.message.contains("25006"), "{error}");
    let write =
        format!("SET transaction_read_only = off; ALTER DATABASE {name} RESET default_transaction_read_only");
    server.execute(&write).await.unwrap();
    assert_eq!(ledger.ingest(&[row]).await.unwrap().inserted, 1, "it kept the connection");
}

#[tokio::test]
async fn a_database_that_is_not_utf8_is_refused() {
    let database = Database::create().await;
    let latin = format!("{}_latin", database.name);
    database
        .execute(&format!("CREATE DATABASE {latin} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"))
        .await
        .unwrap();
    let url = database.url().replace(&database.name, &latin);
    let error = PostgresLedger::connect(&settings(url)).unwrap().ping().await.unwrap_err();
    assert_eq!(error.to_string(), "postgres ping: the database has the encoding `LATIN1`, `UTF8` is needed");
    assert!(!error.transient);
}

#[tokio::test]
async fn an_acknowledged_batch_is_on_disk() {
    let server = server().await;
    let name = &server.database.name;
    server.execute(&format!("ALTER DATABASE {name} SET synchronous_commit = off")).await.unwrap();
    let ledger = PostgresLedger::connect(&settings(server.database.url())).unwrap();
    let setting = ledger
        .run("setting", PoolLimit::Statement, async |client| {
            Ok(client.query_one("SHOW synchronous_commit", &[]).await?.try_get::<_, String>(0)?)
        })
        .await
        .unwrap();
    assert_eq!(setting, "on");
}
