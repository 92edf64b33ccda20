//! The only room that names Pingora: the phases of a request, each short, its context, body, peer and headers, and
//! `respond`, the one place where an answer of our own is written.
//!
//! Knows `gate`, `auth`, `dialect` and `upstream`; must not know SQL, Redis or any concrete store.

mod answer;
mod attempts;
mod body;
mod checks;
mod context;
mod cors;
mod drain;
mod forward;
mod intake;
mod listen;
mod local;
mod models;
mod patience;
mod peer;
mod phases;
mod price;
mod problem;
mod replay;
mod respond;

use std::sync::Arc;

use arc_swap::ArcSwap;
use http::HeaderName;
use ipnet::IpNet;
use pingora::apps::HttpServerOptions;
use pingora::protocols::http::v2::server::default_h2_options;
use pingora::proxy::{HttpProxy, http_proxy};
use pingora::server::configuration::ServerConf;
use tokio::sync::watch;

pub use checks::keep_checked;
pub use listen::{DoorSettings, serve};
pub use peer::Resolver;

use peer::Authorities;

use crate::auth::{Authenticator, ClientRules};
use crate::clock::Stopwatch;
use crate::gate::Gate;
use crate::quota::PriceList;
use crate::telemetry::Metrics;
use crate::upstream::{Fleet, UpstreamTable};

/// Upstreams that are asked for one model, the first included. A retry takes no second hold.
const ATTEMPTS_MAX: usize = 3;

/// Where Pingora stops whatever we say: above all that `attempts` allows, which is three tries for the model and each of
/// three others, and two stale connections.
const ROUNDS_MAX: usize = 16;

/// Idle upstream connections kept, over all upstreams.
const POOL_SIZE: usize = 512;

/// Bytes a client may send on one HTTP/2 stream before it must wait: prompts are large.
const H2_STREAM_WINDOW: u32 = 1 << 20;

/// The same for one HTTP/2 connection.
const H2_CONNECTION_WINDOW: u32 = 4 << 20;

/// What the configuration says about requests before they are read.
#[derive(Clone, Debug)]
pub struct Edge {
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

/// What the proxy is built from.
pub struct Parts {
    /// Admission.
    pub gate: Arc<Gate>,
    /// Who is calling. Swapped on reload.
    pub auth: Arc<ArcSwap<Authenticator>>,
    /// Who serves what. Swapped on reload.
    pub upstreams: Arc<ArcSwap<UpstreamTable>>,
    /// How they are doing. Outlives a reload.
    pub fleet: Arc<Fleet>,
    /// What models cost. Swapped on reload.
    pub prices: Arc<ArcSwap<PriceList>>,
    /// Addresses of the upstreams.
    pub resolver: Arc<Resolver>,
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// Pages and APIs of our own: everything outside `/v1` and `/v1beta`.
    pub pages: axum::Router,
    /// Bounds at the door. Swapped on reload.
    pub edge: Arc<ArcSwap<Edge>>,
    /// True once the gateway is asked to stop.
    pub stopping: watch::Receiver<bool>,
    /// How many workers run requests.
    pub threads: usize,
}

/// The gateway as Pingora sees it.
pub struct Gateway {
    gate: Arc<Gate>,
    auth: Arc<ArcSwap<Authenticator>>,
    upstreams: Arc<ArcSwap<UpstreamTable>>,
    fleet: Arc<Fleet>,
    prices: Arc<ArcSwap<PriceList>>,
    resolver: Arc<Resolver>,
    authorities: Authorities,
    /// The clock of health: it never goes back.
    age: Stopwatch,
    metrics: Arc<Metrics>,
    pages: axum::Router,
    edge: Arc<ArcSwap<Edge>>,
    stopping: watch::Receiver<bool>,
}

/// The proxy that [`serve`] runs.
pub type Proxy = HttpProxy<Gateway>;

/// Builds the proxy.
pub fn build(parts: Parts) -> Arc<Proxy> {
    let conf = ServerConf {
        threads: parts.threads,
        max_retries: ROUNDS_MAX,
        upstream_keepalive_pool_size: POOL_SIZE,
        ..ServerConf::default()
    };
    let gateway = Gateway {
        gate: parts.gate,
        auth: parts.auth,
        upstreams: parts.upstreams,
        fleet: parts.fleet,
        prices: parts.prices,
        resolver: parts.resolver,
        authorities: Authorities::default(),
        age: Stopwatch::start(),
        metrics: parts.metrics,
        pages: parts.pages,
        edge: parts.edge,
        stopping: parts.stopping,
    };
    let mut proxy = http_proxy(&Arc::new(conf), gateway);
    let mut options = HttpServerOptions::default();
    // `listen` asks for it only once the preface is there
    options.h2c = true;
    proxy.server_options = Some(options);
    let mut h2 = default_h2_options();
    h2.initial_window_size(H2_STREAM_WINDOW).initial_connection_window_size(H2_CONNECTION_WINDOW);
    proxy.h2_options = Some(h2);
    Arc::new(proxy)
}
