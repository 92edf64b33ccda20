//! Addresses of upstreams. Names are resolved in the background and never on the request's path once they are known;
//! the last good answer is kept when the resolver fails.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pingora::protocols::ALPN;
use pingora::upstreams::peer::HttpPeer;

use crate::upstream::{BaseUrl, UpstreamSettings};

/// How often names are resolved again.
const REFRESH_EVERY: Duration = Duration::from_secs(30);

/// Longest wait for the resolver.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Idle connections are closed before common servers close theirs, so that a request rarely meets a dead one.
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);

/// Requests on one HTTP/2 connection to an upstream.
const H2_STREAMS: usize = 100;

/// Longest wait for an upstream to take a piece of the request.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);

/// Addresses by host and port.
type Known = HashMap<(String, u16), Arc<Vec<SocketAddr>>>;

/// Resolved addresses.
#[derive(Default)]
pub struct Resolver {
    known: Mutex<Known>,
    turn: AtomicUsize,
}

impl Resolver {
    /// One address of the upstream: the next in turn. Waits for the resolver only the first time.
    ///
    /// # Errors
    /// The resolver's, or that the name has no address.
    pub async fn address(&self, url: &BaseUrl) -> std::io::Result<SocketAddr> {
        let known = self.lock().get(&(url.host.clone(), url.port)).cloned();
        let addresses = match known {
            Some(addresses) => addresses,
            None => self.resolve(&url.host, url.port).await?,
        };
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let none = || std::io::Error::new(std::io::ErrorKind::NotFound, "the name has no address");
        addresses.get(turn % addresses.len().max(1)).copied().ok_or_else(none)
    }

    /// Resolves all known names again, for ever.
    pub async fn keep_fresh(self: Arc<Self>) {
        loop {
            tokio::time::sleep(REFRESH_EVERY).await;
            let names: Vec<_> = self.lock().keys().cloned().collect();
            for (host, port) in names {
                if let Err(error) = self.resolve(&host, port).await {
                    tracing::warn!(%error, host, "a name could not be resolved: its last addresses stay in use");
                }
            }
        }
    }

    async fn resolve(&self, host: &str, port: u16) -> std::io::Result<Arc<Vec<SocketAddr>>> {
        let found = tokio::time::timeout(RESOLVE_TIMEOUT, tokio::net::lookup_host((host, port))).await??;
        let addresses = Arc::new(found.collect::<Vec<_>>());
        if addresses.is_empty() {
            return Err(std::io::Error::new(std::io::ErrorKind::NotFound, "the name has no address"));
        }
        self.lock().insert((host.to_owned(), port), Arc::clone(&addresses));
        Ok(addresses)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The peer for Pingora.
pub fn http_peer(upstream: &UpstreamSettings, address: SocketAddr) -> HttpPeer {
    let url = &upstream.base_url;
    // an empty SNI would switch verification off: the host is never empty, the configuration sees to it
    let mut peer = HttpPeer::new(address, url.tls, url.host.clone());
    let options = &mut peer.options;
    options.connection_timeout = Some(Duration::from_millis(upstream.connect_timeout_ms));
    options.total_connection_timeout =
        Some(Duration::from_millis(upstream.connect_timeout_ms.saturating_mul(2)));
    options.read_timeout =
        Some(Duration::from_millis(upstream.first_byte_timeout_ms.max(upstream.idle_timeout_ms)));
    options.write_timeout = Some(WRITE_TIMEOUT);
    options.idle_timeout = Some(IDLE_TIMEOUT);
    options.max_h2_streams = H2_STREAMS;
    options.alpn = if url.tls { ALPN::H2H1 } else { ALPN::H1 };
    peer
}
