//! Admission: plan and model, then one atomic reserve over every limit the request touches.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use uuid::Uuid;

use super::book::{Book, OpenHolds};
use super::denied::Denied;
use super::permit::{AdmittedRequest, Permit};
use super::row::{Asked, entry, message_key, with_attempt};
use super::rules::{Rules, Who};
use super::settle::Settler;
use super::shared::{CountersTime, GateCounts, Parts};
use super::upkeep::Upkeep;
use crate::clock::{Stopwatch, Timestamp};
use crate::quota::{CallClass, Domain, LimitHold, Meter, OnOutage, Pattern, Policy, Refusal, Rule};
use crate::store::{Counters, Entry, MessageKey, Reserve, Reserved, StoreError, StoreKind};

/// How often one admission loads a cold domain, or waits for announcements, before it gives up: 3 s in all.
const RESERVE_ROUNDS: u32 = 30;

/// Longest sleep between two rounds, in milliseconds.
const ROUND_MS: u64 = 100;

/// How a reserve came out, wherever it was decided, and the store's time then in milliseconds since 1970.
enum Verdict {
    Admitted { now_ms: i64, repeat: u32, degraded: bool },
    Refused { now_ms: i64, by: Box<LimitHold> },
}

/// What decides which limits a request touches, and whether it was paid for before.
#[derive(Clone, Copy)]
struct Called<'a> {
    model: &'a str,
    class: CallClass,
    message: Option<&'a MessageKey>,
}

/// A request's holds and what became of them.
struct Held<'a> {
    now: Timestamp,
    rid: Uuid,
    holds: Vec<LimitHold>,
    verdict: Verdict,
    guard: ReserveGuard<'a>,
}

impl Held<'_> {
    /// Did the counters decide at a time outside of the periods that were held?
    fn is_misdated(&self) -> bool {
        let decided_ms = match self.verdict {
            // decided by our own clock
            Verdict::Admitted { degraded: true, .. } => return false,
            Verdict::Admitted { now_ms, .. } | Verdict::Refused { now_ms, .. } => now_ms,
        };
        self.holds.iter().any(|held| match held.hold.rule {
            Rule::Quota { period_start_ms, period_end_ms, .. } => {
                !(period_start_ms..period_end_ms).contains(&decided_ms)
            }
            Rule::Open { .. } | Rule::Rate { .. } => false,
        })
    }
}

/// Decides which requests may go upstream.
pub(super) struct Admission {
    counters: Arc<dyn Counters>,
    fallback: Option<Arc<dyn Counters>>,
    time: Arc<CountersTime>,
    book: Arc<Book>,
    settler: Arc<Settler>,
    upkeep: Arc<Upkeep>,
    counts: Arc<GateCounts>,
}

impl Admission {
    pub fn new(
        parts: &Parts,
        time: Arc<CountersTime>,
        book: Arc<Book>,
        settler: Arc<Settler>,
        upkeep: Arc<Upkeep>,
        counts: Arc<GateCounts>,
    ) -> Self {
        let (counters, fallback) = (Arc::clone(&parts.counters), parts.fallback.clone());
        Self { counters, fallback, time, book, settler, upkeep, counts }
    }

    /// Admits one request, or says why not. A refusal changes nothing.
    ///
    /// # Errors
    /// See [`Denied`].
    pub async fn admit(&self, who: &Who, asked: Asked) -> Result<Permit, Denied> {
        who.check_model(&asked.model)?;
        if asked.task.is_empty() {
            return self.admit_as(CallClass::Message, who, asked).await;
        }
        // the message that a background call names is the user's own: its call is no attempt of it
        let asked = Asked { message_id: None, ..asked };
        let as_message = Asked { task: String::new(), ..asked.clone() };
        if !who.plan.caps_background(&asked.model) {
            return self.admit_as(CallClass::Message, who, as_message).await;
        }
        match self.admit_as(CallClass::Background, who, asked).await {
            // a claim is worth what the plan gives it; beyond that the call is a message like any other
            Err(Denied::Refused(refusal)) if refusal.full.limit.meter == Meter::Background => {
                self.admit_as(CallClass::Message, who, as_message).await
            }
            decided => decided,
        }
    }

