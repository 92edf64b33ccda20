//! What is used and what is left, why a user may or may not send a message, and an administrator's reset: a new epoch for
//! a user's counters, wherever the user is counted. The ledger keeps its rows.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::book::Book;
use super::denied::Denied;
use super::rules::{Rules, Who};
use super::shared::{CountersTime, Parts};
use super::upkeep::Upkeep;
use crate::clock::Timestamp;
use crate::quota::{
    Calendar, CallClass, Domain, Limit, LimitHold, Meter, ModelSet, Refusal, Scope, Subject, Window,
    encode_id,
};
use crate::store::audit::Audit;
use crate::store::ledger::ResetRequest;
use crate::store::{BucketTotal, Counters, Ledger, StoreError};

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

/// How many of the teams that a user has belonged to are reset with the user.
const DOMAINS_MAX: u32 = 16;

/// Answers from the counters and the ledger.
pub struct Reports {
    counters: Arc<dyn Counters>,
    fallback: Option<Arc<dyn Counters>>,
    ledger: Arc<dyn Ledger>,
    rules: Arc<ArcSwap<Rules>>,
    time: Arc<CountersTime>,
    book: Arc<Book>,
    upkeep: Arc<Upkeep>,
}

impl Reports {
    pub(super) fn new(
        parts: &Parts,
        rules: Arc<ArcSwap<Rules>>,
        time: Arc<CountersTime>,
        book: Arc<Book>,
        upkeep: Arc<Upkeep>,
    ) -> Self {
        let (counters, fallback) = (Arc::clone(&parts.counters), parts.fallback.clone());
        Self { counters, fallback, ledger: Arc::clone(&parts.ledger), rules, time, book, upkeep }
    }

    /// The numbers of every limit of a plan.
    ///
    /// # Errors
    /// The counters' or the ledger's, if neither can tell.
    pub async fn usage(&self, who: &Who) -> Result<UsageView, StoreError> {
        let rules = self.rules.load_full();
        let domain = &who.subject.domain;
        self.book.wait_own(domain).await;
        let now = self.time.now();
        let limits = who.plan.limits.iter();
        let mut limits: Vec<_> = limits.map(|limit| rules.policy.hold(limit, &who.subject, now)).collect();
        let (reset_at_ms, degraded) = match self.upkeep.read(&self.counters, domain, &mut limits).await {
            Ok(reset_at_ms) => (reset_at_ms, false),
            Err(error) => match &self.fallback {
                Some(fallback) => (self.upkeep.read(fallback, domain, &mut limits).await?, true),
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

    /// Explains the next message of `who` on `model`. Takes nothing.
    ///
    /// # Errors
    /// A store that does not answer.
    pub async fn explain(&self, who: &Who, model: &str) -> Result<Explanation, StoreError> {
        let (rules, now) = (self.rules.load_full(), self.time.now());
        let domain = &who.subject.domain;
        self.book.wait_own(domain).await;
        let covering = who.plan.limits.iter().filter(|limit| limit.covers(model));
        let mut holds: Vec<_> = covering.map(|limit| rules.policy.hold(limit, &who.subject, now)).collect();
        self.upkeep.read(&self.counters, domain, &mut holds).await?;
        let totals = self.ledger.load(domain, now.as_millisecond()).await?;
        let dump = self.counters.dump(domain).await?.unwrap_or_default();
        let full = holds.iter().find(|held| held.limit.counts(CallClass::Message) && !has_room(held));
        let verdict = match (who.check_model(model), full) {
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

    /// Resets a user: in the user's own domain and in each team the ledger has seen the user in. Returns when.
    ///
    /// # Errors
    /// The ledger's: nothing happened in that domain. The counters': it is recorded, and binds when they answer again.
    pub async fn reset_user(&self, user: &str, audit: Audit<'_>) -> Result<Timestamp, StoreError> {
        let now = self.time.now();
        let owner_key = format!("{}|{}", Scope::User.as_str(), encode_id(user));
        let mut domains = vec![Domain::user(user)];
        domains.extend(self.ledger.domains_of(user, DOMAINS_MAX).await?.into_iter().filter(Domain::is_team));
        for domain in domains {
            let request =
                ResetRequest { domain: &domain, owner_key: &owner_key, now_ms: now.as_millisecond(), audit };
            let epoch = self.ledger.reset(&request).await?;
            if let Some(fallback) = &self.fallback {
                fallback.open_epoch(&domain, &epoch).await?;
            }
            if let Err(error) = self.counters.open_epoch(&domain, &epoch).await {
                self.book.mark_dirty(domain);
                return Err(error);
            }
        }
        Ok(now)
    }

    /// A user as last seen by the ledger: for administrators, who do not hold the user's token.
    ///
    /// # Errors
    /// `Unavailable` if the ledger does not answer, `UnknownPlan` if the default plan is missing.
    pub async fn last_seen(&self, user: &str) -> Result<Who, Denied> {
        let unavailable = |error: StoreError| {
            tracing::warn!(%error, "the ledger did not say where a user was last seen");
            Denied::Unavailable("The ledger does not answer. Try again shortly.".to_owned())
        };
        let seen = self.ledger.last_seen(user).await.map_err(unavailable)?;
        let (team, plan) = seen.map_or((None, None), |seen| (seen.team, Some(seen.plan)));
        let rules = self.rules.load_full();
        let policy = &rules.policy;
        let default = || policy.plans.get(&policy.default_plan);
        let plan = plan.and_then(|plan| policy.plans.get(plan.as_str())).or_else(default).cloned();
        let plan = plan.ok_or_else(|| Denied::UnknownPlan(policy.default_plan.to_string()))?;
        let subject = Subject::user(user, team.as_deref());
        Ok(Who { subject, user: Some(user.to_owned()), team, plan, rules })
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
