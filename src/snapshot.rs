//! The configuration in force, as one value. A reload makes a new one and swaps it in whole; a request takes the one that
//! is there when it arrives and keeps it to its end, so that it never meets new rules with old upstreams.
//!
//! Owns what is made of the settings for requests. It must not know how a request is answered, nor when a file is read.

use std::sync::Arc;

use arc_swap::ArcSwap;
use http::HeaderName;
use ipnet::IpNet;

use crate::auth::{AuthOptions, AuthSetupError, Authenticator, ClientRules};
use crate::clock::Clock;
use crate::config::Settings;
use crate::gate::Rules;
use crate::quota::{Pattern, PriceList};
use crate::upstream::UpstreamTable;

/// Where the configuration in force is found.
pub type InForce = Arc<ArcSwap<ConfigSnapshot>>;

/// What the settings say about requests.
pub struct ConfigSnapshot {
    /// Plans and limits.
    pub rules: Arc<Rules>,
    /// Who is calling.
    pub auth: Arc<Authenticator>,
    /// Who serves what, with which key.
    pub upstreams: UpstreamTable,
    /// What models cost.
    pub prices: PriceList,
    /// Largest request body in bytes.
    pub max_body_bytes: u64,
    /// Peers whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Origins whose scripts may call the gateway.
    pub cors_origins: Vec<String>,
    /// How chat apps mark their calls.
    pub client_rules: Vec<ClientRules>,
    /// Headers of the configuration that name a person, carry a token or a message's id: they never go upstream.
    pub private_headers: Vec<HeaderName>,
}

impl ConfigSnapshot {
    /// Makes one of checked settings. Spawn [`Authenticator::keep_fresh`] for its keys.
    ///
    /// # Errors
    /// A key that cannot be read; says which file and what to do.
    pub fn new(settings: &Settings, clock: &Clock) -> Result<Self, AuthSetupError> {
        Ok(Self {
            rules: Arc::new(rules(settings)),
            auth: Arc::new(authenticator(settings, clock)?),
            upstreams: UpstreamTable::new(settings.upstreams.clone())
                .with_aliases(&settings.routing.aliases)
                .with_fallbacks(&settings.routing.fallbacks),
            prices: settings.prices.clone(),
            max_body_bytes: settings.server.max_body_bytes,
            trusted_proxies: settings.server.trusted_proxies.clone(),
            cors_origins: settings.server.cors_origins.clone(),
            client_rules: settings.apps.rules.clone(),
            private_headers: private_headers(settings),
        })
    }

    /// The models that the configuration spells out, as a group's, a plan's or an upstream's; some of them twice.
    pub fn named_models(&self) -> impl Iterator<Item = &str> {
        let policy = &self.rules.policy;
        let groups = policy.groups.values().flat_map(|group| &group.patterns);
        let plans = policy.plans.values().flat_map(|plan| &plan.models.patterns);
        let literal = groups.chain(plans).filter(|pattern| pattern.is_literal()).map(Pattern::as_str);
        literal.chain(self.upstreams.literal_models())
    }
}

/// The issuers of the settings.
///
/// # Errors
/// A key that cannot be read; says which file and what to do.
pub fn authenticator(settings: &Settings, clock: &Clock) -> Result<Authenticator, AuthSetupError> {
    let options = AuthOptions {
        anonymous_keys: settings.quota.anonymous_keys.clone(),
        services: settings.apps.services.clone(),
        ..AuthOptions::default()
    };
    Authenticator::new(settings.issuers.clone(), options, clock.clone())
}

fn rules(settings: &Settings) -> Rules {
    Rules {
        policy: settings.quota.policy.clone(),
        lease_ms: settings.quota.lease_ms,
        on_outage: settings.quota.on_outage,
        webhooks: settings.webhooks.iter().map(|webhook| webhook.name.clone()).collect(),
    }
}

/// The configured headers that must not leave: tokens, what names a person, ids of messages.
fn private_headers(settings: &Settings) -> Vec<HeaderName> {
    let tokens = settings.issuers.iter().filter_map(|issuer| issuer.header.as_deref());
    let people = settings.apps.services.iter().flat_map(|service| {
        [Some(&service.user_header), service.plan_header.as_ref(), service.team_header.as_ref()]
    });
    let messages = settings.apps.rules.iter().filter_map(|app| app.message_id_header.as_deref());
    // the configuration has checked each name
    let names = tokens.chain(people.flatten().map(String::as_str)).chain(messages);
    names.filter_map(|name| HeaderName::try_from(name).ok()).collect()
}
