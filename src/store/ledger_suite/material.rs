//! What the behaviours are made of: entries, charges, ids.

use crate::clock::Clock;
use crate::quota::{Bucket, Charge, Scope};
use crate::store::entry::{Entry, Outcome, Tokens};

/// Noon of 15 November 2026.
pub(crate) const NOW_MS: i64 = 1_794_744_000_000;
/// The month around it.
pub(crate) const NOVEMBER: (i64, i64) = (1_793_491_200_000, 1_796_083_200_000);

/// A charge to `user|<owner>|messages` in November, first epoch.
pub(crate) fn charge(owner: &str, amount: u64) -> Charge {
    Charge {
        bucket: Bucket {
            scope: Scope::User,
            owner: owner.into(),
            limit: "messages".into(),
            period: "2026-11".into(),
        },
        epoch: 0,
        period_start_ms: NOVEMBER.0,
        period_end_ms: NOVEMBER.1,
        amount,
    }
}

/// A whole answer to `user` in November, charged one message.
pub(crate) fn entry(user: &str) -> Entry {
    Entry {
        id: Clock::system().request_id(),
        month: "2026-11".to_owned(),
        day: "2026-11-15".to_owned(),
        request_id: "req-1".to_owned(),
        admitted_at_ms: NOW_MS,
        ended_at_ms: NOW_MS + 900,
        domain: format!("user:{user}"),
        user: Some(user.to_owned()),
        team: None,
        plan: "free".to_owned(),
        dialect: "openai".to_owned(),
        endpoint: "chat_completions".to_owned(),
        upstream: "openai".to_owned(),
        model_requested: "fast".to_owned(),
        model_dispatched: "gpt-4o-mini".to_owned(),
        groups: vec![],
        premium: false,
        stream: true,
        outcome: Outcome::Ok,
        status: 200,
        tokens: Tokens { input: 11, output: 22, cached: 3, reasoning: 4, estimated: false },
        charges: vec![charge(user, 1)],
        cost_micro_usd: 33,
        price: String::new(),
        task: String::new(),
        attempt: 0,
        message_hash: String::new(),
        first_byte_ms: Some(120),
        duration_ms: 900,
        degraded: false,
        alerts: None,
    }
}

/// An answer that cost nothing.
pub(crate) fn uncharged(user: &str) -> Entry {
    Entry {
        outcome: Outcome::UpstreamError,
        status: 503,
        tokens: Tokens::default(),
        charges: vec![charge(user, 0)],
        cost_micro_usd: 0,
        first_byte_ms: None,
        ..entry(user)
    }
}
