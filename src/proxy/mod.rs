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
mod failover;
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

use pingora::apps::HttpServerOptions;
use pingora::protocols::http::v2::server::default_h2_options;
use pingora::proxy::{HttpProxy, http_proxy};
use pingora::server::configuration::ServerConf;
use tokio::sync::watch;

pub use listen::serve;
pub use peer::Resolver;

use peer::Authorities;

use crate::clock::Stopwatch;
use crate::gate::Gate;
use crate::snapshot::InForce;
use crate::telemetry::Metrics;
use crate::upstream::Fleet;

/// Where Pingora stops whatever we say: above all that `attempts` allows, which is three tries for the model and each of
/// three others, and two stale connections.
const ROUNDS_MAX: usize = 16;

/// Idle upstream connections kept, over all upstreams.
const POOL_SIZE: usize = 512;

/// Bytes a client may send on one HTTP/2 stream before it must wait: prompts are large.
const H2_STREAM_WINDOW: u32 = 1 << 20;

/// The same for one HTTP/2 connection.
const H2_CONNECTION_WINDOW: u32 = 4 << 20;

/// Pingora's proxy with our phases.
pub struct QuotaProxy {
    gate: Arc<Gate>,
    config: InForce,
    /// How the upstreams are doing. Outlives a reload.
    fleet: Arc<Fleet>,
    resolver: Arc<Resolver>,
    authorities: Authorities,
    /// The clock of health: it never goes back.
    age: Stopwatch,
    metrics: Arc<Metrics>,
    /// Pages and APIs of our own: everything outside `/v1` and `/v1beta`.
    pages: axum::Router,
    /// True once the gateway is asked to stop.
    stopping: watch::Receiver<bool>,
}

/// The proxy that [`serve`] runs.
pub type Proxy = HttpProxy<QuotaProxy>;

/// Builds the proxy for so many workers, and what must run beside it for ever: checks of upstreams, and their names
/// resolved anew.
pub fn build(
    gate: Arc<Gate>,
    config: InForce,
    metrics: Arc<Metrics>,
    pages: axum::Router,
    stopping: watch::Receiver<bool>,
    threads: usize,
) -> (Arc<Proxy>, impl Future<Output = ()> + Send + use<>) {
    let conf = ServerConf {
        threads,
        max_retries: ROUNDS_MAX,
        upstream_keepalive_pool_size: POOL_SIZE,
        ..ServerConf::default()
    };
    let (fleet, resolver) = (Arc::<Fleet>::default(), Arc::<Resolver>::default());
    let checks = checks::keep_checked(Arc::clone(&config), Arc::clone(&fleet));
    let names = Arc::clone(&resolver).keep_fresh();
    let (authorities, age) = (Authorities::default(), Stopwatch::start());
    let phases = QuotaProxy { gate, config, fleet, resolver, authorities, age, metrics, pages, stopping };
    let mut proxy = http_proxy(&Arc::new(conf), phases);
    let mut options = HttpServerOptions::default();
    // `listen` asks for it only once the preface is there
    options.h2c = true;
    proxy.server_options = Some(options);
    let mut h2 = default_h2_options();
    h2.initial_window_size(H2_STREAM_WINDOW).initial_connection_window_size(H2_CONNECTION_WINDOW);
    proxy.h2_options = Some(h2);
    let beside = async {
        tokio::join!(checks, names);
    };
    (Arc::new(proxy), beside)
}
