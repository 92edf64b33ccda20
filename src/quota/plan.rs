//! Plans, groups of models, and which limits a request touches.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono_tz::Tz;

use super::{
    Bucket, CallClass, Domain, Hold, Limit, LimitHold, Meter, ModelSet, Pattern, Rule, Scope, Window,
    encode_id,
};
use crate::clock::Timestamp;

/// A named set of models (`@premium`).
#[derive(Clone, Debug)]
pub struct Group {
    /// Name without the `@`.
    pub name: Arc<str>,
    /// Its patterns.
    pub patterns: Vec<Pattern>,
}

/// What a caller of this plan may do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Its name.
    pub name: Arc<str>,
    /// Models it may use at all.
    pub models: ModelSet,
    /// Its limits, in the order of the configuration.
    pub limits: Vec<Arc<Limit>>,
}

/// Everything the configuration says about quota. Swapped whole on reload.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Where a month, week or day begins.
    pub zone: Tz,
    /// Groups by name.
    pub groups: BTreeMap<Arc<str>, Group>,
    /// Plans by name.
    pub plans: BTreeMap<Arc<str>, Arc<Plan>>,
    /// The plan of a verified user whose token names none.
    pub default_plan: Arc<str>,
    /// The plan of a caller without credential; `None`: they are refused with 401.
    pub anonymous_plan: Option<Arc<str>>,
    /// The group whose models are premium; no group of this name: no model is.
    pub premium_group: String,
}

/// Who is counted: the domain and the owners of its buckets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// What is checked together.
    pub domain: Domain,
    /// The encoded id that owns user-scope buckets.
    pub owner: Arc<str>,
    /// The encoded id that owns team-scope buckets, if the caller has a team.
    pub team: Option<Arc<str>>,
}

impl Subject {
    /// A verified user, alone or in a team.
    pub fn user(user: &str, team: Option<&str>) -> Self {
        Self {
            domain: team.map_or_else(|| Domain::user(user), Domain::team),
            owner: encode_id(user).into(),
            team: team.map(|team| encode_id(team).into()),
        }
    }

    /// An anonymous caller.
    pub fn address(address: &str) -> Self {
        Self { domain: Domain::address(address), owner: encode_id(address).into(), team: None }
    }

    /// Who owns the bucket of a limit with this scope. A team limit of a caller without a team is the caller's own.
    pub fn owner_of(&self, scope: Scope) -> (Scope, &Arc<str>) {
        match (scope, &self.team) {
            (Scope::Team, Some(team)) => (Scope::Team, team),
            _ => (Scope::User, &self.owner),
        }
    }
}

impl Plan {
    /// Does any of its limits count background calls on this model? Without one, each is a message.
    pub fn caps_background(&self, model: &str) -> bool {
        self.limits.iter().any(|limit| limit.meter == Meter::Background && limit.covers(model))
    }
}

impl Policy {
    /// The groups a model belongs to, in alphabetical order.
    pub fn groups_of(&self, model: &str) -> Vec<Arc<str>> {
        let holds_model = |group: &&Group| group.patterns.iter().any(|pattern| pattern.matches(model));
        self.groups.values().filter(holds_model).map(|group| Arc::clone(&group.name)).collect()
    }

    /// The holds that a call of this class on `model` must take: one for each limit of the plan that applies, each of
    /// one unit, in the order of the plan.
    pub fn holds(
        &self,
        plan: &Plan,
        subject: &Subject,
        (model, class): (&str, CallClass),
        now: Timestamp,
    ) -> Vec<LimitHold> {
        let applies = |limit: &&Arc<Limit>| limit.applies(model, class);
        plan.limits.iter().filter(applies).map(|limit| self.hold(limit, subject, now)).collect()
    }

    /// The hold of one limit, whatever model it covers.
    pub fn hold(&self, limit: &Arc<Limit>, subject: &Subject, now: Timestamp) -> LimitHold {
        let (scope, owner) = subject.owner_of(limit.scope);
        let (period, rule) = match limit.window {
            Window::Calendar(calendar) => {
                let period = calendar.period_at(now, self.zone);
                let rule = Rule::Quota {
                    max: limit.max,
                    period_start_ms: period.start.as_millisecond(),
                    period_end_ms: period.end.as_millisecond(),
                };
                (period.id, rule)
            }
            Window::Rate(rate) => ("rate".into(), Rule::Rate { max: limit.max, window_us: rate.window_us() }),
            Window::Open => ("open".into(), Rule::Open { max: limit.max }),
        };
        let bucket = Bucket { scope, owner: Arc::clone(owner), limit: Arc::clone(&limit.name), period };
        LimitHold::new(Arc::clone(limit), Hold { bucket, rule, amount: 1 })
    }
}

/// What to do while the counters cannot be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnOutage {
    /// Decide from the ledger's totals and this gateway's own holds.
    #[default]
    Ledger,
    /// Refuse with 503.
    Deny,
    /// Let pass, and record it.
    Allow,
}
