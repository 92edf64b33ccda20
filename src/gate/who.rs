//! From a caller to the plan and the counters that apply.

use std::sync::Arc;

use super::{Denied, Gate};
use crate::auth::{Caller, Identity};
use crate::quota::{Plan, Subject};

/// A caller with its plan and its place in the counters.
#[derive(Clone, Debug)]
pub struct Who {
    /// Who is counted.
    pub subject: Subject,
    /// The user's id; `None` for anonymous callers.
    pub user: Option<String>,
    /// The team's id.
    pub team: Option<String>,
    /// The plan that applies.
    pub plan: Arc<Plan>,
}

impl Gate {
    /// Finds the plan of a caller.
    ///
    /// # Errors
    /// `Unauthenticated` if anonymous callers are not served, `UnknownPlan` if the token names a plan that the
    /// configuration lacks: a wrong plan is refused, never replaced by another in silence.
    pub fn identify(&self, caller: &Caller) -> Result<Who, Denied> {
        let rules = self.rules.load();
        let policy = &rules.policy;
        let plan = match caller.identity {
            Identity::User => caller.plan.as_deref().unwrap_or(&policy.default_plan),
            Identity::Anonymous { .. } => policy.anonymous_plan.as_deref().ok_or(Denied::Unauthenticated)?,
        };
        let plan = policy.plans.get(plan).cloned().ok_or_else(|| Denied::UnknownPlan(plan.to_owned()))?;
        let subject = match (caller.identity, &caller.user) {
            (Identity::Anonymous { address }, _) => Subject::address(&address.to_string()),
            (Identity::User, Some(user)) => Subject::user(user, caller.team.as_deref()),
            (Identity::User, None) => return Err(Denied::Unauthenticated),
        };
        Ok(Who { subject, user: caller.user.clone(), team: caller.team.clone(), plan })
    }
}
