//! What both SQL ledgers ask and tell, in the SQL that both databases understand: each statement stands once. A backend
//! gives a [`Session`], inside a transaction where one is needed. It must not know connections, pools or threads.

pub(super) mod analytics;
pub(super) mod audit;
pub(super) mod outbox;
pub(super) mod read;

use uuid::Uuid;

use super::row::{Value, count};

/// A connection, or a transaction on one. Parameters stand in statements as `$1`, `$2`, …
pub(super) trait Session {
    /// The backend's error.
    type Error: From<String>;

    /// The store's time in milliseconds, as SQL.
    const NOW_MS: &'static str;
    /// What ends a sub-select of rows that are about to change: rows that another transaction changes are left to it.
    const SKIP_LOCKED: &'static str;

    /// Asks.
    async fn query(&self, statement: &str, parameters: &[Value<'_>]) -> Result<Vec<ResultRow>, Self::Error>;

    /// Changes rows; returns how many.
    async fn execute(&self, statement: &str, parameters: &[Value<'_>]) -> Result<u64, Self::Error>;

    /// From here on to the end of the transaction nobody else writes audit rows.
    async fn lock_audit(&self) -> Result<(), Self::Error>;

    /// The first row.
    async fn first(
        &self,
        statement: &str,
        parameters: &[Value<'_>],
    ) -> Result<Option<ResultRow>, Self::Error> {
        Ok(self.query(statement, parameters).await?.into_iter().next())
    }

    /// The only row.
    async fn one(&self, statement: &str, parameters: &[Value<'_>]) -> Result<ResultRow, Self::Error> {
        let first = self.first(statement, parameters).await?;
        Ok(first.ok_or_else(|| "the ledger did not answer with a row".to_owned())?)
    }
}

/// A row of an answer.
pub(super) struct ResultRow(pub Vec<Value<'static>>);

impl ResultRow {
    fn get(&self, at: usize) -> &Value<'static> {
        self.0.get(at).unwrap_or(&Value::Null)
    }

    /// A text.
    pub fn text(&self, at: usize) -> Result<String, String> {
        match self.get(at) {
            Value::Text(text) => Ok(text.to_string()),
            other => Err(wrong(at, other, "text")),
        }
    }

    /// A number.
    pub fn number(&self, at: usize) -> Result<i64, String> {
        match self.get(at) {
            Value::Number(number) => Ok(*number),
            other => Err(wrong(at, other, "number")),
        }
    }

    /// A number that is never negative.
    pub fn count(&self, at: usize) -> Result<u64, String> {
        count(self.number(at)?)
    }

    /// A truth, which SQLite keeps as a number.
    pub fn is_true(&self, at: usize) -> bool {
        matches!(self.get(at), Value::Bool(true) | Value::Number(1))
    }

    /// An id.
    pub fn id(&self, at: usize) -> Result<Uuid, String> {
        match self.get(at) {
            Value::Id(id) => Ok(*id),
            Value::Bytes(bytes) => Uuid::from_slice(bytes).map_err(|error| error.to_string()),
            other => Err(wrong(at, other, "id")),
        }
    }

    /// Bytes.
    pub fn bytes(&self, at: usize) -> Result<Vec<u8>, String> {
        match self.get(at) {
            Value::Bytes(bytes) => Ok(bytes.to_vec()),
            other => Err(wrong(at, other, "string of bytes")),
        }
    }

    /// NULL is none.
    pub fn optional<T>(
        &self,
        at: usize,
        read: impl FnOnce(&Self, usize) -> Result<T, String>,
    ) -> Result<Option<T>, String> {
        if *self.get(at) == Value::Null { Ok(None) } else { read(self, at).map(Some) }
    }
}

fn wrong(at: usize, value: &Value<'_>, wanted: &str) -> String {
    format!("column {at} of the ledger's answer is {value:?}, no {wanted}")
}
