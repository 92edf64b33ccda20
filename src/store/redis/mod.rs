//! Counters in Redis or Valkey: for several gateways on one quota.
//!
//! Owns the trait's calls, the cache of epochs and the list of domains to sweep; arithmetic is in the `.lua` files, the way
//! to the server in `link`. Nothing here decides from a number it keeps: the cache saves a read, the script checks it.

mod args;
mod breaker;
mod connection;
mod errors;
mod events;
mod link;
mod process;
mod registry;
mod replies;
mod scripts;
mod server;
mod settings;
mod sweep;

pub use self::settings::RedisSettings;

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use fred::interfaces::KeysInterface;
use fred::prelude::Value;
use fred::types::FromValue;
use tokio::sync::SetOnce;
use tokio::task::JoinSet;
use uuid::Uuid;

use self::args::{bucket_field, count, domain_key, rid_text, text, tombstone_key};
use self::connection::Connection;
use self::errors::fault;
use self::events::Events;
use self::link::{LOADING, Link, OFF_PATH, ON_PATH};
use self::registry::Gateways;
use self::scripts::Script;
use self::sweep::SweepList;
use super::counters::TOMBSTONE_MS;
use super::memory::holds::check_holds;
use super::timing::Timing;
use super::{
    Announcement, BucketTotal, Counters, CountersEvent, DomainDump, DomainTotals, OwnerEpoch, Reserve,
    Reserved, Settled, StoreError, StoreKind,
};
use crate::clock::{Clock, Stopwatch};
use crate::quota::{Charge, Domain, LimitHold};

/// Pause between attempts to connect.
const CONNECT_RETRY: Duration = Duration::from_secs(1);
/// How long a freshly loaded domain waits at most for the announcements of all live gateways.
const ANNOUNCE_WAIT_MS: u64 = 2_000;
/// Announcements in one call, so that no call keeps the server busy for long.
const ANNOUNCE_CHUNK: usize = 200;
/// Owners whose epoch is remembered; only owners that were reset take a place. Over it all are forgotten.
const MAX_EPOCHS: usize = 100_000;

/// Counters in Redis.
pub struct RedisCounters {
    /// Until it stands every call is a transient failure.
    connection: Arc<SetOnce<Connection>>,
    /// What connects in the background; aborted when this is dropped.
    connecting: JoinSet<()>,
    gateway_id: String,
    gateways: Arc<Gateways>,
    events: Arc<Events>,
    clock: Clock,
    timing: Timing,
    /// Epochs of owners that were reset, as last seen: domain and owner.
    epochs: Mutex<HashMap<(Domain, String), u32>>,
    sweep_list: SweepList,
    /// Added to the server's time, milliseconds; not 0 only in tests.
    shift_ms: AtomicI64,
}

impl RedisCounters {
    /// Counters that are connected in the background, however long that takes: a gateway that starts while its server is
    /// away serves by its outage policy.
    ///
    /// # Errors
    /// Permanent: settings that cannot be read.
    pub fn start(settings: RedisSettings) -> Result<Self, StoreError> {
        settings.config()?;
        let mut counters = Self::new(&settings);
        let (ready, events, gateways) =
            (counters.connection.clone(), counters.events.clone(), counters.gateways.clone());
        counters.connecting.spawn(async move {
            loop {
                match connect_checked(&settings, &events, &gateways).await {
                    Ok(connection) => {
                        tracing::info!("the counters are connected");
                        // nobody else sets it
                        let _first = ready.set(connection);
                        return;
                    }
                    Err(error) => tracing::warn!(%error, "the counters could not be connected"),
                }
                tokio::time::sleep(CONNECT_RETRY).await;
            }
        });
        Ok(counters)
    }

    /// Counters that are connected: registered, and listening for news.
    ///
    /// # Errors
    /// What is wrong with the settings or the server. One that cannot be reached is tried for as long as the caller waits.
    pub async fn connect(settings: RedisSettings) -> Result<Self, StoreError> {
        let counters = Self::new(&settings);
        let connection = Connection::open(&settings, &counters.events, &counters.gateways).await?;
        // nobody else sets it
        let _first = counters.connection.set(connection);
        Ok(counters)
    }

    fn new(settings: &RedisSettings) -> Self {
        Self {
            connection: Arc::default(),
            connecting: JoinSet::new(),
            gateway_id: settings.registry_id(),
            gateways: Arc::default(),
            events: Arc::default(),
            clock: settings.clock.clone(),
            timing: settings.timing.clone(),
            epochs: Mutex::default(),
            sweep_list: SweepList::default(),
            shift_ms: AtomicI64::new(0),
        }
    }

    /// Waits until the connection stands.
    pub async fn connected(&self) {
        self.connection.wait().await;
    }

    /// What about the server endangers the counters, one sentence each. A server that cannot run them is an error.
    pub async fn check_server(&self) -> Result<Vec<String>, StoreError> {
        server::check(self.link("check")?).await
    }

