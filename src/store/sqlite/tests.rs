//! The ledger suite on SQLite, and what only a file can do wrong.

mod year;

use std::path::PathBuf;

use rusqlite::types::ValueRef;

use super::*;
use crate::clock::Clock;
use crate::store::ledger_suite::{Bench, entry, ledger_suite};

struct File {
    folder: PathBuf,
    ledger: SqliteLedger,
}

impl Drop for File {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).unwrap();
    }
}

#[async_trait]
impl Bench for File {
    type Store = SqliteLedger;

    fn ledger(&self) -> &SqliteLedger {
        &self.ledger
    }

    async fn execute(&self, sql: &str) -> Result<(), String> {
        let writer = self.ledger.writer.lock().unwrap();
        writer.execute_batch(sql).map_err(|error| error.to_string())
    }

    async fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        let writer = self.ledger.writer.lock().unwrap();
        let mut query = writer.prepare(sql).unwrap();
        let columns = query.column_count();
        let text = |row: &rusqlite::Row<'_>, at| match row.get_ref(at).unwrap() {
            ValueRef::Null => String::new(),
            ValueRef::Integer(number) => number.to_string(),
            ValueRef::Text(text) => String::from_utf8(text.to_vec()).unwrap(),
            other => panic!("{other:?} in a test's query"),
        };
        let rows = query.query_map([], |row| Ok((0..columns).map(|at| text(row, at)).collect())).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    }

    async fn audit_log(&self) -> Vec<AuditRecord> {
        self.ledger.audit_log(0, 100).await.unwrap()
    }

    fn histories(&self) -> u32 {
        64
    }
}

fn folder() -> PathBuf {
    let folder = std::env::temp_dir().join(format!("tollgate-sqlite-{}", Clock::system().request_id()));
    std::fs::create_dir(&folder).unwrap();
    folder
}

async fn file() -> File {
    let folder = folder();
    let ledger = SqliteLedger::open(&folder.join("ledger.db")).unwrap();
    ledger.migrate().await.unwrap();
    File { folder, ledger }
}

ledger_suite!(file);

#[tokio::test]
async fn what_was_written_is_there_after_opening_again() {
    let file = file().await;
    let row = entry("ada");
    file.ledger.ingest(std::slice::from_ref(&row)).await.unwrap();
    let again = SqliteLedger::open(&file.folder.join("ledger.db")).unwrap();
    again.migrate().await.unwrap();
    again.verify_schema().await.unwrap();
    assert_eq!(again.ingest(&[row]).await.unwrap().duplicates, 1);
    let synchronous: i64 =
        again.writer.lock().unwrap().query_row("PRAGMA synchronous", [], |row| row.get(0)).unwrap();
    assert_eq!(synchronous, 2, "FULL: an acknowledged batch survives a power cut");
}

#[tokio::test]
async fn a_file_without_tables_says_what_to_do() {
    let folder = folder();
    let ledger = SqliteLedger::open(&folder.join("ledger.db")).unwrap();
    let error = ledger.verify_schema().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "sqlite verify_schema: the tables have version 0, this program needs 1: run `tollgate migrate`"
    );
    assert!(!error.transient);
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn a_newer_file_is_refused() {
    let file = file().await;
    let newer = "INSERT INTO refinery_schema_history (version, name, applied_on, checksum)
                 VALUES (99, 'later', '2027-01-01T00:00:00Z', '1')";
    file.execute(newer).await.unwrap();
    let path = file.folder.join("ledger.db");
    let error = SqliteLedger::open(&path).unwrap_err();
    let expected = format!(
        "sqlite open: `{}`: the tables have version 99, this program knows 1: use a newer `tollgate`",
        path.display()
    );
    assert_eq!((error.to_string(), error.transient), (expected, false));
    assert!(!file.ledger.migrate().await.unwrap_err().transient);
}

#[tokio::test]
async fn a_path_that_cannot_be_written_is_refused_at_once() {
    let folder = folder();
    let not_there = SqliteLedger::open(&folder.join("none/ledger.db")).unwrap_err();
    assert!(not_there.message.contains("none/ledger.db`: "), "{not_there}");
    assert!(!not_there.transient);
    let a_folder = SqliteLedger::open(&folder).unwrap_err();
    assert!(!a_folder.transient, "{a_folder}");
    let no_database = folder.join("notes.txt");
    std::fs::write(&no_database, "x".repeat(4_096)).unwrap();
    let error = SqliteLedger::open(&no_database).unwrap_err();
    assert!(error.message.contains("not a database"), "{error}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn a_lock_held_elsewhere_passes() {
    let file = file().await;
    let other = Connection::open(file.folder.join("ledger.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    file.ledger.writer.lock().unwrap().busy_timeout(Duration::from_millis(20)).unwrap();
    let row = entry("ada");
    let error = file.ledger.ingest(std::slice::from_ref(&row)).await.unwrap_err();
    assert!(error.transient, "{error}");
    assert!(file.ledger.ping().await.unwrap_err().transient);
    let domain = Domain::user("ada");
    assert_eq!(file.ledger.load(&domain, 0).await.unwrap(), DomainTotals::default(), "reads go on");
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(file.ledger.ingest(&[row]).await.unwrap().inserted, 1);
}

#[tokio::test]
async fn a_batch_is_whole_or_not_there() {
    let file = file().await;
    file.execute("CREATE TRIGGER fail BEFORE INSERT ON user_usage BEGIN SELECT RAISE(ABORT, 'no'); END")
        .await
        .unwrap();
    let batch = [entry("ada"), entry("ben")];
    let error = file.ledger.ingest(&batch).await.unwrap_err();
    assert!(!error.transient, "{error}");
    assert_eq!(file.ledger.totals().await.unwrap(), LedgerTotals::default());
    file.execute("DROP TRIGGER fail").await.unwrap();
    assert_eq!(file.ledger.ingest(&batch).await.unwrap().inserted, 2);
}

/// `tollgate verify` on a running gateway must not hold up its admissions.
#[tokio::test]
async fn a_scan_and_a_load_do_not_wait_for_each_other() {
    let file = file().await;
    file.ledger.ingest(&[entry("ada")]).await.unwrap();
    let reader = file.ledger.reader.clone();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let (tell, taken) = std::sync::mpsc::channel();
    let load = std::thread::spawn(move || {
        let _busy = reader.lock().unwrap();
        tell.send(()).unwrap();
        released.recv().unwrap();
    });
    taken.recv().unwrap();
    let ledger = file.ledger.clone();
    let scan = async move { (ledger.totals().await.unwrap().rows, ledger.fold_differences().await.unwrap()) };
    assert_eq!(tokio::time::timeout(Duration::from_secs(5), scan).await.unwrap(), (1, vec![]));
    release.send(()).unwrap();
    load.join().unwrap();
}
