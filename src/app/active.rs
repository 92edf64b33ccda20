//! How many users are active, for the metrics page: asked of the roll-ups now and then, never of the rows.

use std::sync::Arc;
use std::time::Duration;

use crate::gate::Gate;
use crate::quota::Calendar;
use crate::store::Day;
use crate::store::replica::Reads;
use crate::telemetry::Metrics;

/// How often it is asked.
const EVERY: Duration = Duration::from_secs(60);

/// Keeps the gauge fresh, for ever.
pub(super) async fn keep_active_users(gate: Arc<Gate>, reads: Arc<Reads>, metrics: Arc<Metrics>) {
    loop {
        let today = Calendar::Day.period_at(gate.now(), gate.rules().policy.zone).id;
        if let Some(today) = Day::parse(&today) {
            match reads.analytics(&today, &today).await {
                Ok(found) => {
                    let active = found.active_users;
                    metrics.active_users([active.day, active.week, active.month]);
                }
                Err(error) => tracing::debug!(%error, "the active users are not known"),
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}
