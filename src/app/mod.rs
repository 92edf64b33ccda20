//! The composition root: builds every room from the settings, runs them on one runtime, and stops them in order.
//! Only this room and `cli` name all others.

mod reload;
mod running;
mod stores;
mod tasks;

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::api::{self, ApiState};
use crate::clock::Clock;
use crate::config::Settings;
use crate::gate::{self, Gate};
use crate::notify::Notifier;
use crate::proxy;
use crate::snapshot::ConfigSnapshot;
use crate::store::journal::{Journal, JournalOptions};
use crate::store::writer::{Writer, WriterHandle, WriterOptions};
use crate::telemetry::Metrics;

use reload::{Receivers, Reload};
use running::Running;
pub use tasks::on_signals;
use tasks::{Stoppable, keep_active_users};

/// How long streams may go on after a stop was asked for.
const GRACE: Duration = Duration::from_secs(30);

/// How long the journal may take to reach the ledger at start, before the gateway serves with what it has.
const CATCH_UP: Duration = Duration::from_secs(10);

/// How much of the journal is read at once when the ledger is late.
const INHERIT_ROWS: usize = 1_000;

/// The same in bytes.
const INHERIT_BYTES: usize = 4 << 20;

/// How long the last settles and rows may take at a stop.
const FLUSH: Duration = Duration::from_secs(10);

/// A gateway that is built and bound but does not serve yet.
pub struct App {
    settings: Settings,
    clients: TcpListener,
    admin: TcpListener,
    journal: Arc<Journal>,
    leftovers: crate::store::journal::Recovery,
    clock: Clock,
    reload_from: Option<PathBuf>,
}

impl App {
    /// Binds the listeners and opens the journal: what can fail for reasons that an operator must mend.
    ///
    /// # Errors
    /// Port in use, data folder not writable, another gateway on it. Each says what to do.
    pub fn new(settings: Settings, clock: Clock) -> Result<Self> {
        let clients = bind(settings.server.listen, "server.listen")?;
        let admin = bind(settings.server.admin_listen, "server.admin_listen")?;
        let data_dir = &settings.storage.data_dir;
        make_data_dir(data_dir)?;
        let options = JournalOptions::default();
        let (journal, leftovers) = Journal::open(&data_dir.join("journal"), options, clock.clone())?;
        Ok(Self { settings, clients, admin, journal: Arc::new(journal), leftovers, clock, reload_from: None })
    }

    /// The bound addresses: clients, admin.
    ///
    /// # Errors
    /// The operating system's.
    pub fn addresses(&self) -> Result<(SocketAddr, SocketAddr)> {
        Ok((self.clients.local_addr()?, self.admin.local_addr()?))
    }

    /// Takes changes of this file over while running.
    #[must_use]
    pub fn with_reload(self, path: PathBuf) -> Self {
        Self { reload_from: Some(path), ..self }
    }

    /// Serves until `stopping` is true, then stops in order: no new connection, streams to their end (at most the
    /// grace time), settles, journal to ledger.
    ///
    /// # Errors
    /// What makes serving impossible: a ledger that cannot be opened, keys that cannot be read.
    pub async fn run(mut self, stopping: watch::Receiver<bool>) -> Result<()> {
        let (running, was_killed) = Running::mark(&self.settings.storage.data_dir)?;
        let metrics = self.metrics()?;
        let stores = stores::open(&self.settings.storage, &self.clock, &metrics).await?;
        let config = ConfigSnapshot::new(&self.settings, &self.clock)?;
        let gate = Gate::new(gate::Parts {
            counters: stores.counters,
            fallback: stores.fallback,
            ledger: Arc::clone(&stores.ledger),
            journal: Arc::clone(&self.journal),
            rules: Arc::clone(&config.rules),
            clock: self.clock.clone(),
        });
        let (writer, writing) = self.start_writer(&gate, &stores.ledger);
        self.take_over_journal(&gate, &writer, was_killed).await?;
        let (webhooks, notifying) = self.start_notifier(&stores.outbox, &metrics)?;
        // they end with the gateway: a set that is dropped aborts its tasks
        let mut tasks = JoinSet::new();
        tasks.spawn(Arc::clone(&gate).run());
        tasks.spawn(config.auth.keep_fresh());
        let state = ApiState {
            gate: Arc::clone(&gate),
            reads: stores.reads,
            outbox: stores.outbox,
            clock: self.clock.clone(),
            config: Arc::new(ArcSwap::from_pointee(config)),
            metrics,
            writer: writer.clone(),
            stopping: stopping.clone(),
            streams: api::stream_places(),
        };
        let (clients, proxy) = self.start_serving(state, webhooks, &mut tasks);
        tracing::info!(address = %clients.local_addr()?, "serving");
        let left = proxy::serve(clients, proxy, stopping, GRACE).await?;
        tracing::info!(connections_left = left, "no more requests: settling");
        if gate.settled(FLUSH).await && gate.is_mended() {
            running.clear();
        } else {
            tracing::warn!("some settles are left: the next start loads their domains anew");
        }
        if let Err(late) = writer.flush(FLUSH).await {
            tracing::warn!(%late, "the next start takes them over");
        }
        if let Err(error) = notifying.stop().await {
            tracing::error!(%error, "the task that delivers webhooks broke off");
        }
        gate.close().await;
        writing.stop().await.context("the writer's task broke off")?;
        tracing::info!("stopped");
        Ok(())
    }

    /// The metrics, with the series of the upstreams.
    fn metrics(&self) -> Result<Arc<Metrics>> {
        let metrics = Metrics::new().context("metrics could not be registered")?;
        for upstream in &self.settings.upstreams {
            for dialect in upstream.serves.keys() {
                metrics.expect_upstream(&upstream.name, dialect);
            }
        }
        Ok(Arc::new(metrics))
    }

