//! What the configuration says, checked: plain values that the other rooms take their part of.
//!
//! Owns the structs, their defaults and the redaction of secrets. Must not know TOML, files or problems.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;

use crate::auth::{ClientRules, IssuerSettings, ServiceSettings};
use crate::notify::WebhookSettings;
use crate::quota::{OnOutage, Policy, PriceList};
use crate::upstream::UpstreamSettings;

/// Everything the configuration says.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the gateway listens.
    pub server: ServerSettings,
    /// Where it keeps what it counts.
    pub storage: StorageSettings,
    /// What it counts against.
    pub quota: QuotaSettings,
    /// Who signs the users' tokens; may be empty if anonymous callers are let in.
    pub issuers: Vec<IssuerSettings>,
    /// How chat apps mark their calls, and which of them speak for their users.
    pub apps: AppSettings,
    /// Where requests go; at least one.
    pub upstreams: Vec<UpstreamSettings>,
    /// Other names of models, and models that stand in for others.
    pub routing: Routing,
    /// What models cost.
    pub prices: PriceList,
    /// Who is told of thresholds.
    pub webhooks: Vec<WebhookSettings>,
    /// The file they come from; `None`: the list that is built in.
    pub prices_file: Option<PathBuf>,
}

/// `[[apps]]`; the issuers that they make stand with the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppSettings {
    /// What marks their calls.
    pub rules: Vec<ClientRules>,
    /// Those that name their users in plain headers.
    pub services: Vec<ServiceSettings>,
}

/// `[rewrite]`, `upstreams.rewrite` and `[fallback]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routing {
    /// Another name of a model to the model.
    pub aliases: BTreeMap<String, String>,
    /// A model to those that may stand in for it, best first.
    pub fallbacks: BTreeMap<String, Vec<String>>,
}

/// `[server]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSettings {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Metrics and health; not for the public.
    pub admin_listen: SocketAddr,
    /// The largest request body, in bytes: 1 KiB to 1 GiB.
    pub max_body_bytes: u64,
    /// Peers whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Origins whose scripts may call the gateway from a browser; `*`: every origin.
    pub cors_origins: Vec<String>,
}

/// `[storage]`. Its `Debug` shows no URL and no password.
#[derive(Clone, PartialEq, Eq)]
pub struct StorageSettings {
    /// The journal, and the `SQLite` ledger when there is no `database_url`.
    pub data_dir: PathBuf,
    /// The ledger's `postgresql://…`; `None`: `SQLite` in `data_dir`.
    pub database_url: Option<String>,
    /// A copy of the ledger to read history and analytics from; only beside `database_url`.
    pub database_replica_url: Option<String>,
    /// The counters' `redis://…`; `None`: in memory, one gateway only.
    pub redis_url: Option<String>,
    /// The password for `redis_url`, where it has none.
    pub redis_password: Option<String>,
    /// Authorities that sign Redis's certificate, DER-encoded; empty: those of the machine.
    pub redis_ca: Vec<Vec<u8>>,
    /// Create and upgrade tables at start?
    pub migrate: bool,
}

impl Default for StorageSettings {
    /// Embedded stores in `data`.
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("data"),
            database_url: None,
            database_replica_url: None,
            redis_url: None,
            redis_password: None,
            redis_ca: Vec::new(),
            migrate: true,
        }
    }
}

impl fmt::Debug for StorageSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = |secret: &Option<String>| secret.as_ref().map(|_| "…");
        f.debug_struct("StorageSettings")
            .field("data_dir", &self.data_dir)
            .field("database_url", &hidden(&self.database_url))
            .field("database_replica_url", &hidden(&self.database_replica_url))
            .field("redis_url", &hidden(&self.redis_url))
            .field("redis_password", &hidden(&self.redis_password))
            .field("redis_ca", &self.redis_ca.len())
            .field("migrate", &self.migrate)
            .finish()
    }
}

/// `[quota]`, `[groups]` and `[plans]`.
#[derive(Clone, Debug)]
pub struct QuotaSettings {
    /// Zone, groups, plans, and who gets which plan.
    pub policy: Policy,
    /// Literal API keys that mean "no credential".
    pub anonymous_keys: Vec<String>,
    /// What decides while the counters are out of reach.
    pub on_outage: OnOutage,
    /// After this the hold of a crashed gateway is free again, in milliseconds: 10 s to 24 h.
    pub lease_ms: u64,
}
