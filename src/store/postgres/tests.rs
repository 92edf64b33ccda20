//! The ledger suite on a real PostgreSQL, and what only a server can do wrong.

mod faults;
mod server;
mod speed;
mod tls;
mod year;

use super::*;
use crate::store::ledger_suite::{Bench, ledger_suite};

use self::server::Database;

pub(super) struct Server {
    pub database: Database,
    pub ledger: PostgresLedger,
}

#[async_trait]
impl Bench for Server {
    type Store = PostgresLedger;

    fn ledger(&self) -> &PostgresLedger {
        &self.ledger
    }

    async fn execute(&self, sql: &str) -> Result<(), String> {
        self.database.execute(sql).await
    }

    async fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        self.database.rows(sql).await
    }

    async fn audit_log(&self) -> Vec<AuditRecord> {
        self.ledger.audit_log(0, 100).await.unwrap()
    }

    fn histories(&self) -> u32 {
        32
    }
}

pub(super) async fn server() -> Server {
    let database = Database::create().await;
    let ledger = PostgresLedger::connect(&PostgresSettings::new(database.url())).unwrap();
    ledger.migrate().await.unwrap();
    Server { database, ledger }
}

ledger_suite!(server);
