//! An administrator's reset: a new epoch for a user's counters, wherever the user is counted. The ledger keeps its rows.

use super::{Denied, Gate, Who};
use crate::clock::Timestamp;
use crate::quota::{Domain, Scope, Subject, encode_id};
use crate::store::StoreError;
use crate::store::audit::Audit;
use crate::store::ledger::ResetRequest;

/// How many of the teams that a user has belonged to are reset with the user.
const DOMAINS_MAX: u32 = 16;

impl Gate {
    /// Resets a user: in the user's own domain and in each team the ledger has seen the user in. Returns when.
    ///
    /// # Errors
    /// The ledger's: nothing happened in that domain. The counters': it is recorded, and binds when they answer again.
    pub async fn reset_user(&self, user: &str, audit: Audit<'_>) -> Result<Timestamp, StoreError> {
        let now = self.now();
        let owner_key = format!("{}|{}", Scope::User.as_str(), encode_id(user));
        let mut domains = vec![Domain::user(user)];
        domains.extend(self.ledger.domains_of(user, DOMAINS_MAX).await?.into_iter().filter(Domain::is_team));
        for domain in domains {
            let request =
                ResetRequest { domain: &domain, owner_key: &owner_key, now_ms: now.as_millisecond(), audit };
            let epoch = self.ledger.reset(&request).await?;
            if let Some(fallback) = &self.fallback {
                fallback.open_epoch(&domain, &epoch).await?;
            }
            if let Err(error) = self.counters.open_epoch(&domain, &epoch).await {
                self.book.mark_dirty(domain);
                return Err(error);
            }
        }
        Ok(now)
    }

    /// A user as last seen by the ledger: for administrators, who do not hold the user's token.
    ///
    /// # Errors
    /// `Unavailable` if the ledger does not answer, `UnknownPlan` if the default plan is missing.
    pub async fn last_seen(&self, user: &str) -> Result<Who, Denied> {
        let unavailable = |error: StoreError| {
            tracing::warn!(%error, "the ledger did not say where a user was last seen");
            Denied::Unavailable("The ledger does not answer. Try again shortly.".to_owned())
        };
        let seen = self.ledger.last_seen(user).await.map_err(unavailable)?;
        let (team, plan) = seen.map_or((None, None), |seen| (seen.team, Some(seen.plan)));
        let rules = self.rules();
        let policy = &rules.policy;
        let default = || policy.plans.get(&policy.default_plan);
        let plan = plan.and_then(|plan| policy.plans.get(plan.as_str())).or_else(default).cloned();
        let plan = plan.ok_or_else(|| Denied::UnknownPlan(policy.default_plan.to_string()))?;
        let subject = Subject::user(user, team.as_deref());
        Ok(Who { subject, user: Some(user.to_owned()), team, plan, rules })
    }
}
