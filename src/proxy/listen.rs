//! The clients' listener: plain TCP, HTTP/1.1 and HTTP/2 with prior knowledge (h2c) on one port.
//!
//! Pingora's own h2c detection waits for 24 bytes without end, so a short HTTP/1 request or a silent client would hang;
//! here the first byte decides, and every wait is bounded. Connections are counted, so that a stop can wait for them.

use std::net::TcpListener;
use std::os::fd::IntoRawFd;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use pingora::apps::{HttpServerApp, ReusedHttpStream, ServerApp};
use pingora::listeners::{L4BufferSettings, ListenerConfig};
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::proxy::HttpProxy;
use pingora::server::{Fds, ShutdownWatch};
use pingora::services::listening::Service;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::QuotaProxy;

/// How long a new connection may be silent.
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(60);

/// How long the rest of an HTTP/2 preface may take.
const PREFACE_TIMEOUT: Duration = Duration::from_secs(10);

/// The connection preface (RFC 9113 §3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How long an HTTP/1 connection may be idle between requests, in seconds.
const KEEPALIVE_S: u64 = 60;

/// What is gathered of an answer before it is sent, in bytes: with Pingora's 1,460 the header and the body of a short answer
/// leave in two writes. A piece of a stream is sent at once, whatever its size.
const WRITE_BUFFER_BYTES: usize = 4096;

/// Client connections at once; one more is closed at once. Each takes some 20 KiB while it is idle, and a descriptor.
const CONNECTIONS_MAX: usize = 50_000;

/// Accepts connections on a bound listener until `shutdown` says true, then waits at most `grace` for those that are
/// open. Returns how many were left.
///
/// # Errors
/// The listener's.
pub async fn serve(
    listener: TcpListener,
    proxy: Arc<HttpProxy<QuotaProxy>>,
    shutdown: ShutdownWatch,
    grace: Duration,
) -> std::io::Result<usize> {
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?.to_string();
    let mut inherited = Fds::new();
    inherited.add(address.clone(), listener.into_raw_fd());
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let listener = ClientListener { proxy, places: Arc::clone(&places) };
    let mut service = Service::new("clients".to_owned(), listener);
    service.add_listener(
        ListenerConfig::tcp(&address).l4_buffer(L4BufferSettings::default().write(WRITE_BUFFER_BYTES)),
    );
    let inherited = Arc::new(Mutex::new(inherited));
    pingora::services::Service::start_service(&mut service, Some(inherited), shutdown, 1).await;
    let open = || CONNECTIONS_MAX - places.available_permits();
    let wait_for_the_open = async {
        while open() > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    if timeout(grace, wait_for_the_open).await.is_err() {
        tracing::warn!(open = open(), "the grace time ended with connections open");
    }
    Ok(open())
}

struct ClientListener {
    proxy: Arc<HttpProxy<QuotaProxy>>,
    /// One for each connection that may be open, held for as long as it lives.
    places: Arc<Semaphore>,
}

#[async_trait]
impl ServerApp for ClientListener {
    async fn process_new(self: &Arc<Self>, mut stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        let Ok(_place) = self.places.try_acquire() else {
            tracing::warn!(max = CONNECTIONS_MAX, "a connection was closed: too many are open");
            return None;
        };
        match is_h2(&mut stream).await {
            Some(true) => ServerApp::process_new(&self.proxy, stream, shutdown).await,
            Some(false) => {
                self.http1(stream, shutdown).await;
                None
            }
            None => None,
        }
    }

    async fn cleanup(&self) {
        self.proxy.http_cleanup().await;
    }
}

impl ClientListener {
    async fn http1(&self, stream: Stream, shutdown: &ShutdownWatch) {
        let mut session = ServerSession::new_http1(stream);
        session.set_keepalive((!*shutdown.borrow()).then_some(KEEPALIVE_S));
        let mut next = self.proxy.process_new_http(session, shutdown).await;
        while let Some((stream, settings)) = next.map(ReusedHttpStream::consume) {
            let mut session = ServerSession::new_http1(stream);
            if let Some(settings) = settings {
                settings.apply_to_session(&mut session);
            }
            next = self.proxy.process_new_http(session, shutdown).await;
        }
    }
}

/// Looks at the first bytes. `None`: the client said nothing in time, or left.
async fn is_h2(stream: &mut Stream) -> Option<bool> {
    let mut first = [0; 1];
    peek(stream, &mut first, FIRST_BYTE_TIMEOUT).await?;
    if first[0] != PREFACE[0] {
        return Some(false);
    }
    // `POST`, `PUT`, `PATCH` or `PRI`: no HTTP/1 request is as short as three bytes
    let mut method = [0; 3];
    peek(stream, &mut method, PREFACE_TIMEOUT).await?;
    if method[..] != PREFACE[..3] {
        return Some(false);
    }
    let mut preface = [0; PREFACE.len()];
    peek(stream, &mut preface, PREFACE_TIMEOUT).await?;
    Some(preface == *PREFACE)
}

async fn peek(stream: &mut Stream, bytes: &mut [u8], at_most: Duration) -> Option<()> {
    match timeout(at_most, stream.try_peek(bytes)).await {
        Ok(Ok(true)) => Some(()),
        Ok(Ok(false) | Err(_)) | Err(_) => None,
    }
}
