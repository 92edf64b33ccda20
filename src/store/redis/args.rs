//! Calls as the scripts take them: names of keys, arguments in their order.
//!
//! Pure. `holds.lua` and `announce.lua` say what stands where.

use fred::prelude::Value;
use uuid::Uuid;

use crate::quota::{Bucket, Charge, Domain, LimitHold, Rule};
use crate::store::memory::gcra::interval_us;
use crate::store::{Announcement, MessageKey};

/// The hash of a domain. The braces make the domain the slot of all its keys; a domain's text has none.
pub(super) fn domain_key(domain: &Domain) -> String {
    format!("tg:{{{domain}}}")
}

/// The tombstone of a request.
pub(super) fn tombstone_key(domain: &Domain, rid: Uuid) -> String {
    format!("tg:{{{domain}}}:t:{}", rid.simple())
}

/// The arguments of `reserve.lua` and `read.lua`. `epoch` guesses an owner's epoch; a wrong guess costs one more read.
pub(super) fn holds(
    shift_ms: i64,
    rid: &str,
    lease_ms: u64,
    holds: &[LimitHold],
    message: Option<&MessageKey>,
    epoch: impl Fn(&str) -> u32,
) -> Vec<Value> {
    let mut owners: Vec<String> = Vec::with_capacity(2);
    let mut rows = Vec::with_capacity(holds.len() * 7);
    for LimitHold { hold, .. } in holds {
        let owner = hold.bucket.owner_key();
        let index = owners.iter().position(|known| *known == owner).unwrap_or_else(|| {
            owners.push(owner);
            owners.len() - 1
        });
        let (kind, first, second) = match hold.rule {
            Rule::Quota { period_start_ms, period_end_ms, .. } => {
                ("q", period_start_ms.to_string(), period_end_ms.to_string())
            }
            Rule::Open { .. } => ("o", String::new(), String::new()),
            Rule::Rate { max, window_us } => ("r", interval_us(max, window_us).to_string(), String::new()),
        };
        rows.extend([
            Value::from(kind),
            count(index + 1),
            hold.bucket.key().into(),
            text(hold.amount),
            text(hold.rule.max()),
            first.into(),
            second.into(),
        ]);
    }
    let mut args = Vec::with_capacity(4 + 2 * owners.len() + rows.len());
    args.extend([text(shift_ms), rid.into(), text(lease_ms), count(owners.len())]);
    for owner in owners {
        let guess = epoch(&owner);
        args.extend([owner.into(), text(guess)]);
    }
    args.extend(rows);
    args.extend(message.map(|message| Value::from(message.as_str())));
    args
}

/// The arguments of `settle.lua` behind the first two.
pub(super) fn charges(charges: &[Charge]) -> impl Iterator<Item = Value> {
    charges.iter().filter(|charge| charge.amount > 0).flat_map(|charge| {
        [
            charge.bucket.key().into(),
            text(charge.epoch),
            text(charge.period_start_ms),
            text(charge.period_end_ms),
            text(charge.amount),
        ]
    })
}

/// The arguments of `announce.lua` for one announcement.
pub(super) fn announcement(announcement: &Announcement) -> (Uuid, Vec<Value>) {
    let (kind, rid, lease_ms, items): (&str, Uuid, u64, Vec<[Value; 6]>) = match announcement {
        Announcement::Held { rid, holds, lease_ms } => {
            ("h", *rid, *lease_ms, holds.iter().filter_map(held_item).collect())
        }
        Announcement::Ended { rid, charges } => {
            let charged = charges.iter().filter(|charge| charge.amount > 0);
            ("e", *rid, 0, charged.map(ended_item).collect())
        }
    };
    let mut args = vec![kind.into(), rid_text(rid).into(), text(lease_ms), count(items.len())];
    args.extend(items.into_iter().flatten());
    (rid, args)
}

fn held_item(held: &LimitHold) -> Option<[Value; 6]> {
    let LimitHold { hold, epoch, .. } = held;
    let (field_epoch, start, end) = match hold.rule {
        Rule::Quota { period_start_ms, period_end_ms, .. } => {
            (*epoch, text(period_start_ms), text(period_end_ms))
        }
        Rule::Open { .. } => (0, "".into(), "".into()),
        Rule::Rate { .. } => return None,
    };
    Some([hold.bucket.key().into(), text(*epoch), text(field_epoch), text(hold.amount), start, end])
}

fn ended_item(charge: &Charge) -> [Value; 6] {
    [
        charge.bucket.key().into(),
        text(charge.epoch),
        text(charge.epoch),
        text(charge.amount),
        text(charge.period_start_ms),
        text(charge.period_end_ms),
    ]
}

/// A request id as fields carry it.
pub(super) fn rid_text(rid: Uuid) -> String {
    rid.simple().to_string()
}

/// `scope|owner|limit|period|epoch`: the suffix of a bucket's fields.
pub(super) fn bucket_field(bucket: &Bucket, epoch: u32) -> String {
    format!("{}|{epoch}", bucket.key())
}

/// A number as text: exact whatever its size.
pub(super) fn text(number: impl Into<i128>) -> Value {
    number.into().to_string().into()
}

/// A length as text.
pub(super) fn count(length: usize) -> Value {
    length.to_string().into()
}
