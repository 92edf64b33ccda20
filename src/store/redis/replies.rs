//! Answers of the scripts as values of the trait.
//!
//! Pure. An answer of another shape is an error, never a guess.

use std::collections::HashMap;

use uuid::Uuid;

use crate::quota::{Bucket, LimitHold, Scope, Standing};
use crate::store::{BucketTotal, DomainDump, HeldTotal, HoldLease, Reserved, Settled, StoreError, StoreKind};

/// A waiting caller asks again at least this often, milliseconds: most announcements are there at once.
const MAX_WAIT_MS: u64 = 20;

/// The answer of `reserve.lua`.
pub(super) fn reserved(reply: &[i64], holds: &mut [LimitHold]) -> Result<Reserved, StoreError> {
    let wrong = || malformed("reserve", &reply);
    match *reply {
        [0] => Ok(Reserved::Cold),
        [1, wait_ms] => {
            Ok(Reserved::Wait(u64::try_from(wait_ms).map_err(|_| wrong())?.clamp(1, MAX_WAIT_MS)))
        }
        [2, now_ms, ref rows @ ..] => {
            all_counted(rows, holds).ok_or_else(wrong)?;
            Ok(Reserved::Admitted { now_ms, repeat: 0 })
        }
        [4, now_ms, repeat, ref rows @ ..] => {
            all_counted(rows, holds).ok_or_else(wrong)?;
            Ok(Reserved::Admitted { now_ms, repeat: u32::try_from(repeat).map_err(|_| wrong())? })
        }
        [3, now_ms, index, ref rows @ ..] => {
            all_counted(rows, holds).ok_or_else(wrong)?;
            let by = usize::try_from(index).ok().and_then(|index| holds.get(index)).ok_or_else(wrong)?;
            Ok(Reserved::Refused { now_ms, by: Box::new(by.clone()) })
        }
        _ => Err(wrong()),
    }
}

/// The answer of `read.lua`: when the latest of the owners' epochs was opened.
pub(super) fn read(reply: &[i64], holds: &mut [LimitHold]) -> Result<Option<i64>, StoreError> {
    let wrong = || malformed("read", &reply);
    match *reply {
        [0] => Ok(None),
        [1, _now_ms, ref rows @ ..] => {
            let resets =
                counted(rows, holds).filter(|resets| resets.len() == holds.len()).ok_or_else(wrong)?;
            Ok(Some(resets.iter().copied().max().unwrap_or(0)))
        }
        _ => Err(wrong()),
    }
}

/// The answer of `settle.lua`.
pub(super) fn settled(reply: i64) -> Result<Settled, StoreError> {
    match reply {
        0 => Ok(Settled::Cold),
        1 => Ok(Settled::Done),
        2 => Ok(Settled::Late),
        3 => Ok(Settled::Duplicate),
        other => Err(malformed("settle", &other)),
    }
}

/// The answer of `dump.lua`.
pub(super) fn dump(reply: Vec<String>) -> Result<Option<DomainDump>, StoreError> {
    let mut fields = HashMap::with_capacity(reply.len() / 2);
    let mut texts = reply.into_iter();
    while let (Some(field), Some(value)) = (texts.next(), texts.next()) {
        fields.insert(field, value);
    }
    if fields.is_empty() {
        return Ok(None);
    }
    let mut dump = DomainDump::default();
    for (field, value) in &fields {
        let wrong = || malformed("dump", &(field, value));
        match field.split_once('|') {
            Some(("u", suffix)) => {
                let (bucket, epoch) = bucket(suffix).ok_or_else(wrong)?;
                let period = fields.get(&format!("p|{suffix}")).and_then(|period| period.split_once(':'));
                let (start, end) = period.ok_or_else(wrong)?;
                dump.buckets.push(BucketTotal {
                    bucket,
                    epoch,
                    period_start_ms: number(start).ok_or_else(wrong)?,
                    period_end_ms: number(end).ok_or_else(wrong)?,
                    used: number(value).ok_or_else(wrong)?,
                });
            }
            Some(("h", suffix)) => {
                let (key, epoch) = suffix.rsplit_once('|').ok_or_else(wrong)?;
                let held = number(value).ok_or_else(wrong)?;
                if held > 0 {
                    let epoch = number(epoch).ok_or_else(wrong)?;
                    dump.held.push(HeldTotal { bucket_key: key.to_owned(), epoch, held });
                }
            }
            Some(("r", rid)) => {
                let rid = Uuid::try_parse(rid).map_err(|_| wrong())?;
                dump.leases.push(HoldLease { rid, ends_ms: number(value).ok_or_else(wrong)? });
            }
            _ => {}
        }
    }
    dump.buckets.sort();
    dump.held.sort();
    dump.leases.sort();
    Ok(Some(dump))
}

/// Writes into each hold what the answer says of it. `None` if the answer says more or less than that.
fn all_counted(rows: &[i64], holds: &mut [LimitHold]) -> Option<()> {
    counted(rows, holds)?.is_empty().then_some(())
}

/// Writes into each hold what the answer says of it, and returns the rest of the answer.
fn counted<'a>(mut rows: &'a [i64], holds: &mut [LimitHold]) -> Option<&'a [i64]> {
    for held in holds {
        let [epoch, used, held_by_all, wait_ms, rest @ ..] = rows else { return None };
        held.epoch = u32::try_from(*epoch).ok()?;
        held.standing = Standing {
            used: u64::try_from(*used).ok()?,
            held: u64::try_from(*held_by_all).ok()?,
            max: held.hold.rule.max(),
            wait_ms: u64::try_from(*wait_ms).ok()?,
        };
        rows = rest;
    }
    Some(rows)
}

/// `scope|owner|limit|period|epoch`.
fn bucket(suffix: &str) -> Option<(Bucket, u32)> {
    let mut parts = suffix.split('|');
    let scope = match parts.next()? {
        "user" => Scope::User,
        "team" => Scope::Team,
        _ => return None,
    };
    let (owner, limit, period) = (parts.next()?.into(), parts.next()?.into(), parts.next()?.into());
    let epoch = number(parts.next()?)?;
    parts.next().is_none().then_some((Bucket { scope, owner, limit, period }, epoch))
}

fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

fn malformed(operation: &'static str, reply: &dyn std::fmt::Debug) -> StoreError {
    StoreError::permanent(StoreKind::Redis, operation, format!("unexpected answer of the script: {reply:?}"))
}
