//! The rules in force, and from a caller to the plan, the models and the counters that apply.

use std::sync::Arc;

use super::denied::Denied;
use crate::auth::{Caller, Identity};
use crate::quota::{OnOutage, Plan, Policy, Subject};

/// The rules in force. Swapped whole when the configuration is reloaded.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Plans, groups, zone.
    pub policy: Policy,
    /// How long a hold stands without being renewed, in milliseconds.
    pub lease_ms: u64,
    /// What to do while the counters cannot be reached.
    pub on_outage: OnOutage,
    /// Names of the webhooks that are told of thresholds.
    pub webhooks: Vec<String>,
}

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

    /// Does the plan include the model? To be asked before [`super::Gate::admit`], which asks again.
    ///
    /// # Errors
    /// `ModelNotAllowed`, with a sentence for the person.
    pub fn check_model(&self, model: &str) -> Result<(), Denied> {
        if self.plan.models.contains(model) {
            return Ok(());
        }
        let plan = &self.plan;
        let usable = plan.models.written.join(", ");
        let caller = if self.user.is_some() {
            format!("the plan `{}`", plan.name)
        } else {
            "a caller without sign-in".to_owned()
        };
        Err(Denied::ModelNotAllowed(format!(
            "The model `{model}` is not available to {caller}. Available: {usable}."
        )))
    }

    /// May another model stand in for the one that a request was admitted for? True if the plan includes `instead` and every
    /// limit that covers it covers `model` too: then the holds that were taken for `model` include all that `instead` needs,
    /// and no second admission is necessary. A caller whose limits say otherwise gets the upstream's error; what was held for
    /// `model` alone is charged as it was admitted.
    ///
    /// Limits are compared by what they cover, so this holds for any meter whose amount does not grow with the model.
    pub fn may_stand_in(&self, model: &str, instead: &str) -> bool {
        self.plan.models.contains(instead)
            && self.plan.limits.iter().all(|limit| !limit.covers(instead) || limit.covers(model))
    }
}
