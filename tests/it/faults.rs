//! Each fault that Redis, PostgreSQL, disks, clocks and processes can have, as a test named after what is promised then.
//! A test prints what it measured; `scripts/faults` raises the numbers and makes `docs/faults.md` of the lines.

mod damage;
mod disk;
mod kills;
mod last_unit;
mod ledger_down;
mod limits;
mod month_turn;
mod panics;
mod rebuild;
mod redis_down;
mod redis_lost;
mod segments;
mod skew;
mod soak;
mod sync_error;

use tollgate::auth::TokenRequest;

use super::harness::{Gateway, Rig, Seen};

/// Life of the tokens, in seconds.
const TTL_S: u32 = 3_600;

/// What a gateway logs when it refuses with 503: both stores are away, or Redis alone was late.
const REASONS: [&str; 2] =
    ["neither the counters nor the ledger can decide", "a request was put off: the counters were slow"];

/// How many requests were put off with 503, on a busy machine. There is no other error of the server, and the gateways have
/// said so of each.
fn put_off(rig: &Rig, seen: &Seen) -> u64 {
    let logs: Vec<String> = rig.gateways.iter().map(Gateway::log).collect();
    let told = |reason: &str| logs.iter().map(|log| log.matches(reason).count()).sum::<usize>();
    let told: usize = REASONS.map(told).iter().sum();
    let put_off = seen.count(503);
    assert_eq!(seen.server_errors(), put_off, "{}", seen.examples());
    assert!(put_off <= told as u64, "{put_off} put off, {told} told: {}", seen.examples());
    put_off
}

/// Tokens of new users on a plan.
fn users(rig: &Rig, prefix: &str, count: usize, plan: &str) -> Vec<String> {
    (0..count).map(|number| user(rig, &format!("{prefix}-{number}"), plan)).collect()
}

/// The token of one user on a plan.
fn user(rig: &Rig, name: &str, plan: &str) -> String {
    rig.token_of(TokenRequest {
        user: name.to_owned(),
        plan: Some(plan.to_owned()),
        ttl_s: TTL_S,
        ..TokenRequest::default()
    })
}
