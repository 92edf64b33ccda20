//! What every counter store asks of the holds of one reserve before it looks at any number.
//!
//! Pure. It must not know how a store keeps them.

use crate::quota::{LimitHold, MAX_AMOUNT};
use crate::store::{StoreError, StoreKind};

/// Most holds of one reserve: limits of a plan for one model. Keeps the work under a domain's lock bounded.
pub(crate) const MAX_HOLDS: usize = 64;

/// Refuses what no store can decide exactly: too many holds, two on one bucket, or numbers over [`MAX_AMOUNT`].
pub(crate) fn check_holds(store: StoreKind, holds: &[LimitHold]) -> Result<(), StoreError> {
    let fault = |message: String| Err(StoreError::permanent(store, "reserve", message));
    if holds.len() > MAX_HOLDS {
        return fault(format!("{} holds in one reserve, at most {MAX_HOLDS}", holds.len()));
    }
    for (index, LimitHold { hold, .. }) in holds.iter().enumerate() {
        if hold.amount > MAX_AMOUNT || hold.rule.max() > MAX_AMOUNT {
            return fault(format!("`{}`: number over {MAX_AMOUNT}", hold.bucket.key()));
        }
        if holds[..index].iter().any(|earlier| earlier.hold.bucket == hold.bucket) {
            return fault(format!("two holds on the bucket `{}`", hold.bucket.key()));
        }
    }
    Ok(())
}
