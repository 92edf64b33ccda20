//! Answers of the scripts as values of the trait.
//!
//! Pure. An answer of another shape is an error, never a guess.

use std::collections::HashMap;

use uuid::Uuid;

use crate::quota::{Bucket, Hold, Scope, Standing};
use crate::store::{Admission, BucketTotal, DomainDump, Refused, Reserved, Settled, Snapshot, StoreError};

/// A waiting caller asks again at least this often, milliseconds: most announcements are there at once.
const MAX_WAIT_MS: u64 = 20;

/// The answer of `reserve.lua`.
pub(super) fn reserved(reply: &[i64], holds: &[Hold]) -> Result<Reserved, StoreError> {
    let wrong = || malformed("reserve", &reply);
    match *reply {
        [0] => Ok(Reserved::Cold),
        [1, wait_ms] => {
            Ok(Reserved::Wait(u64::try_from(wait_ms).map_err(|_| wrong())?.clamp(1, MAX_WAIT_MS)))
        }
        [2, now_ms, ref rows @ ..] => {
            let (epochs, standings) = standings(rows, holds).ok_or_else(wrong)?;
            Ok(Reserved::Admitted(Admission { now_ms, epochs, standings, repeat: 0 }))
        }
        [4, now_ms, repeat, ref rows @ ..] => {
            let (epochs, standings) = standings(rows, holds).ok_or_else(wrong)?;
            let repeat = u32::try_from(repeat).map_err(|_| wrong())?;
            Ok(Reserved::Admitted(Admission { now_ms, epochs, standings, repeat }))
        }
        [3, now_ms, index, ref rows @ ..] => {
            let (_, standings) = standings(rows, holds).ok_or_else(wrong)?;
            let index = usize::try_from(index).ok().filter(|&index| index < holds.len()).ok_or_else(wrong)?;
            Ok(Reserved::Refused(Refused { now_ms, index, standings }))
        }
        _ => Err(wrong()),
    }
}

/// The answer of `read.lua`.
pub(super) fn snapshot(reply: &[i64], holds: &[Hold]) -> Result<Option<Snapshot>, StoreError> {
    let wrong = || malformed("read", &reply);
    match *reply {
        [0] => Ok(None),
        [1, now_ms, ref rows @ ..] => {
            let (rows, resets) = rows.split_at_checked(4 * holds.len()).ok_or_else(wrong)?;
            let (epochs, standings) = standings(rows, holds).ok_or_else(wrong)?;
            if resets.len() != holds.len() {
                return Err(wrong());
            }
            Ok(Some(Snapshot { now_ms, standings, epochs, reset_at_ms: resets.to_vec() }))
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
                    dump.held.push((key.to_owned(), number(epoch).ok_or_else(wrong)?, held));
                }
            }
            Some(("r", rid)) => {
                let rid = Uuid::try_parse(rid).map_err(|_| wrong())?;
                dump.holds.push((rid, number(value).ok_or_else(wrong)?));
            }
            _ => {}
        }
    }
    dump.buckets.sort();
    dump.held.sort();
    dump.holds.sort();
    Ok(Some(dump))
}

fn standings(rows: &[i64], holds: &[Hold]) -> Option<(Vec<u32>, Vec<Standing>)> {
    if rows.len() != 4 * holds.len() {
        return None;
    }
    let standing = |(row, hold): (&[i64], &Hold)| {
        let [epoch, used, held, wait_ms] = *row else { return None };
        let standing = Standing {
            used: u64::try_from(used).ok()?,
            held: u64::try_from(held).ok()?,
            max: hold.rule.max(),
            wait_ms: u64::try_from(wait_ms).ok()?,
        };
        Some((u32::try_from(epoch).ok()?, standing))
    };
    rows.chunks_exact(4).zip(holds).map(standing).collect()
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
    StoreError::permanent("redis", operation, format!("unexpected answer of the script: {reply:?}"))
}
