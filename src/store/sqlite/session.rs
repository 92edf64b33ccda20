//! A connection of SQLite as the shared statements need it. Nothing here waits: the work runs on a blocking thread.

use futures_util::FutureExt;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Row, ToSql};

use super::error::SqliteFailure;
use crate::store::row::Value;
use crate::store::sql::{ResultRow, Session};

/// A session.
pub(super) struct Lite<'a>(pub &'a Connection);

impl Session for Lite<'_> {
    type Error = SqliteFailure;

    const NOW_MS: &'static str = "CAST(unixepoch('subsec') * 1000 AS INTEGER)";
    // one connection writes
    const SKIP_LOCKED: &'static str = "";

    async fn query(&self, statement: &str, values: &[Value<'_>]) -> Result<Vec<ResultRow>, SqliteFailure> {
        let mut statement = self.0.prepare_cached(statement)?;
        bind(&mut statement, values)?;
        let columns = statement.column_count();
        let mut rows = statement.raw_query();
        let mut answers = Vec::new();
        while let Some(row) = rows.next()? {
            answers.push(ResultRow(
                (0..columns).map(|at| value(row, at)).collect::<Result<_, SqliteFailure>>()?,
            ));
        }
        Ok(answers)
    }

    async fn execute(&self, statement: &str, values: &[Value<'_>]) -> Result<u64, SqliteFailure> {
        let mut statement = self.0.prepare_cached(statement)?;
        bind(&mut statement, values)?;
        Ok(statement.raw_execute()? as u64)
    }

    async fn lock_audit(&self) -> Result<(), SqliteFailure> {
        // the transaction has the only lock there is
        Ok(())
    }
}

/// SQLite numbers `$1`, `$2`, … by where they first stand.
fn bind(statement: &mut rusqlite::Statement<'_>, values: &[Value<'_>]) -> Result<(), SqliteFailure> {
    for (at, value) in values.iter().enumerate() {
        if let Some(place) = statement.parameter_index(&format!("${}", at + 1))? {
            statement.raw_bind_parameter(place, value)?;
        }
    }
    Ok(())
}

/// A value of its own.
pub(super) fn value(row: &Row<'_>, at: usize) -> Result<Value<'static>, SqliteFailure> {
    Ok(match row.get_ref(at)? {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Number(number),
        ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned().into()),
        ValueRef::Blob(bytes) => Value::Bytes(bytes.to_vec().into()),
        ValueRef::Real(number) => return Err(SqliteFailure::Stays(format!("{number} is no whole number"))),
    })
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Bool(yes) => ValueRef::Integer((*yes).into()),
            Self::Number(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
            Self::Id(id) => ValueRef::Blob(id.as_bytes()),
        }))
    }
}

/// Does work that never waits.
pub(super) fn at_once<T>(work: impl Future<Output = Result<T, SqliteFailure>>) -> Result<T, SqliteFailure> {
    let waits = || Err(SqliteFailure::Stays("a statement waited".to_owned()));
    work.now_or_never().unwrap_or_else(waits)
}
