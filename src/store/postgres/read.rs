//! What reads the whole ledger, a row at a time.

use std::pin::pin;

use deadpool_postgres::Transaction;
use futures_util::TryStreamExt;

use super::error::Failure;
use super::session::answer;
use crate::store::entry::charges;
use crate::store::fold::Comparison;
use crate::store::sql::read::{COMPARED, usage_row};
use crate::store::totals::BucketTotal;

/// Compares each total with the fold of all rows, however long that takes.
pub(super) async fn fold_differences(snapshot: &Transaction<'_>) -> Result<Vec<(BucketTotal, u64)>, Failure> {
    let mut comparison = Comparison::default();
    let none: [&str; 0] = [];
    let mut rows = pin!(snapshot.query_raw("SELECT domain, charges::text FROM message_logs", none).await?);
    while let Some(row) = rows.try_next().await? {
        comparison.fold(row.try_get(0)?, &charges::from_json(row.try_get(1)?)?);
    }
    let mut rows = pin!(snapshot.query_raw(COMPARED, none).await?);
    while let Some(row) = rows.try_next().await? {
        let row = answer(&row)?;
        comparison.stored(row.text(0)?, usage_row(&row, 1)?)?;
    }
    Ok(comparison.differences()?)
}