    /// What the last run left in the journal: ended as crashed, in the ledger, or known to the gate.
    async fn take_over_journal(
        &mut self,
        gate: &Arc<Gate>,
        writer: &WriterHandle,
        was_killed: bool,
    ) -> Result<()> {
        gate.end_crashed(std::mem::take(&mut self.leftovers.open));
        if let Err(late) = writer.flush(CATCH_UP).await {
            tracing::warn!(%late, "serving all the same");
            inherit(gate, &self.journal).context("the journal could not be read back")?;
        }
        if was_killed {
            gate.make_cold(&self.leftovers.recent).await;
        }
        Ok(())
    }

    /// The admin listener, what runs beside the requests, and the proxy for the clients' listener.
    fn start_serving(
        self,
        state: ApiState,
        webhooks: Receivers,
        tasks: &mut JoinSet<()>,
    ) -> (TcpListener, Arc<proxy::Proxy>) {
        let ApiState { gate, reads, config, metrics, stopping, .. } = state.clone();
        tasks.spawn(keep_active_users(Arc::clone(&gate), reads, Arc::clone(&metrics)));
        tasks.spawn(serve_admin(self.admin, api::admin_router(state.clone())));
        if let Some(path) = self.reload_from {
            let (gate, config, metrics) = (Arc::clone(&gate), Arc::clone(&config), Arc::clone(&metrics));
            let (settings, clock) = (self.settings, self.clock);
            tasks.spawn(Reload { path, settings, gate, config, webhooks, metrics, clock }.run());
        }
        let (proxy, beside) = proxy::build(gate, config, metrics, api::router(state), stopping, threads());
        tasks.spawn(beside);
        (self.clients, proxy)
    }

    fn start_writer(
        &self,
        gate: &Arc<Gate>,
        ledger: &Arc<dyn crate::store::Ledger>,
    ) -> (WriterHandle, Stoppable) {
        let acknowledged = Arc::clone(gate);
        let on_ack =
            Arc::new(move |entries: &[crate::store::Entry], up_to| acknowledged.acknowledged(entries, up_to));
        let (journal, ledger, clock) = (Arc::clone(&self.journal), Arc::clone(ledger), self.clock.clone());
        let writer = Writer::new(journal, ledger, clock, WriterOptions::default(), on_ack);
        (writer.handle(), Stoppable::start(|stopped| writer.run(stopped)))
    }

    fn start_notifier(
        &self,
        outbox: &Arc<dyn crate::store::Outbox>,
        metrics: &Arc<Metrics>,
    ) -> Result<(Receivers, Stoppable)> {
        let webhooks = Arc::new(ArcSwap::from_pointee(self.settings.webhooks.clone()));
        let (outbox, metrics, clock) = (Arc::clone(outbox), Arc::clone(metrics), self.clock.clone());
        let notifier = Notifier::new(outbox, Arc::clone(&webhooks), metrics, clock).map_err(|error| {
            let hint = "check that the machine has CA certificates (`ca-certificates`)";
            anyhow!("no HTTP client for webhooks: {error}\nhint: {hint}")
        })?;
        Ok((webhooks, Stoppable::start(|stopped| notifier.run(stopped))))
    }
}

async fn serve_admin(listener: TcpListener, router: axum::Router) {
    let served = async {
        listener.set_nonblocking(true)?;
        axum::serve(tokio::net::TcpListener::from_std(listener)?, router).await
    };
    if let Err(error) = served.await {
        tracing::error!(%error, "the admin listener stopped");
    }
}

/// Tells the gate of every request that stands in the journal and not yet in the ledger.
fn inherit(gate: &Gate, journal: &Journal) -> Result<()> {
    let mut reader = journal.reader();
    loop {
        let batch = reader.next_batch(INHERIT_ROWS, INHERIT_BYTES)?;
        if batch.is_empty() {
            return Ok(());
        }
        for (end, entry) in &batch {
            gate.inherit(*end, entry);
        }
    }
}

/// How many workers run requests.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(2, std::num::NonZero::get)
}

/// The runtime that everything runs on.
///
/// # Errors
/// The operating system's.
pub fn runtime() -> Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder
        .worker_threads(threads())
        .thread_name("tollgate")
        .enable_all()
        .build()
        .context("no runtime could be started")
}

/// Creates or upgrades the ledger's tables.
///
/// # Errors
/// A database that cannot be reached or upgraded.
pub async fn migrate(settings: &Settings) -> Result<()> {
    if settings.storage.database_url.is_none() {
        make_data_dir(&settings.storage.data_dir)?;
    }
    stores::migrate(&settings.storage).await
}

/// Tries each store that the settings name: its name, and warnings or what is wrong with it.
pub async fn try_stores(settings: &Settings) -> Vec<(&'static str, Result<Vec<String>, String>)> {
    stores::try_each(&settings.storage, &Clock::system()).await
}

fn bind(address: SocketAddr, key: &str) -> Result<TcpListener> {
    TcpListener::bind(address).map_err(|error| {
        let hint = match error.kind() {
            std::io::ErrorKind::AddrInUse => "another program listens there: stop it, or choose another port",
            std::io::ErrorKind::PermissionDenied => "ports below 1024 need a privilege: choose a higher one",
            std::io::ErrorKind::AddrNotAvailable => "this machine has no such address",
            _ => "check the address",
        };
        anyhow!("cannot listen on `{address}` (`{key}`): {error}\nhint: {hint}")
    })
}

fn make_data_dir(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).map_err(|error| {
        let hint = "choose a folder that this user may write, or make it: `mkdir -p` and `chown`";
        anyhow!("cannot use the data folder `{}` (`storage.data_dir`): {error}\nhint: {hint}", path.display())
    })
}