    async fn admit_as(&self, class: CallClass, who: &Who, asked: Asked) -> Result<Permit, Denied> {
        let rules = Arc::clone(&who.rules);
        let started = Stopwatch::start();
        let message = message_key(who, &asked);
        let call = Called { model: &asked.model, class, message: message.as_ref() };
        let domain = &who.subject.domain;
        let mut held = self.hold(&rules, who, call).await?;
        if held.is_misdated() {
            // our clock was not that of the counters: now it is known, and the guard gives back what was held
            held = self.hold(&rules, who, call).await?;
        }
        let Held { now, rid, holds, verdict, mut guard } = held;
        let (repeat, degraded) = match verdict {
            Verdict::Admitted { repeat, degraded, .. } => (repeat, degraded),
            Verdict::Refused { by, .. } => {
                guard.armed = false;
                let instead = still_available(&rules.policy, who, &by, &holds);
                return Err(Denied::Refused(Box::new(Refusal::new(*by, now, instead))));
            }
        };
        let named = message.as_ref().map(|message| (message.as_str(), repeat + 1));
        let entry = Entry { degraded, ..entry(&rules, who, asked, rid, now, &holds) };
        let entry = with_attempt(entry, named);
        let limits: Arc<[LimitHold]> = holds.into();
        let lease_ends_ms = self.time.own_ms().saturating_add_unsigned(rules.lease_ms);
        let open = OpenHolds { holds: Arc::clone(&limits), lease_ends_ms };
        if let Err(error) = self.book.begin(domain, &entry, open) {
            // the guard gives the hold back
            tracing::warn!(%error, "the journal takes no new request");
            return Err(Denied::Unavailable(
                "The gateway cannot record usage at the moment. Try again shortly.".to_owned(),
            ));
        }
        guard.armed = false;
        if degraded {
            self.counts.degraded.fetch_add(1, Ordering::Relaxed);
        }
        Ok(Permit::new(
            Arc::clone(&self.settler),
            AdmittedRequest { entry, domain: domain.clone(), started, answered: false },
            limits,
        ))
    }

