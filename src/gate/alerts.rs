//! Which thresholds a request's entry carries to the ledger: those of its limits, if a webhook is there to be told.

use super::Rules;
use crate::quota::LimitHold;
use crate::store::{Alerts, LimitAlert};

/// `None` costs nothing on the way to the ledger: no webhook, or no limit with thresholds.
pub(super) fn alerts(rules: &Rules, holds: &[LimitHold]) -> Option<Alerts> {
    if rules.webhooks.is_empty() {
        return None;
    }
    // a limit of 0 blocks: it is never reached, it is just not there to be used
    let watched = holds
        .iter()
        .map(|held| &held.limit)
        .filter(|limit| !limit.alert_permille.is_empty() && limit.max > 0);
    let limits: Vec<LimitAlert> = watched
        .map(|limit| LimitAlert {
            limit: limit.name.to_string(),
            meter: limit.meter.as_str().to_owned(),
            max: limit.max,
            permille: limit.alert_permille.clone(),
        })
        .collect();
    (!limits.is_empty()).then(|| Alerts { webhooks: rules.webhooks.clone(), limits })
}
