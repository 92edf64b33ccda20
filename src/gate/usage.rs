//! What is used and what is left, for the usage API and the rate-limit headers.

use std::sync::Arc;

use super::admit::period_end;
use super::{Gate, Who};
use crate::clock::Timestamp;
use crate::quota::{Calendar, Hold, Limit, Meter, Rule, Scope, Standing, Window};
use crate::store::{Counters, Snapshot, StoreError};

/// One limit with its numbers.
#[derive(Clone, Debug)]
pub struct LimitView {
    /// Its name.
    pub name: Arc<str>,
    /// What it counts.
    pub meter: Meter,
    /// Its models as written; empty: all.
    pub models: Vec<String>,
    /// Whose requests count together.
    pub scope: Scope,
    /// Over what time.
    pub window: Window,
    /// The numbers.
    pub standing: Standing,
    /// When a calendar limit begins anew.
    pub resets_at: Option<Timestamp>,
    /// Length of the window in seconds; `None` for open at once.
    pub window_s: Option<u64>,
    /// Seconds until it begins anew (calendar) or is wholly refilled (rate).
    pub reset_s: u64,
}

/// What a user sees.
#[derive(Clone, Debug)]
pub struct UsageView {
    /// Each limit of the plan.
    pub limits: Vec<LimitView>,
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

impl LimitView {
    pub(super) fn new(limit: &Limit, hold: &Hold, standing: Standing, now: Timestamp) -> Self {
        let resets_at = period_end(&hold.rule);
        let (window_s, reset_s) = match (hold.rule, limit.window) {
            (Rule::Quota { period_start_ms, period_end_ms, .. }, _) => {
                let seconds = |ms: i64| u64::try_from(ms.max(0)).unwrap_or(0).div_ceil(1000);
                (
                    Some(seconds(period_end_ms - period_start_ms)),
                    seconds(period_end_ms - now.as_millisecond()),
                )
            }
            (Rule::Rate { window_us, .. }, _) => {
                let refill_us = (window_us * standing.used).checked_div(standing.max).unwrap_or(0);
                (Some(window_us / 1_000_000), refill_us.div_ceil(1_000_000))
            }
            (Rule::Open { .. }, _) => (None, 0),
        };
        Self {
            name: Arc::clone(&limit.name),
            meter: limit.meter,
            models: limit.models.as_ref().map(|set| set.written.clone()).unwrap_or_default(),
            scope: limit.scope,
            window: limit.window,
            standing,
            resets_at,
            window_s,
            reset_s,
        }
    }

    fn has_room(&self) -> bool {
        self.standing.remaining() > 0
    }

    /// Is it of no matter to the user's own messages?
    fn is_background(&self) -> bool {
        self.meter == Meter::Background
    }

    fn is_premium(&self) -> bool {
        &*self.name == "premium" || self.models.iter().any(|model| model == "@premium")
    }
}

impl Gate {
    /// The numbers of every limit of a plan.
    ///
    /// # Errors
    /// The counters' or the ledger's, if neither can tell.
    pub async fn usage(&self, who: &Who) -> Result<UsageView, StoreError> {
        let rules = self.rules.load_full();
        let domain = &who.subject.domain;
        self.own_settles(domain).await;
        let now = self.now();
        let limits = &who.plan.limits;
        let holds: Vec<Hold> =
            limits.iter().map(|limit| rules.policy.hold(limit, &who.subject, now)).collect();
        let (snapshot, degraded) = match self.snapshot(&self.counters, who, &holds).await {
            Ok(snapshot) => (snapshot, false),
            Err(error) => match &self.fallback {
                Some(fallback) => (self.snapshot(fallback, who, &holds).await?, true),
                None => return Err(error),
            },
        };
        let numbers = limits.iter().zip(holds.iter().zip(&snapshot.standings));
        let views = numbers.map(|(limit, (hold, standing))| LimitView::new(limit, hold, *standing, now));
        let month = Calendar::Month.period_at(now, rules.policy.zone);
        let reset_at_ms = snapshot.reset_at_ms.iter().copied().max().unwrap_or(0);
        let reset_at = Timestamp::from_millisecond(reset_at_ms);
        Ok(summary(views.collect(), reset_at.max(month.start), month.end, degraded))
    }

    pub(super) async fn snapshot(
        &self,
        counters: &Arc<dyn Counters>,
        who: &Who,
        holds: &[Hold],
    ) -> Result<Snapshot, StoreError> {
        let domain = &who.subject.domain;
        if let Some(snapshot) = counters.read(domain, holds).await? {
            return Ok(snapshot);
        }
        self.load(counters, domain).await?;
        let cold = || StoreError::transient("counters", "read", "the domain stayed cold");
        counters.read(domain, holds).await?.ok_or_else(cold)
    }
}

fn summary(limits: Vec<LimitView>, last_reset: Timestamp, resets_at: Timestamp, degraded: bool) -> UsageView {
    let of_month = |view: &&LimitView| {
        view.meter == Meter::Messages
            && view.scope == Scope::User
            && view.window == Window::Calendar(Calendar::Month)
    };
    let total = limits.iter().filter(of_month).find(|view| view.models.is_empty());
    let premium = limits.iter().filter(of_month).find(|view| view.is_premium());
    let total_messages = total.or(premium).map_or(0, |view| view.standing.used);
    let premium_messages = premium.map_or(0, |view| view.standing.used);
    let of_messages = || limits.iter().filter(|view| !view.is_background());
    let can_send_message = of_messages().filter(|view| view.models.is_empty()).all(LimitView::has_room);
    let premium_room = of_messages().filter(|view| view.is_premium()).all(LimitView::has_room);
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
