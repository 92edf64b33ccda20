//! TLS to the server: what each `sslmode` accepts.

use super::server::{port, server};
use super::*;

/// Is the connection encrypted? Or why is there none?
async fn encrypted(database: &Database, host: &str, query: &str) -> Result<bool, StoreError> {
    let url = format!("postgresql://tollgate@{host}:{}/{}{query}", port(), database.name);
    let ledger = PostgresLedger::connect(&PostgresSettings::new(url))?;
    ledger
        .run("ssl", PoolLimit::Statement, async |client| {
            let ssl = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
            Ok(client.query_one(ssl, &[]).await?.try_get(0)?)
        })
        .await
}

fn roots(file: &str) -> String {
    format!("sslrootcert={}", server().join(file).display())
}

#[tokio::test]
async fn each_mode_connects_to_whom_it_trusts() {
    let database = Database::create().await;
    let ca = roots("ca.pem");
    let cases = [
        ("localhost", "?sslmode=disable".to_owned(), false),
        ("localhost", String::new(), true),
        ("127.0.0.1", "?sslmode=prefer".to_owned(), true),
        ("127.0.0.1", "?sslmode=require".to_owned(), true),
        ("127.0.0.1", format!("?sslmode=verify-ca&{ca}"), true),
        ("localhost", format!("?sslmode=verify-full&{ca}"), true),
        ("localhost", format!("?sslmode=require&{ca}"), true),
        ("localhost", format!("?{ca}"), true),
    ];
    for (host, query, expected) in cases {
        assert_eq!(encrypted(&database, host, &query).await.unwrap(), expected, "{host} {query}");
    }
}

#[tokio::test]
async fn who_is_not_trusted_stays_so() {
    let database = Database::create().await;
    let (ca, other) = (roots("ca.pem"), roots("other_ca.pem"));
    let cases = [
        ("127.0.0.1", format!("?sslmode=verify-full&{ca}"), "not valid for name"),
        ("127.0.0.1", format!("?{ca}"), "not valid for name"),
        ("localhost", format!("?sslmode=verify-full&{other}"), "invalid peer certificate"),
        ("localhost", format!("?sslmode=verify-ca&{other}"), "invalid peer certificate"),
        ("localhost", "?sslmode=verify-full".to_owned(), "invalid peer certificate"),
    ];
    for (host, query, expected) in cases {
        let error = encrypted(&database, host, &query).await.unwrap_err();
        assert!(error.message.contains(expected), "{host} {query}: {error}");
        assert!(!error.transient, "{host} {query}: {error}");
    }
}

#[tokio::test]
async fn roots_that_cannot_be_read_are_named() {
    let database = Database::create().await;
    for file in ["none.pem", "port"] {
        let error = encrypted(&database, "localhost", &format!("?{}", roots(file))).await.unwrap_err();
        assert!(error.message.contains(&format!("{file}` cannot be read: ")), "{error}");
        assert!(!error.transient);
    }
}
