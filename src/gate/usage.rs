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
    /// Charged messages of the running month, or since a later reset, over all models.
    pub total_messages: u64,
    /// Of these, on premium models.
    pub premium_messages: u64,
    /// Would an ordinary message pass now?
    pub can_send_message: bool,
    /// Would a premium message pass now?
    pub can_send_premium_message: bool,
    /// Decided without the counters, or counted without the ledger.
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
        let group = &rules.policy.premium_group;
        // background limits are of no matter to the user's own messages
        let of_messages = || limits.iter().filter(|held| held.limit.meter != Meter::Background);
        let has_room = |held: &LimitHold| held.standing.remaining() > 0;
        let can_send_message = of_messages().filter(|held| held.limit.models.is_none()).all(has_room);
        let premium_room = of_messages().filter(|held| is_premium(&held.limit, group)).all(has_room);
        let mut view = UsageView {
            last_reset: Timestamp::from_millisecond(reset_at_ms).max(month.start),
            resets_at: month.end,
            total_messages: 0,
            premium_messages: 0,
            can_send_message,
            can_send_premium_message: can_send_message && premium_room,
            degraded,
            limits,
        };
        self.count_messages(who, group, &mut view).await;
        Ok(view)
    }

    /// The messages of the month: as limits count them, and what no limit counts as the ledger does, with what has ended
    /// here and may not be in it. Of the latter, answers that another gateway gave show a batch of its writer later.
    async fn count_messages(&self, who: &Who, group: &str, view: &mut UsageView) {
        let used = |is_it: &dyn Fn(&Limit) -> bool| {
            let mut of_month =
                view.limits.iter().filter(|held| is_of_month(&held.limit) && is_it(&held.limit));
            of_month.next().map(|held| held.standing.used)
        };
        let (total, premium) =
            (used(&|limit| limit.models.is_none()), used(&|limit| is_premium(limit, group)));
        view.total_messages = total.or(premium).unwrap_or(0);
        view.premium_messages = premium.unwrap_or(0);
        let Some(user) = who.user.as_deref().filter(|_| total.is_none() || premium.is_none()) else { return };
        let since_ms = view.last_reset.as_millisecond();
        // first these, then the ledger without them: no message is counted twice or missed, whenever its batch goes in
        let ended = self.book.messages(&who.subject.domain, user, since_ms);
        let ids: Vec<_> = ended.iter().map(|message| message.rid).collect();
        match self.ledger.messages_since(user, since_ms, &ids).await {
            Ok(messages) => {
                let of_premium = ended.iter().filter(|message| message.is_premium).count() as u64;
                view.total_messages = total.unwrap_or(messages.total + ended.len() as u64);
                view.premium_messages = premium.unwrap_or(messages.premium + of_premium);
                view.degraded |= !self.book.is_complete();
            }
            Err(error) => {
                tracing::warn!(%error, "the ledger did not count a user's messages: shown is what limits count");
                view.degraded = true;
            }
        }
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

/// A limit of the user's own messages by month.
fn is_of_month(limit: &Limit) -> bool {
    limit.meter == Meter::Messages
        && limit.scope == Scope::User
        && limit.window == Window::Calendar(Calendar::Month)
}

fn is_premium(limit: &Limit, group: &str) -> bool {
    let names_group = |written: &String| written.strip_prefix('@') == Some(group);
    let named = limit.models.as_ref().is_some_and(|set: &ModelSet| set.written.iter().any(names_group));
    &*limit.name == group || named
}
