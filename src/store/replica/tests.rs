//! Which of the two is read.

use std::path::PathBuf;
use std::sync::Arc;

use super::Reads;
use crate::clock::Clock;
use crate::store::ledger_suite::entry;
use crate::store::sqlite::SqliteLedger;
use crate::store::{Day, Ledger};

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("tollgate-reads-{}", Clock::system().request_id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    async fn ledger(&self, name: &str, users: &[&str]) -> Arc<dyn Ledger> {
        let ledger = SqliteLedger::open(&self.0.join(name)).unwrap();
        ledger.migrate().await.unwrap();
        let batch: Vec<_> = users.iter().map(|user| entry(user)).collect();
        ledger.ingest(&batch).await.unwrap();
        Arc::new(ledger)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

async fn seen(reads: &Reads) -> (usize, usize) {
    let day = Day::parse("2026-11-15").unwrap();
    let users = reads.analytics(&day, &day).await.unwrap().top_users.len();
    (users, reads.history("ada", 6).await.unwrap().len())
}

#[tokio::test]
async fn the_replica_is_read_where_there_is_one() {
    let folder = Folder::new();
    let primary = folder.ledger("primary", &["ada", "ben"]).await;
    let replica = folder.ledger("replica", &["cyd"]).await;
    assert_eq!(seen(&Reads::new(Arc::clone(&primary), None)).await, (2, 1));
    let reads = Reads::new(primary, Some(replica));
    assert_eq!(seen(&reads).await, (1, 0));
    assert_eq!(reads.replica_failures(), 0);
}

#[tokio::test]
async fn a_replica_that_fails_is_counted_and_the_ledger_answers() {
    let folder = Folder::new();
    let primary = folder.ledger("primary", &["ada", "ben"]).await;
    let without_tables = SqliteLedger::open(&folder.0.join("empty")).unwrap();
    let reads = Reads::new(primary, Some(Arc::new(without_tables)));
    assert_eq!(seen(&reads).await, (2, 1));
    assert_eq!(reads.replica_failures(), 2);
}