    /// Leaves the registry and closes the connections, so that nobody waits for this gateway.
    pub async fn close(&self) -> Result<(), StoreError> {
        match self.connection.get() {
            Some(connection) => connection.close().await,
            None => Ok(()),
        }
    }

    fn link(&self, operation: &'static str) -> Result<&Arc<Link>, StoreError> {
        let none = || StoreError::transient(StoreKind::Redis, operation, "not connected since the start");
        self.connection.get().map(|connection| &connection.link).ok_or_else(none)
    }

    /// Calls a script within `deadline`. `keys` starts with the domain's.
    async fn call<R: FromValue>(
        &self,
        script: Script,
        deadline: Duration,
        keys: Vec<String>,
        args: Vec<Value>,
    ) -> Result<R, StoreError> {
        let operation = script.name();
        let started = Stopwatch::start();
        // not by `Timing::of`: to hand this future over would copy all of its many bytes
        let answer = match self.link(operation) {
            Ok(link) => link.call(script, deadline, keys, args).await,
            Err(error) => Err(error),
        };
        self.timing.tell(operation, started, answer.is_err());
        answer
    }

    /// Moves the time of all decisions of this connection on: for tests of leases and windows.
    pub fn shift_time(&self, by_ms: i64) {
        self.shift_ms.fetch_add(by_ms, Ordering::SeqCst);
    }

    fn shift_ms(&self) -> i64 {
        self.shift_ms.load(Ordering::Relaxed)
    }

    fn known_epoch(&self, domain: &Domain, owner: &str) -> u32 {
        let epochs = self.epochs.lock().unwrap_or_else(PoisonError::into_inner);
        if epochs.is_empty() {
            return 0;
        }
        epochs.get(&(domain.clone(), owner.to_owned())).copied().unwrap_or(0)
    }

    fn learn_epochs(&self, domain: &Domain, seen: &[LimitHold]) {
        if seen.iter().all(|it| it.epoch == 0) {
            return;
        }
        let mut epochs = self.epochs.lock().unwrap_or_else(PoisonError::into_inner);
        if epochs.len() >= MAX_EPOCHS {
            epochs.clear();
        }
        for it in seen {
            epochs.insert((domain.clone(), it.hold.bucket.owner_key()), it.epoch);
        }
    }
}

#[async_trait]
impl Counters for RedisCounters {
    async fn reserve(&self, reserve: &mut Reserve<'_>) -> Result<Reserved, StoreError> {
        check_holds(StoreKind::Redis, reserve.holds)?;
        let Reserve { rid, domain, lease_ms, message, .. } = *reserve;
        let holds = &mut *reserve.holds;
        let epoch = |owner: &str| self.known_epoch(domain, owner);
        let args = args::holds(self.shift_ms(), &rid_text(rid), lease_ms, holds, message, epoch);
        let keys = vec![domain_key(domain), tombstone_key(domain, rid)];
        let reply: Vec<i64> = self.call(Script::Reserve, ON_PATH, keys, args).await?;
        let reserved = replies::reserved(&reply, holds)?;
        if let Reserved::Admitted { .. } = reserved {
            self.learn_epochs(domain, holds);
            self.sweep_list.expect(domain, lease_ms, self.local_ms());
        }
        Ok(reserved)
    }

    async fn settle(&self, domain: &Domain, rid: Uuid, charges: &[Charge]) -> Result<Settled, StoreError> {
        let mut args = vec![rid_text(rid).into(), text(TOMBSTONE_MS)];
        args.extend(args::charges(charges));
        let keys = vec![domain_key(domain), tombstone_key(domain, rid)];
        replies::settled(self.call(Script::Settle, OFF_PATH, keys, args).await?)
    }

    async fn renew(&self, domain: &Domain, rids: &[Uuid], lease_ms: u64) -> Result<Vec<Uuid>, StoreError> {
        let mut args = vec![text(self.shift_ms()), text(lease_ms)];
        args.extend(rids.iter().map(|&rid| Value::from(rid_text(rid))));
        let gone: Vec<i64> = self.call(Script::Renew, OFF_PATH, vec![domain_key(domain)], args).await?;
        if gone == [-1] {
            return Ok(rids.to_vec());
        }
        let index = |index: i64| usize::try_from(index).ok().and_then(|index| rids.get(index)).copied();
        Ok(gone.into_iter().filter_map(index).collect())
    }

    async fn read(&self, domain: &Domain, holds: &mut [LimitHold]) -> Result<Option<i64>, StoreError> {
        check_holds(StoreKind::Redis, holds)?;
        let epoch = |owner: &str| self.known_epoch(domain, owner);
        let args = args::holds(self.shift_ms(), "", 0, holds, None, epoch);
        let reply: Vec<i64> = self.call(Script::Read, ON_PATH, vec![domain_key(domain)], args).await?;
        replies::read(&reply, holds)
    }

