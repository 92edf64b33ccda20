//! From a refusal to the problem that the caller is told, and to the metric that counts it. Exhaustive: a new kind of
//! refusal does not compile until it has its answer here.

use super::body::BodyError;
use crate::auth::AuthError;
use crate::clock::Timestamp;
use crate::dialect::{Kind, LimitFacts, Problem, Retry};
use crate::gate::Denied;
use crate::quota::{LimitHold, Refusal, Scope};
use crate::telemetry::outcome;
use crate::upstream::{Full, NoUpstream};

/// A problem and the metric outcome it counts as.
pub struct Rejection {
    /// What the caller is told.
    pub problem: Box<Problem>,
    /// The metric outcome.
    pub outcome: &'static str,
}

impl Rejection {
    /// A refusal with this problem, counted as this outcome.
    pub fn new(problem: Problem, outcome: &'static str) -> Self {
        Self { problem: Box::new(problem), outcome }
    }

    /// The same in short.
    pub fn of(kind: Kind, text: impl Into<String>, outcome: &'static str) -> Self {
        Self::new(Problem::new(kind, text), outcome)
    }
}

/// A credential that is no good, unless it is the keys that are missing.
pub fn of_auth(error: AuthError) -> Rejection {
    let (kind, outcome) = if error.is_callers_fault() {
        (Kind::InvalidApiKey, outcome::REFUSED_AUTH)
    } else {
        (Kind::Overloaded, outcome::ERROR)
    };
    Rejection::of(kind, sentence(&error.to_string()), outcome)
}

/// A request that the gate does not admit.
pub fn of_denied(denied: Denied) -> Rejection {
    match denied {
        Denied::Unauthenticated => of_auth(AuthError::Missing),
        Denied::UnknownPlan(_) => {
            Rejection::of(Kind::ModelNotAllowed, sentence(&denied.to_string()), outcome::REFUSED_MODEL)
        }
        Denied::ModelNotAllowed(text) => Rejection::of(Kind::ModelNotAllowed, text, outcome::REFUSED_MODEL),
        Denied::Refused(refusal) => of_refusal(&refusal),
        Denied::Unavailable(text) => Rejection::of(Kind::Overloaded, text, outcome::ERROR),
    }
}

fn of_refusal(refusal: &Refusal) -> Rejection {
    let wait_s = refusal.retry_after_ms.map(|ms| ms.div_ceil(1000));
    let (kind, retry, outcome) = if refusal.is_long() {
        (Kind::QuotaSpent, Retry::Never { after_s: wait_s }, outcome::REFUSED_QUOTA)
    } else {
        let retry = refusal.retry_after_ms.map_or(Retry::Soon { s: 1 }, |ms| Retry::After { ms });
        (Kind::RateLimited, retry, outcome::REFUSED_RATE)
    };
    let problem = Problem::new(kind, refusal.message.clone()).with_retry(retry);
    // a member does not learn the team's figures
    let LimitHold { limit, standing, .. } = &refusal.full;
    if limit.scope == Scope::Team {
        return Rejection::new(problem, outcome);
    }
    let facts = LimitFacts {
        limit: limit.name.to_string(),
        used: standing.used,
        max: standing.max,
        held: refusal.is_held().then_some(standing.held),
        resets_at: refusal.full.resets_at().map(Timestamp::to_seconds),
    };
    Rejection::new(problem.with_limit(facts), outcome)
}

/// A model that nobody serves.
pub fn of_no_upstream(error: &NoUpstream) -> Rejection {
    Rejection::of(Kind::ModelNotFound, sentence(&error.to_string()), outcome::REFUSED_MODEL)
}

/// Upstreams that can take no more requests at once.
pub fn of_full(full: Full) -> Rejection {
    let text = format!("{} Try again shortly.", sentence(&full.to_string()));
    Rejection::of(Kind::Overloaded, text, outcome::ERROR)
}

/// A body that was not read; `None` if nobody is there to be told.
pub fn of_body(error: &BodyError, max_bytes: u64) -> Option<Rejection> {
    let (kind, text) = match error {
        BodyError::TooLarge => {
            (Kind::TooLarge, format!("The request body is over the limit of {max_bytes} bytes."))
        }
        BodyError::TooSlow => (Kind::InvalidRequest, "The request body did not arrive in time.".to_owned()),
        BodyError::Broken => return None,
    };
    Some(Rejection::of(kind, text, outcome::BAD_REQUEST))
}

/// An error text as a sentence.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}
