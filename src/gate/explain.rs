//! Why a user may or may not send a message: plan, limits, counters, holds, and the verdict.

use super::{Denied, Gate, LimitView, Who};
use crate::clock::Timestamp;
use crate::quota::{CallClass, Hold, Refusal, RefusalContext, Standing, Window};
use crate::store::{BucketTotal, StoreError};

use super::admit::period_end;

/// What applies to a user and a model.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// Where the user is counted.
    pub domain: String,
    /// The plan.
    pub plan: String,
    /// Groups of the model.
    pub groups: Vec<String>,
    /// Each limit that covers the model.
    pub limits: Vec<ExplainedLimit>,
    /// Request ids of live holds in the domain, and when their leases end.
    pub holds: Vec<(String, Timestamp)>,
    /// Would the next message pass?
    pub passes: bool,
    /// The sentence the user would be told, if not.
    pub verdict: String,
}

/// One limit with the counter's and the ledger's numbers.
#[derive(Clone, Debug)]
pub struct ExplainedLimit {
    /// The limit with the counter's numbers.
    pub view: LimitView,
    /// The counter's name.
    pub bucket: String,
    /// The owner's epoch.
    pub epoch: u32,
    /// The ledger's total; it lags behind by what stands in journals.
    pub ledger_used: u64,
}

impl Gate {
    /// Explains the next message of `who` on `model`. Takes nothing.
    ///
    /// # Errors
    /// A store that does not answer.
    pub async fn explain(&self, who: &Who, model: &str) -> Result<Explanation, StoreError> {
        let (rules, now) = (self.rules(), self.now());
        let domain = &who.subject.domain;
        self.own_settles(domain).await;
        let covering = who.plan.limits.iter().filter(|limit| limit.covers(model));
        let holds: Vec<Hold> =
            covering.clone().map(|limit| rules.policy.hold(limit, &who.subject, now)).collect();
        let snapshot = self.snapshot(&self.counters, who, &holds).await?;
        let totals = self.ledger.load(domain, now.as_millisecond()).await?;
        let dump = self.counters.dump(domain).await?.unwrap_or_default();
        let numbers = holds.iter().zip(snapshot.standings.iter().zip(&snapshot.epochs));
        let explained = |hold: &Hold, view, epoch: u32| ExplainedLimit {
            view,
            bucket: hold.bucket.key(),
            epoch,
            ledger_used: ledger_used(&totals.buckets, hold, epoch),
        };
        let limits = covering.clone().zip(numbers).map(|(limit, (hold, (standing, epoch)))| {
            explained(hold, LimitView::new(limit, hold, *standing, now), *epoch)
        });
        let full = covering.zip(holds.iter().zip(&snapshot.standings)).find(|(limit, (_, standing))| {
            limit.counts(CallClass::Message) && !has_room(limit.window, standing)
        });
        let verdict = match (self.check_model(who, model), full) {
            (Err(Denied::ModelNotAllowed(text)), _) => Some(text),
            (_, Some((limit, (hold, standing)))) => {
                let context =
                    RefusalContext { now, resets_at: period_end(&hold.rule), still_available: None };
                Some(Refusal::new(limit, *standing, context).message)
            }
            _ => None,
        };
        Ok(Explanation {
            domain: domain.to_string(),
            plan: who.plan.name.to_string(),
            groups: rules.policy.groups_of(model).iter().map(ToString::to_string).collect(),
            limits: limits.collect(),
            holds: dump
                .holds
                .iter()
                .map(|(rid, ends_ms)| (rid.to_string(), Timestamp::from_millisecond(*ends_ms)))
                .collect(),
            passes: verdict.is_none(),
            verdict: verdict.unwrap_or_else(|| "The next message passes.".to_owned()),
        })
    }
}

fn has_room(window: Window, standing: &Standing) -> bool {
    match window {
        Window::Calendar(_) | Window::Open => standing.remaining() > 0,
        Window::Rate(_) => standing.max > 0 && standing.wait_ms == 0,
    }
}

fn ledger_used(buckets: &[BucketTotal], hold: &Hold, epoch: u32) -> u64 {
    let same = |total: &&BucketTotal| total.bucket == hold.bucket && total.epoch == epoch;
    buckets.iter().find(same).map_or(0, |total| total.used)
}
