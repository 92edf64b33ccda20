//! The tables' version: which one stands, and how to get to this program's. The steps are `migrations/sqlite`.

use rusqlite::{Connection, OptionalExtension};

use super::error::{SqliteFailure, passes};

mod embedded {
    refinery::embed_migrations!("migrations/sqlite");
}

/// Creates or upgrades the tables.
pub(super) fn migrate(db: &mut Connection) -> Result<(), SqliteFailure> {
    refuse_newer(db)?;
    match embedded::migrations::runner().run(db) {
        Ok(_) => verify(db),
        // Another process may have made the same step at the same time.
        Err(_) if verify(db).is_ok() => Ok(()),
        Err(error) => Err(refusal(&error)),
    }
}

/// A lock held elsewhere passes; a step that does not fit the tables stays.
fn refusal(error: &refinery::Error) -> SqliteFailure {
    let message = format!("the tables could not be upgraded: {error}");
    match error.kind() {
        refinery::error::Kind::Connection(_, cause)
            if cause.downcast_ref::<rusqlite::Error>().is_some_and(passes) =>
        {
            SqliteFailure::Passes(message)
        }
        _ => SqliteFailure::Stays(message),
    }
}

/// Fails unless the tables are those of this program.
pub(super) fn verify(db: &Connection) -> Result<(), SqliteFailure> {
    refuse_newer(db)?;
    let (found, wanted) = (applied(db)?, newest());
    if found == wanted {
        return Ok(());
    }
    Err(SqliteFailure::Stays(format!(
        "the tables have version {found}, this program needs {wanted}: run `tollgate migrate`"
    )))
}

/// Fails if a newer program has upgraded the tables: this one might misread them.
pub(super) fn refuse_newer(db: &Connection) -> Result<(), SqliteFailure> {
    let (found, known) = (applied(db)?, newest());
    if found <= known {
        return Ok(());
    }
    Err(SqliteFailure::Stays(format!(
        "the tables have version {found}, this program knows {known}: use a newer `tollgate`"
    )))
}

/// The version that stands; 0 if there are no tables yet.
fn applied(db: &Connection) -> Result<i64, SqliteFailure> {
    let history = "SELECT 1 FROM sqlite_schema WHERE name = 'refinery_schema_history'";
    if db.query_row(history, [], |_| Ok(())).optional()?.is_none() {
        return Ok(0);
    }
    let version = "SELECT coalesce(max(version), 0) FROM refinery_schema_history";
    Ok(db.query_row(version, [], |row| row.get(0))?)
}

fn newest() -> i64 {
    let runner = embedded::migrations::runner();
    runner.get_migrations().iter().map(|step| i64::from(step.version())).max().unwrap_or(0)
}
