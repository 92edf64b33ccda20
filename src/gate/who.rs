//! From a caller to the plan and the counters that apply.

use std::sync::Arc;

use super::{Denied, Gate, Rules};
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
    /// The rules that the plan stands in: a request is admitted by these, whatever a reload brings meanwhile.
    pub rules: Arc<Rules>,
}

impl Who {
    /// Finds the plan of a caller in these rules.
    ///
    /// # Errors
    /// `Unauthenticated` if anonymous callers are not served, `UnknownPlan` if the token names a plan that the
    /// configuration lacks: a wrong plan is refused, never replaced by another in silence.
    pub fn of(caller: &Caller, rules: Arc<Rules>) -> Result<Self, Denied> {
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
        Ok(Self { subject, user: caller.user.clone(), team: caller.team.clone(), plan, rules })
    }
}

impl Gate {
    /// Finds the plan of a caller in the rules in force.
    ///
    /// # Errors
    /// As [`Who::of`].
    pub fn identify(&self, caller: &Caller) -> Result<Who, Denied> {
        Who::of(caller, self.rules())
    }
}
