//! A connection or a transaction of PostgreSQL as the shared statements need it.

use deadpool_postgres::GenericClient;
use tokio_postgres::Row;

use super::columns::parameters;
use super::error::Failure;
use crate::store::row::Value;
use crate::store::sql::{ResultRow, Session};

/// Audit rows are written one after the other: each hash covers the row before it. `tollaudi` in ASCII.
const AUDIT_LOCK: i64 = 0x746f_6c6c_6175_6469;

/// A session.
pub(super) struct Pg<'a, C>(pub &'a C);

impl<C: GenericClient> Session for Pg<'_, C> {
    type Error = Failure;

    const NOW_MS: &'static str = "(extract(epoch FROM statement_timestamp()) * 1000)::bigint";
    const SKIP_LOCKED: &'static str = "FOR UPDATE SKIP LOCKED";

    async fn query(&self, statement: &str, values: &[Value<'_>]) -> Result<Vec<ResultRow>, Failure> {
        let statement = self.0.prepare_cached(statement).await?;
        self.0.query(&statement, &parameters(values)).await?.iter().map(answer).collect()
    }

    async fn execute(&self, statement: &str, values: &[Value<'_>]) -> Result<u64, Failure> {
        let statement = self.0.prepare_cached(statement).await?;
        Ok(self.0.execute(&statement, &parameters(values)).await?)
    }

    async fn lock_audit(&self) -> Result<(), Failure> {
        self.0.execute("SELECT pg_advisory_xact_lock($1)", &[&AUDIT_LOCK]).await?;
        Ok(())
    }
}

/// A row with values of its own.
pub(super) fn answer(row: &Row) -> Result<ResultRow, Failure> {
    let value = |at| Ok(row.try_get::<_, Option<Value<'_>>>(at)?.map_or(Value::Null, Value::into_owned));
    Ok(ResultRow((0..row.len()).map(value).collect::<Result<_, Failure>>()?))
}
