//! The months of `message_logs`: made ahead of time, and on demand for a row that comes early or late.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use chrono::{Datelike, Utc};
use deadpool_postgres::Object;

use super::error::Failure;
use crate::clock::Timestamp;
use crate::store::row::is_month;

/// Months made ahead of the present one. The configured zone is at most a day away from UTC, so three are never none.
const MONTHS_AHEAD: i32 = 3;
/// Gateways make one partition after the other. `tollpart` in ASCII.
const PARTITION_LOCK: i64 = 0x746f_6c6c_7061_7274;

/// Which partitions stand, as far as this process knows.
#[derive(Debug, Default)]
pub(super) struct Partitions(Mutex<HashSet<String>>);

impl Partitions {
    /// Makes those of these months that are missing. Without any news it costs nothing.
    pub async fn ensure(
        &self,
        client: &mut Object,
        months: impl Iterator<Item = &str>,
    ) -> Result<(), Failure> {
        let missing: HashSet<&str> = {
            let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // What is no month has a partition from the start.
            months.filter(|month| is_month(month) && !known.contains(*month)).collect()
        };
        for month in missing {
            make(client, month).await?;
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(month.to_owned());
        }
        Ok(())
    }

    /// Partitions were dropped behind our back: look again.
    pub fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// The months that must stand at this time: `2026-11` and the next three.
pub(super) fn ahead(now_ms: i64) -> Vec<String> {
    let now = Timestamp::from_millisecond(now_ms).in_zone(&Utc);
    (0..=MONTHS_AHEAD)
        .map(|later| {
            let months = now.year() * 12 + now.month0().cast_signed() + later;
            format!("{:04}-{:02}", months / 12, months % 12 + 1)
        })
        .collect()
}

/// A table that is attached when it is whole: `CREATE … PARTITION OF` would lock all of `message_logs` against reads.
async fn make(client: &mut Object, month: &str) -> Result<(), Failure> {
    let name = format!("message_logs_{}", month.replace('-', "_"));
    let transaction = client.transaction().await?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&PARTITION_LOCK]).await?;
    let stands = "SELECT EXISTS (SELECT FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
                  WHERE inhparent = 'message_logs'::regclass AND relname = $1)";
    if !transaction.query_one(stands, &[&name]).await?.try_get::<_, bool>(0)? {
        // The month is four digits, a dash and two digits: it can be written into the statement.
        let attach = format!(
            "CREATE TABLE {name} (LIKE message_logs INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE);
             ALTER TABLE message_logs ATTACH PARTITION {name} FOR VALUES IN ('{month}');"
        );
        transaction.batch_execute(&attach).await?;
        tracing::info!(month, "made a partition of message_logs");
    }
    Ok(transaction.commit().await?)
}

#[cfg(test)]
mod tests;
