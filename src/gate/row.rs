//! What a request asks for, and the row of the ledger that its admission begins: who, what, when, and the charges it may
//! come to.

use uuid::Uuid;

use super::rules::{Rules, Who};
use crate::clock::Timestamp;
use crate::quota::{Charge, LimitHold, Rule, month_and_day};
use crate::store::entry::Tokens;
use crate::store::{Alerts, Entry, LimitAlert, MessageKey, Outcome};

/// What a request asks for, once its body is read and its upstream chosen.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The `x-request-id` the client will see.
    pub request_id: String,
    /// The dialect's name.
    pub dialect: &'static str,
    /// The endpoint's name.
    pub endpoint: &'static str,
    /// The upstream chosen first.
    pub upstream: String,
    /// The model as the client wrote it.
    pub model_requested: String,
    /// The model that is sent; quota goes by this one.
    pub model: String,
    /// Asked for as a stream?
    pub stream: bool,
    /// What the client says the request is for, if the configuration calls that background; empty: a message.
    pub task: String,
    /// The message that it is an attempt of, as its client names it, if the client is believed.
    pub message_id: Option<String>,
}

/// The key of the message that a user's client names.
pub(super) fn message_key(who: &Who, asked: &Asked) -> Option<MessageKey> {
    let (user, id) = who.user.as_deref().zip(asked.message_id.as_deref())?;
    Some(MessageKey::of(&[user, &asked.model, id]))
}

/// The row, with which attempt of which message it is.
pub(super) fn with_attempt(entry: Entry, named: Option<(&str, u32)>) -> Entry {
    match named {
        Some((hash, attempt)) => Entry { attempt, message_hash: hash.to_owned(), ..entry },
        None => entry,
    }
}

/// The row of a request as it stands in the journal's BEGIN.
pub(super) fn entry(
    rules: &Rules,
    who: &Who,
    asked: Asked,
    rid: Uuid,
    now: Timestamp,
    holds: &[LimitHold],
) -> Entry {
    let groups: Vec<String> = rules.policy.groups_of(&asked.model).iter().map(ToString::to_string).collect();
    let premium = groups.contains(&rules.policy.premium_group);
    let admitted_at_ms = now.as_millisecond();
    let (month, day) = month_and_day(now, rules.policy.zone);
    Entry {
        id: rid,
        month,
        day,
        request_id: asked.request_id,
        admitted_at_ms,
        ended_at_ms: admitted_at_ms,
        domain: who.subject.domain.to_string(),
        user: who.user.clone(),
        team: who.team.clone(),
        plan: who.plan.name.to_string(),
        dialect: asked.dialect.to_owned(),
        endpoint: asked.endpoint.to_owned(),
        upstream: asked.upstream,
        model_requested: asked.model_requested,
        model_dispatched: asked.model,
        groups,
        premium,
        stream: asked.stream,
        outcome: Outcome::Crashed,
        status: 0,
        tokens: Tokens::default(),
        charges: holds.iter().filter_map(charge).collect(),
        cost_micro_usd: 0,
        price: String::new(),
        task: asked.task,
        attempt: 0,
        message_hash: String::new(),
        first_byte_ms: None,
        duration_ms: 0,
        degraded: false,
        alerts: alerts(rules, holds),
    }
}

/// The charge that goes with a quota hold; rates and in-flight limits are not in the ledger.
fn charge(held: &LimitHold) -> Option<Charge> {
    let LimitHold { hold, epoch, .. } = held;
    match hold.rule {
        Rule::Quota { period_start_ms, period_end_ms, .. } => Some(Charge {
            bucket: hold.bucket.clone(),
            epoch: *epoch,
            period_start_ms,
            period_end_ms,
            amount: hold.amount,
        }),
        Rule::Open { .. } | Rule::Rate { .. } => None,
    }
}

/// Which thresholds the row carries to the ledger: those of its limits, if a webhook is there to be told.
/// `None` costs nothing on the way: no webhook, or no limit with thresholds.
fn alerts(rules: &Rules, holds: &[LimitHold]) -> Option<Alerts> {
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
