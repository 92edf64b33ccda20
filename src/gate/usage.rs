//! What is used and what is left, for the usage API and the rate-limit headers.

use std::sync::Arc;

use super::{Gate, Who};
use crate::clock::Timestamp;
use crate::quota::{Calendar, Domain, Limit, LimitHold, Meter, ModelSet, Scope, Window};
use crate::store::{Counters, StoreError, StoreKind};

/// What a user sees.
#[derive(Clone, Debug)]
pub struct UsageView {
    /// Each limit of the plan, with its numbers.
    pub limits: Vec<LimitHold>,
    /// The later of the month's start and the last reset by an administrator.
    pub last_reset: Timestamp,
    /// When the month ends.
    pub resets_at: Timestamp,
    /// Messages of the running month, over all models: the limit that counts all models by month, if there is one.
    pub total_messages: u64,
    /// Messages on premium models.
    pub premium_messages: u64,
    /// Would an ordinary message pass now?
    pub can_send_message: bool,
    /// Would a premium message pass now?
    pub can_send_premium_message: bool,
    /// Decided without the counters.
    pub degraded: bool,
}

impl Gate {
    /// The numbers of every limit of a plan.
    ///
    /// # Errors
    /// The counters' or the ledger's, if neither can tell.
    pub async fn usage(&self, who: &Who) -> Result<UsageView, StoreError> {
        let rules = self.rules.load_full();
        let domain = &who.subject.domain;
        self.settle_own(domain).await;
        let now = self.now();
        let limits = who.plan.limits.iter();
        let mut limits: Vec<_> = limits.map(|limit| rules.policy.hold(limit, &who.subject, now)).collect();
        let (reset_at_ms, degraded) = match self.read(&self.counters, domain, &mut limits).await {
            Ok(reset_at_ms) => (reset_at_ms, false),
            Err(error) => match &self.fallback {
                Some(fallback) => (self.read(fallback, domain, &mut limits).await?, true),
                None => return Err(error),
            },
        };
        let month = Calendar::Month.period_at(now, rules.policy.zone);
        let reset_at = Timestamp::from_millisecond(reset_at_ms);
        Ok(summary(limits, reset_at.max(month.start), month.end, degraded))
    }

    /// Writes the numbers into these holds; a cold domain is loaded. Returns when the latest of their owners' epochs was
    /// opened, milliseconds since 1970; 0: never.
    pub(super) async fn read(
        &self,
        counters: &Arc<dyn Counters>,
        domain: &Domain,
        holds: &mut [LimitHold],
    ) -> Result<i64, StoreError> {
        if let Some(reset_at_ms) = counters.read(domain, holds).await? {
            return Ok(reset_at_ms);
        }
        self.load(counters, domain).await?;
        let cold = || StoreError::transient(StoreKind::Domain, "read", "the domain stayed cold");
        counters.read(domain, holds).await?.ok_or_else(cold)
    }
}

fn summary(limits: Vec<LimitHold>, last_reset: Timestamp, resets_at: Timestamp, degraded: bool) -> UsageView {
    let of_month = |held: &&LimitHold| {
        held.limit.meter == Meter::Messages
            && held.limit.scope == Scope::User
            && held.limit.window == Window::Calendar(Calendar::Month)
    };
    let total = limits.iter().filter(of_month).find(|held| held.limit.models.is_none());
    let premium = limits.iter().filter(of_month).find(|held| is_premium(&held.limit));
    let total_messages = total.or(premium).map_or(0, |held| held.standing.used);
    let premium_messages = premium.map_or(0, |held| held.standing.used);
    // background limits are of no matter to the user's own messages
    let of_messages = || limits.iter().filter(|held| held.limit.meter != Meter::Background);
    let has_room = |held: &LimitHold| held.standing.remaining() > 0;
    let can_send_message = of_messages().filter(|held| held.limit.models.is_none()).all(has_room);
    let premium_room = of_messages().filter(|held| is_premium(&held.limit)).all(has_room);
    UsageView {
        last_reset,
        resets_at,
        total_messages,
        premium_messages,
        can_send_message,
        can_send_premium_message: can_send_message && premium_room,
        degraded,
        limits,
    }
}

fn is_premium(limit: &Limit) -> bool {
    let names_group = |set: &ModelSet| set.written.iter().any(|model| model == "@premium");
    &*limit.name == "premium" || limit.models.as_ref().is_some_and(names_group)
}
