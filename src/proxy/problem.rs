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
}

/// A credential that is no good.
pub fn of_auth(error: AuthError) -> Rejection {
    let sentence = sentence(&error.to_string());
    match error {
        AuthError::KeysUnavailable => {
            Rejection::new(Problem::new(Kind::Overloaded, sentence), outcome::ERROR)
        }
        AuthError::Missing
        | AuthError::Conflict
        | AuthError::Scheme
        | AuthError::Malformed
        | AuthError::Signature
        | AuthError::Expired
        | AuthError::NotYetValid
        | AuthError::NotAccepted
        | AuthError::Identity
        | AuthError::Peer => {
            Rejection::new(Problem::new(Kind::InvalidApiKey, sentence), outcome::REFUSED_AUTH)
        }
    }
}

/// A request that the gate does not admit.
pub fn of_denied(denied: &Denied) -> Rejection {
    match denied {
        Denied::Unauthenticated => of_auth(AuthError::Missing),
        Denied::UnknownPlan(_) => Rejection::new(
            Problem::new(Kind::ModelNotAllowed, sentence(&denied.to_string())),
            outcome::REFUSED_MODEL,
        ),
        Denied::ModelNotAllowed(text) => {
            Rejection::new(Problem::new(Kind::ModelNotAllowed, text.clone()), outcome::REFUSED_MODEL)
        }
        Denied::Refused(refusal) => of_refusal(refusal),
        Denied::Unavailable(text) => {
            Rejection::new(Problem::new(Kind::Overloaded, text.clone()), outcome::ERROR)
        }
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
    Rejection::new(Problem::new(Kind::ModelNotFound, sentence(&error.to_string())), outcome::REFUSED_MODEL)
}

/// Upstreams that can take no more requests at once.
pub fn of_full(full: Full) -> Rejection {
    let text = format!("{} Try again shortly.", sentence(&full.to_string()));
    Rejection::new(Problem::new(Kind::Overloaded, text), outcome::ERROR)
}

/// A body that was not read; `None` if nobody is there to be told.
pub fn of_body(error: &BodyError, max_bytes: u64) -> Option<Rejection> {
    match error {
        BodyError::TooLarge => {
            let text = format!("The request body is over the limit of {max_bytes} bytes.");
            Some(Rejection::new(Problem::new(Kind::TooLarge, text), outcome::BAD_REQUEST))
        }
        BodyError::TooSlow => {
            let text = "The request body did not arrive in time.";
            Some(Rejection::new(Problem::new(Kind::InvalidRequest, text), outcome::BAD_REQUEST))
        }
        BodyError::Broken => None,
    }
}

/// An error text as a sentence.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}
