//! The row of the ledger that an admission begins: who, what, when, and the charges it may come to.

use uuid::Uuid;

use super::alerts::alerts;
use super::{Asked, Rules, Who};
use crate::clock::Timestamp;
use crate::quota::{Charge, Hold, Rule, month_and_day};
use crate::store::entry::Tokens;
use crate::store::{Admission, Entry, MessageKey, Outcome};

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
    (rid, now): (Uuid, Timestamp),
    holds: &[Hold],
    admission: &Admission,
) -> Entry {
    let groups = rules.policy.groups_of(&asked.model).iter().map(ToString::to_string).collect();
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
        stream: asked.stream,
        outcome: Outcome::Crashed,
        status: 0,
        tokens: Tokens::default(),
        charges: charges(holds, &admission.epochs),
        cost_micro_usd: 0,
        price: String::new(),
        task: asked.task,
        attempt: 0,
        message_hash: String::new(),
        first_byte_ms: None,
        duration_ms: 0,
        degraded: false,
        alerts: alerts(rules, who, holds),
    }
}

/// The charges that go with quota holds; rates and in-flight limits are not in the ledger.
fn charges(holds: &[Hold], epochs: &[u32]) -> Vec<Charge> {
    let quota = holds.iter().zip(epochs).filter_map(|(hold, epoch)| match hold.rule {
        Rule::Quota { period_start_ms, period_end_ms, .. } => Some(Charge {
            bucket: hold.bucket.clone(),
            epoch: *epoch,
            period_start_ms,
            period_end_ms,
            amount: hold.amount,
        }),
        Rule::Open { .. } | Rule::Rate { .. } => None,
    });
    quota.collect()
}
