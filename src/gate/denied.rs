//! Why a request may not go upstream. Every variant has one answer; `proxy::respond` and `api` match on all of them.

use crate::quota::Refusal;

/// A request that is not admitted. Nothing was counted.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Denied {
    /// Nobody is anonymous here.
    #[error("a credential is required")]
    Unauthenticated,
    /// The token names a plan that is not configured.
    #[error("the plan `{0}` of this token is not configured on this gateway")]
    UnknownPlan(String),
    /// The plan does not include the model.
    #[error("{0}")]
    ModelNotAllowed(String),
    /// A limit would not take one more.
    #[error("{}", .0.message)]
    Refused(Box<Refusal>),
    /// The gateway cannot take or cannot decide it now; asking again may work.
    #[error("{0}")]
    Unavailable(String),
}