    /// One attempt at the holds of a request, in the periods of this moment.
    async fn hold<'a>(&'a self, rules: &Rules, who: &'a Who, call: Called<'_>) -> Result<Held<'a>, Denied> {
        let (now, rid, domain) = (self.time.now(), self.time.request_id(), &who.subject.domain);
        let mut holds = rules.policy.holds(&who.plan, &who.subject, (call.model, call.class), now);
        let guard = ReserveGuard { settler: &self.settler, domain, rid, armed: !holds.is_empty() };
        if call.message.is_some() {
            // an attempt that has just ended here must be known as charged, or its repeat would be charged too
            self.book.wait_own(domain).await;
        }
        let (lease_ms, message) = (rules.lease_ms, call.message);
        let verdict =
            self.decide(rules, &mut Reserve { rid, domain, holds: &mut holds, lease_ms, message }).await?;
        if let Verdict::Admitted { repeat: 1.., .. } = verdict {
            holds.iter_mut().filter(|it| it.hold.rule.is_quota()).for_each(|it| it.hold.amount = 0);
        }
        Ok(Held { now, rid, holds, verdict, guard })
    }

    async fn decide(&self, rules: &Rules, reserve: &mut Reserve<'_>) -> Result<Verdict, Denied> {
        let domain = reserve.domain;
        if reserve.holds.is_empty() {
            return Ok(Verdict::Admitted { now_ms: self.time.own_ms(), repeat: 0, degraded: false });
        }
        let mut verdict = self.reserve_on(&self.counters, reserve).await;
        if matches!(verdict, Ok(Verdict::Refused { .. })) && self.book.is_settling(domain) {
            // what has just ended here may still look as if it were in flight: nobody is refused for that
            self.book.wait_own(domain).await;
            verdict = self.reserve_on(&self.counters, reserve).await;
        }
        match verdict {
            Ok(verdict) => {
                self.upkeep.answered();
                Ok(verdict)
            }
            Err(error) => self.decide_without(rules, reserve, &error).await,
        }
    }

    /// One store's decision: loads the domain if it is cold, waits if it must.
    async fn reserve_on(
        &self,
        counters: &Arc<dyn Counters>,
        reserve: &mut Reserve<'_>,
    ) -> Result<Verdict, StoreError> {
        for _ in 0..RESERVE_ROUNDS {
            match counters.reserve(reserve).await? {
                Reserved::Admitted { now_ms, repeat } => {
                    self.learn(counters, now_ms);
                    return Ok(Verdict::Admitted { now_ms, repeat, degraded: false });
                }
                Reserved::Refused { now_ms, by } => {
                    self.learn(counters, now_ms);
                    return Ok(Verdict::Refused { now_ms, by });
                }
                Reserved::Cold => self.upkeep.load(counters, reserve.domain).await?,
                Reserved::Wait(ms) => tokio::time::sleep(Duration::from_millis(ms.clamp(1, ROUND_MS))).await,
            }
        }
        Err(StoreError::transient(StoreKind::Domain, "reserve", "the domain stayed cold"))
    }

    /// Takes over the time of the counters of record; the fall-back's is our own.
    fn learn(&self, counters: &Arc<dyn Counters>, store_now_ms: i64) {
        if Arc::ptr_eq(counters, &self.counters) {
            self.time.learn(store_now_ms);
        }
    }

    /// The counters did not answer: the configured policy decides.
    async fn decide_without(
        &self,
        rules: &Rules,
        reserve: &mut Reserve<'_>,
        error: &StoreError,
    ) -> Result<Verdict, Denied> {
        let unavailable = || {
            Denied::Unavailable(
                "The gateway cannot check quotas at the moment. Try again shortly.".to_owned(),
            )
        };
        if error.late && rules.on_outage != OnOutage::Allow {
            // one slow answer is no outage: to decide without the counters now could pass one message too many, while
            // asking again costs the client a moment
            tracing::warn!(%error, "a request was put off: the counters were slow");
            return Err(unavailable());
        }
        if error.store.is_counters() {
            self.upkeep.failed(error);
        }
        match rules.on_outage {
            OnOutage::Deny => Err(unavailable()),
            OnOutage::Allow => {
                Ok(Verdict::Admitted { now_ms: self.time.own_ms(), repeat: 0, degraded: true })
            }
            OnOutage::Ledger => {
                let Some(fallback) = &self.fallback else { return Err(unavailable()) };
                self.book.mark_dirty(reserve.domain.clone());
                match self.reserve_on(fallback, reserve).await {
                    Ok(Verdict::Admitted { now_ms, repeat, .. }) => {
                        Ok(Verdict::Admitted { now_ms, repeat, degraded: true })
                    }
                    Ok(refused) => Ok(refused),
                    Err(error) => {
                        tracing::warn!(%error, "neither the counters nor the ledger can decide");
                        Err(unavailable())
                    }
                }
            }
        }
    }
}

/// Gives back a reserve whose request never came to stand in the journal, also when its task is dropped half-way.
struct ReserveGuard<'a> {
    settler: &'a Settler,
    domain: &'a Domain,
    rid: Uuid,
    armed: bool,
}

impl Drop for ReserveGuard<'_> {
    fn drop(&mut self) {
        if self.armed {
            self.settler.release(self.domain, self.rid);
        }
    }
}

/// A model to use instead: the first one that any plan names literally, that this plan includes, that the full limit
/// does not cover and whose other limits, as far as this request saw them, have room.
fn still_available<'a>(
    policy: &'a Policy,
    who: &Who,
    full: &LimitHold,
    holds: &[LimitHold],
) -> Option<&'a str> {
    let has_room = |it: &LimitHold| {
        it.limit.name == full.limit.name
            || it.standing.remaining() > 0
            || matches!(it.hold.rule, Rule::Rate { .. })
    };
    if !holds.iter().all(has_room) {
        return None;
    }
    let named =
        policy.plans.values().flat_map(|plan| &plan.models.patterns).filter(|pattern| pattern.is_literal());
    named.map(Pattern::as_str).find(|name| who.plan.models.contains(name) && !full.limit.covers(name))
}
