//! What reads the whole ledger, a row at a time.

use rusqlite::Connection;

use super::error::SqliteFailure;
use super::session::value;
use crate::store::entry::charges;
use crate::store::fold::Comparison;
use crate::store::sql::ResultRow;
use crate::store::sql::read::{COMPARED, usage_row};
use crate::store::totals::BucketTotal;

/// Compares each total with the fold of all rows, in one snapshot.
pub(super) fn fold_differences(db: &mut Connection) -> Result<Vec<(BucketTotal, u64)>, SqliteFailure> {
    let snapshot = db.transaction()?;
    let mut comparison = Comparison::default();
    let mut query = snapshot.prepare("SELECT domain, charges FROM message_logs")?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let text = |at: usize| row.get_ref(at)?.as_str().map_err(rusqlite::Error::from);
        comparison.fold(text(0)?, &charges::from_json(text(1)?)?);
    }
    let mut query = snapshot.prepare(COMPARED)?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let row = ResultRow((0..9).map(|at| value(row, at)).collect::<Result<_, _>>()?);
        comparison.stored(row.text(0)?, usage_row(&row, 1)?)?;
    }
    Ok(comparison.differences()?)
}
