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

use super::harness::Rig;

/// Life of the tokens, in seconds.
const TTL_S: u32 = 3_600;

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