    async fn rebuild(&self, domain: &Domain, totals: &DomainTotals) -> Result<bool, StoreError> {
        let mut keys = vec![domain_key(domain)];
        keys.extend(totals.recent.iter().map(|&rid| tombstone_key(domain, rid)));
        let mut args = vec![
            text(self.shift_ms()),
            domain.as_str().into(),
            text(ANNOUNCE_WAIT_MS),
            text(TOMBSTONE_MS),
            self.gateways.live().into(),
            count(totals.buckets.len()),
        ];
        for total in &totals.buckets {
            args.extend([
                total.bucket.key().into(),
                text(total.epoch),
                text(total.period_start_ms),
                text(total.period_end_ms),
                text(total.used),
            ]);
        }
        for owner in &totals.epochs {
            args.extend([
                owner.owner_key.as_str().into(),
                format!("{}:{}", owner.epoch, owner.reset_at_ms).into(),
            ]);
        }
        let link = self.link("rebuild")?;
        link.breaker.check("rebuild")?;
        link.recheck(&keys[0]).await?;
        let loaded: i64 = self.call(Script::Rebuild, LOADING, keys, args).await?;
        Ok(loaded == 1)
    }

    async fn announce(&self, domain: &Domain, announcements: &[Announcement]) -> Result<(), StoreError> {
        let mut chunks = announcements.chunks(ANNOUNCE_CHUNK).peekable();
        loop {
            let chunk = chunks.next().unwrap_or_default();
            let is_last = chunks.peek().is_none();
            let gateway = if is_last { self.gateway_id.as_str() } else { "" };
            let mut keys = vec![domain_key(domain)];
            let mut args = vec![text(self.shift_ms()), gateway.into(), text(TOMBSTONE_MS)];
            for announcement in chunk {
                let (rid, more) = args::announcement(announcement);
                keys.push(tombstone_key(domain, rid));
                args.extend(more);
            }
            let _warm: i64 = self.call(Script::Announce, LOADING, keys, args).await?;
            self.sweep_list.announced(domain, chunk, self.local_ms());
            if is_last {
                return Ok(());
            }
        }
    }

    async fn open_epoch(&self, domain: &Domain, owner: &OwnerEpoch) -> Result<(), StoreError> {
        let args = vec![owner.owner_key.as_str().into(), text(owner.epoch), text(owner.reset_at_ms)];
        let _opened: i64 = self.call(Script::OpenEpoch, LOADING, vec![domain_key(domain)], args).await?;
        Ok(())
    }

    async fn dump(&self, domain: &Domain) -> Result<Option<DomainDump>, StoreError> {
        let args = vec![text(self.shift_ms())];
        replies::dump(self.call(Script::Dump, OFF_PATH, vec![domain_key(domain)], args).await?)
    }

    async fn repair(&self, domain: &Domain, total: &BucketTotal) -> Result<bool, StoreError> {
        let args = vec![
            text(self.shift_ms()),
            bucket_field(&total.bucket, total.epoch).into(),
            text(total.period_start_ms),
            text(total.period_end_ms),
            text(total.used),
        ];
        let done: i64 = self.call(Script::Repair, OFF_PATH, vec![domain_key(domain)], args).await?;
        Ok(done == 1)
    }

    async fn forget(&self, domain: &Domain) -> Result<(), StoreError> {
        let forget = async {
            let link = self.link("forget")?;
            link.breaker.check("forget")?;
            let deleted = link.within(LOADING).del::<i64, _>(domain_key(domain)).await;
            deleted.map(|_| ()).map_err(|error| {
                link.note(&error);
                fault("forget", &error)
            })
        };
        self.timing.of("forget", forget).await
    }

    async fn sweep(&self) -> Result<u64, StoreError> {
        self.sweep_due().await
    }

    async fn next_event(&self) -> CountersEvent {
        self.events.next().await
    }

    async fn close(&self) {
        if let Err(error) = Self::close(self).await {
            tracing::debug!(%error, "the connection to Redis was not closed in order");
        }
    }

    async fn ping(&self) -> Result<(), StoreError> {
        // a cluster answers for the node of one key; the gateway's own registry key is as good as any
        let alive = async {
            let alive = registry::heartbeat(self.link("ping")?, &self.gateways, "").await;
            alive.map_err(|error| fault("ping", &error))
        };
        self.timing.of("ping", alive).await
    }
}

async fn connect_checked(
    settings: &RedisSettings,
    events: &Arc<Events>,
    gateways: &Arc<Gateways>,
) -> Result<Connection, StoreError> {
    let connection = Connection::open(settings, events, gateways).await?;
    for warning in server::check(&connection.link).await? {
        tracing::warn!("{warning}");
    }
    Ok(connection)
}
