//! Addresses of upstreams. Names are resolved in the background and never on the request's path once they are known;
//! the last good answer is kept when the resolver fails.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pingora::protocols::ALPN;
use pingora::protocols::tls::CaType;
use pingora::upstreams::peer::HttpPeer;
use pingora::utils::tls::{WrappedX509, parse_x509};

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

/// How long after our own limits Pingora's would end a wait.
const READ_MARGIN: Duration = Duration::from_secs(30);

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

    /// Has the name more than one address?
    pub fn has_others(&self, url: &BaseUrl) -> bool {
        self.lock().get(&(url.host.clone(), url.port)).is_some_and(|addresses| addresses.len() > 1)
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

/// The upstreams' own certificate authorities in Pingora's form, by their digest.
#[derive(Default)]
pub struct Authorities(Mutex<HashMap<u64, Arc<CaType>>>);

impl Authorities {
    /// The authorities of an upstream and their digest; `None`: the usual ones.
    fn of(&self, upstream: &UpstreamSettings) -> Option<(u64, Arc<CaType>)> {
        if upstream.ca.is_empty() {
            return None;
        }
        let mut hasher = DefaultHasher::new();
        upstream.ca.hash(&mut hasher);
        let digest = hasher.finish();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let made = || upstream.ca.iter().map(|der| WrappedX509::new(der.clone(), parse_x509)).collect();
        Some((digest, Arc::clone(known.entry(digest).or_insert_with(made))))
    }
}

/// The peer for Pingora.
pub fn http_peer(upstream: &UpstreamSettings, address: SocketAddr, authorities: &Authorities) -> HttpPeer {
    let url = &upstream.base_url;
    // an empty SNI would switch verification off: the host is never empty, the configuration sees to it
    let mut peer = HttpPeer::new(address, url.tls, url.host.clone());
    let options = &mut peer.options;
    options.connection_timeout = Some(Duration::from_millis(upstream.connect_timeout_ms));
    options.total_connection_timeout =
        Some(Duration::from_millis(upstream.connect_timeout_ms.saturating_mul(2)));
    // `patience` keeps the two limits apart; this only stands behind it
    let longest_ms = upstream.first_byte_timeout_ms.max(upstream.idle_timeout_ms);
    options.read_timeout = Some(Duration::from_millis(longest_ms).saturating_add(READ_MARGIN));
    options.write_timeout = Some(WRITE_TIMEOUT);
    options.idle_timeout = Some(IDLE_TIMEOUT);
    options.max_h2_streams = H2_STREAMS;
    options.alpn = if url.tls { ALPN::H2H1 } else { ALPN::H1 };
    if let Some((digest, ca)) = authorities.of(upstream) {
        options.ca = Some(ca);
        // connections are kept by this key too: one made under other authorities must not be taken
        peer.group_key = digest;
    }
    peer
}
