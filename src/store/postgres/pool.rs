//! Connections: how they are made, what is set on each, how long to wait for anything, and when one is thrown away.

use std::time::Duration;

use deadpool_postgres::{
    ClientWrapper, Hook, HookError, Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime,
};
use tokio_postgres::{Client, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::Failure;
use super::settings::{PostgresSettings, read};
use super::tls;

/// What the server's own time-out is given before the connection counts as dead: the network, not the statement.
const ANSWER_GRACE: Duration = Duration::from_secs(3);
/// A connection on which nothing is acknowledged for so long is closed (`TCP_USER_TIMEOUT`).
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(15);
/// An idle connection is probed after this long, so that a dead peer is noticed before it is used.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
/// The oldest server that has all that the statements use.
const SERVER_VERSION_MIN: u32 = 14_00_00;

/// How long a piece of work may take.
#[derive(Clone, Copy, Debug)]
pub(super) enum PoolLimit {
    /// As long as one statement may.
    Statement,
    /// As long as it needs: reading the whole ledger.
    Open,
}

/// The pool, and what is needed for a connection beside it.
pub(super) struct Connections {
    pool: Pool,
    config: tokio_postgres::Config,
    tls: MakeRustlsConnect,
    answer_timeout: Duration,
}

impl std::fmt::Debug for Connections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connections").field("pool", &self.pool.status()).finish_non_exhaustive()
    }
}

impl Connections {
    /// Reads the settings; calls nobody.
    pub fn new(settings: &PostgresSettings) -> Result<Self, Failure> {
        let mut target = read(&settings.url)?;
        let tls = tls::connector(&target.trust)?;
        let connect_timeout = Duration::from_millis(settings.connect_timeout_ms);
        target
            .config
            .connect_timeout(connect_timeout)
            .tcp_user_timeout(TCP_USER_TIMEOUT)
            .keepalives_idle(KEEPALIVE_IDLE);
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(target.config.clone(), tls.clone(), recycling);
        let statement_timeout_ms = settings.statement_timeout_ms.max(1);
        let prepare = Hook::async_fn(move |client: &mut ClientWrapper, _| {
            Box::pin(async move {
                prepare(client, statement_timeout_ms).await.map_err(|failure| match failure {
                    Failure::Driver(error) => HookError::Backend(error),
                    Failure::Passes(message) | Failure::Stays(message) => HookError::message(message),
                })
            })
        });
        let pool = Pool::builder(manager)
            .max_size(settings.pool_size.max(1))
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(Duration::from_millis(settings.pool_wait_ms)))
            // Several addresses, TLS and a password may each take a while: the whole is bounded too.
            .create_timeout(Some(connect_timeout * 2))
            .post_create(prepare)
            .build()
            .map_err(|error| Failure::Stays(error.to_string()))?;
        let answer_timeout = Duration::from_millis(statement_timeout_ms) + ANSWER_GRACE;
        Ok(Self { pool, config: target.config, tls, answer_timeout })
    }

    /// Ends all connections that are not at work; the others end when they are given back.
    pub fn close(&self) {
        self.pool.close();
    }

    /// Connections of the pool, at work or not: for metrics.
    pub fn open_connections(&self) -> usize {
        self.pool.status().size
    }

    /// Takes a connection from the pool.
    pub async fn lease(&self) -> Result<Lease, Failure> {
        Ok(Lease { client: Some(self.pool.get().await?), sound: false })
    }

    /// Opens a connection of one's own, for long work that sets its own limits. It closes when it is dropped.
    pub async fn open(&self, statement_timeout: Duration) -> Result<Client, Failure> {
        let (client, connection) = self.config.connect(self.tls.clone()).await?;
        // Ends with the client. How it ends, the client's next call tells.
        drop(tokio::spawn(connection));
        prepare(&client, u64::try_from(statement_timeout.as_millis()).unwrap_or(u64::MAX)).await?;
        Ok(client)
    }

    /// Bounds a piece of work, also when the network swallows the answer.
    pub async fn within<T>(
        &self,
        limit: PoolLimit,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        match limit {
            PoolLimit::Open => work.await,
            PoolLimit::Statement => {
                tokio::time::timeout(self.answer_timeout, work).await.unwrap_or_else(|_| {
                    Err(Failure::Passes(format!("no answer within {} ms", self.answer_timeout.as_millis())))
                })
            }
        }
    }
}

/// A connection on loan. Work that is given up half-way (a time-out, a caller that left) leaves an answer on the way:
/// such a connection does not go back to the pool.
pub(super) struct Lease {
    client: Option<Object>,
    sound: bool,
}

impl Lease {
    /// The connection.
    pub fn client(&mut self) -> Result<&mut Object, Failure> {
        self.client.as_mut().ok_or_else(|| Failure::Stays("the connection was given back".to_owned()))
    }

    /// Gives the connection back, if it can still be used.
    pub fn end<T>(mut self, result: Result<T, Failure>) -> Result<T, Failure> {
        self.sound = result.as_ref().err().is_none_or(|failure| !failure.spoils_connection());
        result
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(client) = self.client.take().filter(|_| !self.sound) {
            drop(Object::take(client));
        }
    }
}

/// Checks the server and sets the session, in one round trip.
async fn prepare(client: &Client, statement_timeout_ms: u64) -> Result<(), Failure> {
    // The planner's guesses about unnested arrays are high: compiling the plan would take longer than running it.
    // A server that acknowledges before it has written would make the ledger lose what the journal then forgets.
    let session = format!(
        "SELECT current_setting('server_version_num'), current_setting('server_encoding'),
            set_config('statement_timeout', '{statement_timeout_ms}', false),
            set_config('idle_in_transaction_session_timeout', '{statement_timeout_ms}', false),
            set_config('jit', 'off', false),
            set_config('synchronous_commit',
                CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on'
                ELSE current_setting('synchronous_commit') END, false)"
    );
    let messages = client.simple_query(&session).await?;
    let row = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let version = row.and_then(|row| row.get(0)).and_then(|version| version.parse::<u32>().ok());
    let encoding = row.and_then(|row| row.get(1));
    match (version, encoding) {
        (Some(version), Some("UTF8")) if version >= SERVER_VERSION_MIN => Ok(()),
        (Some(version), Some("UTF8")) => Err(Failure::Stays(format!(
            "the server is PostgreSQL {}, 14 or newer is needed",
            version / 10_000
        ))),
        (_, encoding) => Err(Failure::Stays(format!(
            "the database has the encoding `{}`, `UTF8` is needed",
            encoding.unwrap_or("unknown")
        ))),
    }
}
