//! The composition root: builds every room from the settings, runs them on one runtime, and stops them in order.
//! Only this room and `cli` name all others.

mod active;
mod doors;
mod notify;
mod reload;
mod running;
mod stop;
mod stores;

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use http::HeaderName;
use tokio::sync::watch;

use crate::auth::{AuthOptions, Authenticator};
use crate::clock::Clock;
use crate::config::{OnOutage as OutageSetting, Settings};
use crate::gate::{self, Gate, OnOutage, Rules};
use crate::proxy::{self, DoorSettings, Edge};
use crate::store::journal::{Journal, JournalOptions};
use crate::store::writer::{Writer, WriterHandle, WriterOptions};
use crate::telemetry::Metrics;
use crate::upstream::UpstreamTable;

use doors::Doors;
use notify::Notify;
use running::Running;
pub use stop::Stop;

/// How long streams may go on after a stop was asked for.
pub const GRACE: Duration = Duration::from_secs(30);

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
    grace: Duration,
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
        Ok(Self {
            settings,
            clients,
            admin,
            journal: Arc::new(journal),
            leftovers,
            clock,
            grace: GRACE,
            reload_from: None,
        })
    }

    /// The bound addresses: clients, admin.
    ///
    /// # Errors
    /// The operating system's.
    pub fn addresses(&self) -> Result<(SocketAddr, SocketAddr)> {
        Ok((self.clients.local_addr()?, self.admin.local_addr()?))
    }

    /// How long streams may go on after a stop was asked for.
    #[must_use]
    pub fn with_grace(self, grace: Duration) -> Self {
        Self { grace, ..self }
    }

    /// Takes changes of this file over while running.
    #[must_use]
    pub fn with_reload(self, path: PathBuf) -> Self {
        Self { reload_from: Some(path), ..self }
    }

    /// Serves until `stop` is asked for, then stops in order: no new connection, streams to their end (at most the
    /// grace time), settles, journal to ledger.
    ///
    /// # Errors
    /// What makes serving impossible: a ledger that cannot be opened, keys that cannot be read.
    pub async fn run(mut self, stop: Stop) -> Result<()> {
        let (running, was_killed) = Running::mark(&self.settings.storage.data_dir)?;
        let metrics = Arc::new(Metrics::new().context("metrics could not be registered")?);
        let stores = stores::open(&self.settings.storage, &self.clock, &metrics).await?;
        let gate = Gate::new(gate::Parts {
            counters: stores.counters,
            fallback: stores.fallback,
            ledger: Arc::clone(&stores.ledger),
            journal: Arc::clone(&self.journal),
            rules: rules(&self.settings),
            clock: self.clock.clone(),
        });
        gate.read_back();
        let (writer, writer_stop, writer_task) = self.start_writer(&gate, &stores.ledger);
        gate.end_crashed(std::mem::take(&mut self.leftovers.open));
        if let Err(late) = writer.flush(CATCH_UP).await {
            tracing::warn!(%late, "serving all the same");
            inherit(&gate, &self.journal).context("the journal could not be read back")?;
        }
        gate.all_read_back();
        if was_killed {
            gate.distrust(&self.leftovers.recent).await;
        }
        let mut tasks = Tasks::default();
        tasks.spawn(Arc::clone(&gate).run());
        let draining = Arc::new(AtomicBool::new(false));
        let shutdown = stop.watch(Arc::clone(&draining));
        let grace = self.grace;
        let notify = Notify::start(&self, Arc::clone(&stores.outbox), &metrics)?;
        let doors =
            Doors { reads: stores.reads, outbox: stores.outbox, metrics, webhooks: notify.webhooks() };
        let (clients, proxy) = self.open_doors(&gate, doors, &writer, (&draining, &shutdown), &mut tasks)?;
        tracing::info!(address = %clients.local_addr()?, "serving");
        let left = proxy::serve(clients, proxy, DoorSettings::default(), shutdown, grace).await?;
        tracing::info!(connections_left = left, "no more requests: settling");
        if gate.settled(FLUSH).await && gate.is_mended() {
            running.clear();
        } else {
            tracing::warn!("some settles are left: the next start loads their domains anew");
        }
        if let Err(late) = writer.flush(FLUSH).await {
            tracing::warn!(%late, "the next start takes them over");
        }
        notify.stop().await;
        gate.close().await;
        writer_stop.send_replace(true);
        writer_task.await.context("the writer's task broke off")?;
        tracing::info!("stopped");
        Ok(())
    }

    fn start_writer(
        &self,
        gate: &Arc<Gate>,
        ledger: &Arc<dyn crate::store::Ledger>,
    ) -> (WriterHandle, watch::Sender<bool>, tokio::task::JoinHandle<()>) {
        let acknowledged = Arc::clone(gate);
        let on_ack = Arc::new(move |entries: &[crate::store::Entry]| acknowledged.acknowledged(entries));
        let (journal, ledger, clock) = (Arc::clone(&self.journal), Arc::clone(ledger), self.clock.clone());
        let writer = Writer::new(journal, ledger, clock, WriterOptions::default(), on_ack);
        let handle = writer.handle();
        let (stop, stopped) = watch::channel(false);
        (handle, stop, tokio::spawn(writer.run(stopped)))
    }
}

/// Tasks that end with the gateway.
#[derive(Default)]
struct Tasks(Vec<tokio::task::JoinHandle<()>>);

impl Tasks {
    fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.push(tokio::spawn(task));
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        for task in &self.0 {
            task.abort();
        }
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
        for (_, entry) in &batch {
            gate.inherit(entry);
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

/// The quota rules of the settings.
pub fn rules(settings: &Settings) -> Rules {
    Rules {
        policy: settings.quota.policy.clone(),
        lease_ms: settings.quota.lease_ms,
        on_outage: match settings.quota.on_outage {
            OutageSetting::Ledger => OnOutage::Ledger,
            OutageSetting::Deny => OnOutage::Deny,
            OutageSetting::Allow => OnOutage::Allow,
        },
        webhooks: settings.webhooks.iter().map(|webhook| webhook.name.clone()).collect(),
    }
}

/// The upstreams of the settings, with aliases and fallbacks.
pub fn upstreams(settings: &Settings) -> UpstreamTable {
    UpstreamTable::new(settings.upstreams.clone())
        .with_aliases(&settings.routing.aliases)
        .with_fallbacks(&settings.routing.fallbacks)
}

/// What the settings say about requests before they are read.
fn edge(settings: &Settings) -> Edge {
    Edge {
        max_body_bytes: settings.server.max_body_bytes,
        trusted_proxies: settings.server.trusted_proxies.clone(),
        cors_origins: settings.server.cors_origins.clone(),
        client_rules: settings.apps.rules.clone(),
        private_headers: private_headers(settings),
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

/// The issuers of the settings.
///
/// # Errors
/// A key that cannot be read; says which file and what to do.
pub fn authenticator(settings: &Settings, clock: &Clock) -> Result<Arc<Authenticator>> {
    let options = AuthOptions {
        anonymous_keys: settings.quota.anonymous_keys.clone(),
        services: settings.apps.services.clone(),
        ..AuthOptions::default()
    };
    Ok(Arc::new(Authenticator::new(settings.issuers.clone(), options, clock.clone())?))
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
