//! Where the server is and how to reach it: the URL forms, TLS and the time limits of the connections.
//!
//! It must not know scripts or domains. No password ever stands in an error or in `Debug`.

use std::fmt;
use std::time::Duration;

use fred::prelude::{Builder, Client, Config, ConnectionConfig, ReconnectPolicy};
use fred::types::config::{TlsConfig, TlsConnector, UnresponsiveConfig};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

use super::errors::fault;
use crate::clock::Clock;
use crate::quota::encode_id;
use crate::store::timing::Timing;
use crate::store::{StoreError, StoreKind};

/// Time to connect, TLS included.
const CONNECT: Duration = Duration::from_secs(2);
/// Time of the client's own commands (`AUTH`, `CLUSTER SLOTS`).
const INTERNAL: Duration = Duration::from_secs(2);
/// A connection that owes an answer for this long is closed and opened anew.
const UNRESPONSIVE: Duration = Duration::from_secs(2);
/// How often that is looked at.
const UNRESPONSIVE_CHECK: Duration = Duration::from_millis(250);
/// Pause between attempts to reconnect, milliseconds, and what is added at random so that gateways spread out.
const RECONNECT_MS: u32 = 100;
const RECONNECT_JITTER_MS: u32 = 50;
/// How often a command may be written: once more after a lost connection. All scripts are idempotent by request id.
const COMMAND_ATTEMPTS: u32 = 2;
/// Commands that may wait for the connection at once; over it a call fails at once instead of filling memory.
const MAX_QUEUED: usize = 100_000;

/// How to reach Redis or Valkey.
#[derive(Clone)]
pub struct RedisSettings {
    /// `redis://`, `rediss://` (TLS), `redis-cluster://`, `rediss-cluster://`, `redis-sentinel://`, `rediss-sentinel://`.
    pub url: String,
    /// Overrides a password in the URL.
    pub password: Option<String>,
    /// Certificate authorities for TLS, DER-encoded; empty: those of the machine.
    pub ca: Vec<Vec<u8>>,
    /// A name that no other gateway on this server has.
    pub gateway_id: String,
    /// When to look for expired holds. Decisions use the server's time.
    pub clock: Clock,
    /// Who is told of the calls.
    pub timing: Timing,
}

impl fmt::Debug for RedisSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisSettings").field("gateway_id", &self.gateway_id).finish_non_exhaustive()
    }
}

impl RedisSettings {
    /// The gateway's name in the registry: no blanks, whatever was configured.
    pub(super) fn registry_id(&self) -> String {
        encode_id(&self.gateway_id)
    }

    /// The connection as the client library wants it.
    pub(super) fn config(&self) -> Result<Config, StoreError> {
        // may stand already; the library asks for it when it meets `rediss`
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let mut config = Config::from_url(&self.url).map_err(|error| fault("connect", &error))?;
        if self.password.is_some() {
            config.password.clone_from(&self.password);
        }
        if !self.ca.is_empty() && config.tls.is_some() {
            config.tls = Some(custom_roots(&self.ca)?);
        }
        Ok(config)
    }
}

/// A client that connects again whenever it must.
pub(super) fn lasting(config: &Config) -> Builder {
    let mut builder = Builder::from_config(config.clone());
    let mut policy = ReconnectPolicy::new_constant(0, RECONNECT_MS);
    policy.set_jitter(RECONNECT_JITTER_MS);
    builder.set_policy(policy).with_connection_config(limits);
    builder
}

/// A client for one connection, to one process: when it is lost, its calls fail.
pub(super) fn one_connection(config: Config) -> Client {
    let mut connection = ConnectionConfig::default();
    limits(&mut connection);
    connection.max_command_attempts = 1;
    Client::new(config, None, Some(connection), None)
}

fn limits(connection: &mut ConnectionConfig) {
    connection.connection_timeout = CONNECT;
    connection.internal_command_timeout = INTERNAL;
    connection.max_command_attempts = COMMAND_ATTEMPTS;
    // a redirection comes back as an error and is followed by `link`: on MOVED the library reads the map of slots anew, but
    // when it follows ASK itself it loses count of the replies and hangs
    connection.max_redirections = 0;
    connection.max_command_buffer_len = MAX_QUEUED;
    connection.unresponsive =
        UnresponsiveConfig { max_timeout: Some(UNRESPONSIVE), interval: UNRESPONSIVE_CHECK };
    connection.tcp.nodelay = Some(true);
    connection.reconnect_on_auth_error = true;
}

fn custom_roots(authorities: &[Vec<u8>]) -> Result<TlsConfig, StoreError> {
    let mut roots = RootCertStore::empty();
    for certificate in authorities {
        let added = roots.add(CertificateDer::from_slice(certificate));
        added.map_err(|error| {
            StoreError::permanent(StoreKind::Redis, "connect", format!("its authority: {error}"))
        })?;
    }
    let client = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    Ok(TlsConnector::from(client).into())
}
