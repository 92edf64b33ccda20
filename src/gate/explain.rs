//! Why a user may or may not send a message: plan, limits, counters, holds, and the verdict.

use super::{Denied, Gate, Who};
use crate::clock::Timestamp;
use crate::quota::{CallClass, LimitHold, Refusal, Window};
use crate::store::{BucketTotal, StoreError};

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
    pub held: LimitHold,
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
        self.settle_own(domain).await;
        let covering = who.plan.limits.iter().filter(|limit| limit.covers(model));
        let mut holds: Vec<_> = covering.map(|limit| rules.policy.hold(limit, &who.subject, now)).collect();
        self.read(&self.counters, domain, &mut holds).await?;
        let totals = self.ledger.load(domain, now.as_millisecond()).await?;
        let dump = self.counters.dump(domain).await?.unwrap_or_default();
        let full = holds.iter().find(|held| held.limit.counts(CallClass::Message) && !has_room(held));
        let verdict = match (self.check_model(who, model), full) {
            (Err(Denied::ModelNotAllowed(text)), _) => Some(text),
            (_, Some(full)) => Some(Refusal::new(full.clone(), now, None).message),
            _ => None,
        };
        let explained = |held: LimitHold| {
            let ledger_used = ledger_used(&totals.buckets, &held);
            ExplainedLimit { held, ledger_used }
        };
        Ok(Explanation {
            domain: domain.to_string(),
            plan: who.plan.name.to_string(),
            groups: rules.policy.groups_of(model).iter().map(ToString::to_string).collect(),
            limits: holds.into_iter().map(explained).collect(),
            holds: dump
                .leases
                .iter()
                .map(|lease| (lease.rid.to_string(), Timestamp::from_millisecond(lease.ends_ms)))
                .collect(),
            passes: verdict.is_none(),
            verdict: verdict.unwrap_or_else(|| "The next message passes.".to_owned()),
        })
    }
}

fn has_room(held: &LimitHold) -> bool {
    let standing = &held.standing;
    match held.limit.window {
        Window::Calendar(_) | Window::Open => standing.remaining() > 0,
        Window::Rate(_) => standing.max > 0 && standing.wait_ms == 0,
    }
}

fn ledger_used(buckets: &[BucketTotal], held: &LimitHold) -> u64 {
    let same = |total: &&BucketTotal| total.bucket == held.hold.bucket && total.epoch == held.epoch;
    buckets.iter().find(same).map_or(0, |total| total.used)
}
