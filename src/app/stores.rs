//! Which stores the settings ask for.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::clock::Clock;
use crate::config::StorageSettings;
use crate::store::memory::MemoryCounters;
use crate::store::postgres::{PostgresLedger, PostgresSettings};
use crate::store::redis::{RedisCounters, RedisSettings};
use crate::store::replica::Reads;
use crate::store::sqlite::SqliteLedger;
use crate::store::timing::Timing;
use crate::store::{Counters, Ledger, Outbox, StoreError};
use crate::telemetry::Metrics;

/// How long a start waits for the servers before it serves without them.
const START_WAIT: Duration = Duration::from_secs(5);

/// Pause between attempts to make the tables.
const MIGRATE_RETRY: Duration = Duration::from_secs(1);

/// How often the partitions of the coming months are made.
const PARTITIONS_EVERY: Duration = Duration::from_secs(6 * 3600);

/// The calls that requests and their records make.
const COUNTERS_CALLS: &[&str] = &["reserve", "settle", "renew", "read", "rebuild"];
const LEDGER_CALLS: &[&str] = &["ingest", "load", "last_seen", "history", "analytics", "users"];
const REPLICA_CALLS: &[&str] = &["history", "analytics", "users"];

/// The opened stores.
pub struct Stores {
    /// The counters of record.
    pub counters: Arc<dyn Counters>,
    /// Counters in this process, for an outage of the others.
    pub fallback: Option<Arc<dyn Counters>>,
    /// The ledger.
    pub ledger: Arc<dyn Ledger>,
    /// The webhooks' outbox, in the ledger.
    pub outbox: Arc<dyn Outbox>,
    /// Where history and analytics are read.
    pub reads: Arc<Reads>,
}

/// Opens them. A server that is away does not keep the gateway from starting; a setting that is wrong does.
///
/// # Errors
/// A file, a URL or a schema that cannot be used.
pub async fn open(storage: &StorageSettings, clock: &Clock, metrics: &Arc<Metrics>) -> Result<Stores> {
    if storage.redis_url.is_some() && storage.database_url.is_none() {
        bail!(
            "`storage.redis_url` is set and `storage.database_url` is not\nhint: gateways that share counters must share the ledger: set both, or neither"
        );
    }
    let (ledger, outbox) = ledger(storage, clock, metrics).await?;
    let reads = Arc::new(Reads::new(Arc::clone(&ledger), replica(storage, metrics)?));
    let memory = MemoryCounters::new(clock.clone());
    let Some(url) = &storage.redis_url else {
        let counters = Arc::new(memory.timed(timing(metrics, "memory", COUNTERS_CALLS)));
        return Ok(Stores { counters, fallback: None, ledger, outbox, reads });
    };
    let timing = timing(metrics, "redis", COUNTERS_CALLS);
    let settings = redis_settings(storage, url, gateway_id(&storage.data_dir, clock)?, clock, timing);
    Ok(Stores { counters: redis(settings).await?, fallback: Some(Arc::new(memory)), ledger, outbox, reads })
}

/// Takes the calls of this store down. The `usual` ones show in the metrics before the first of them.
fn timing(metrics: &Arc<Metrics>, store: &'static str, usual: &[&str]) -> Timing {
    metrics.expect_store(store, usual);
    let metrics = Arc::clone(metrics);
    Timing::new(move |operation, took, failed| metrics.store_call(store, operation, took, failed))
}

/// Creates or upgrades the ledger's tables, at once or not at all.
///
/// # Errors
/// A database that cannot be reached or upgraded.
pub async fn migrate(storage: &StorageSettings) -> Result<()> {
    match &storage.database_url {
        Some(url) => PostgresLedger::connect(&PostgresSettings::new(url.clone()))?.migrate().await?,
        None => SqliteLedger::open(&storage.data_dir.join("ledger.sqlite"))?.migrate().await?,
    }
    Ok(())
}

/// Tries each store that the settings name: warnings, or what is wrong with it.
pub async fn try_each(
    storage: &StorageSettings,
    clock: &Clock,
) -> Vec<(&'static str, Result<Vec<String>, String>)> {
    let mut tried = Vec::new();
    for (name, url) in
        [("postgres", &storage.database_url), ("postgres replica", &storage.database_replica_url)]
    {
        let Some(url) = url else { continue };
        let settings = PostgresSettings::new(url.clone());
        let answer = async { PostgresLedger::connect(&settings)?.ping().await }.await;
        tried.push((name, answer.map(|()| Vec::new()).map_err(|error| error.to_string())));
    }
    if let Some(url) = &storage.redis_url {
        let id = format!("check-{}", clock.request_id().simple());
        tried.push(("redis", try_redis(redis_settings(storage, url, id, clock, Timing::default())).await));
    }
    tried
}

fn redis_settings(
    storage: &StorageSettings,
    url: &str,
    gateway_id: String,
    clock: &Clock,
    timing: Timing,
) -> RedisSettings {
    RedisSettings {
        url: url.to_owned(),
        password: storage.redis_password.clone(),
        ca: storage.redis_ca.clone(),
        gateway_id,
        clock: clock.clone(),
        timing,
    }
}

async fn try_redis(settings: RedisSettings) -> Result<Vec<String>, String> {
    let connected = tokio::time::timeout(START_WAIT, RedisCounters::connect(settings)).await;
    let counters = connected
        .map_err(|_| format!("no answer in {} s", START_WAIT.as_secs()))?
        .map_err(|error| error.to_string())?;
    let found = counters.check_server().await;
    Counters::close(&counters).await;
    found.map_err(|error| error.to_string())
}

/// The ledger's copy. It need not answer yet: what it does not answer is read from the ledger.
fn replica(storage: &StorageSettings, metrics: &Arc<Metrics>) -> Result<Option<Arc<dyn Ledger>>> {
    let Some(url) = &storage.database_replica_url else { return Ok(None) };
    let timing = timing(metrics, "postgres_replica", REPLICA_CALLS);
    let settings = PostgresSettings { timing, ..PostgresSettings::new(url.clone()) };
    Ok(Some(Arc::new(PostgresLedger::connect(&settings)?)))
}

async fn ledger(
    storage: &StorageSettings,
    clock: &Clock,
    metrics: &Arc<Metrics>,
) -> Result<(Arc<dyn Ledger>, Arc<dyn Outbox>)> {
    let Some(url) = &storage.database_url else {
        let ledger = SqliteLedger::open(&storage.data_dir.join("ledger.sqlite"))?;
        let ledger = ledger.timed(timing(metrics, "sqlite", LEDGER_CALLS));
        if storage.migrate {
            ledger.migrate().await?;
        } else {
            ledger.verify_schema().await?;
        }
        return Ok((Arc::new(ledger.clone()), Arc::new(ledger)));
    };
    let timing = timing(metrics, "postgres", LEDGER_CALLS);
    let ledger = PostgresLedger::connect(&PostgresSettings { timing, ..PostgresSettings::new(url.clone()) })?;
    let (migrate, time, making) = (storage.migrate, clock.clone(), ledger.clone());
    let make = async move {
        loop {
            match make_tables(&making, migrate, &time).await {
                Ok(()) => return Ok(()),
                Err(error) if !error.transient => {
                    tracing::error!(%error, "the ledger's tables cannot be made");
                    return Err(error);
                }
                Err(error) => tracing::warn!(%error, "the ledger's tables could not be made yet"),
            }
            tokio::time::sleep(MIGRATE_RETRY).await;
        }
    };
    let mut making = tokio::spawn(make);
    match tokio::time::timeout(START_WAIT, &mut making).await {
        Ok(made) => made.context("the task that makes the tables broke off")??,
        Err(_) => {
            tracing::warn!("PostgreSQL does not answer: serving without it, the journal keeps the records");
        }
    }
    tokio::spawn(keep_partitions(ledger.clone(), clock.clone()));
    Ok((Arc::new(ledger.clone()), Arc::new(ledger)))
}

async fn make_tables(ledger: &PostgresLedger, migrate: bool, clock: &Clock) -> Result<(), StoreError> {
    if migrate {
        ledger.migrate().await?;
    } else {
        ledger.verify_schema().await?;
    }
    ledger.ensure_partitions(clock.now_ms()).await
}

/// Makes the partitions of the coming months, for ever.
async fn keep_partitions(ledger: PostgresLedger, clock: Clock) {
    loop {
        tokio::time::sleep(PARTITIONS_EVERY).await;
        if let Err(error) = ledger.ensure_partitions(clock.now_ms()).await {
            tracing::warn!(%error, "the partitions of the coming months could not be made yet");
        }
    }
}

async fn redis(settings: RedisSettings) -> Result<Arc<RedisCounters>> {
    // settings that cannot be read end the start; a server that is away does not
    let counters = RedisCounters::start(settings)?;
    if tokio::time::timeout(START_WAIT, counters.connected()).await.is_err() {
        tracing::warn!("Redis does not answer: serving by the outage policy");
    }
    Ok(Arc::new(counters))
}

/// This gateway's name among those that share Redis: made once, kept in the data folder.
fn gateway_id(data_dir: &Path, clock: &Clock) -> Result<String> {
    let path = data_dir.join("gateway-id");
    match std::fs::read_to_string(&path) {
        Ok(id) if !id.trim().is_empty() => return Ok(id.trim().to_owned()),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("cannot read `{}`", path.display())),
    }
    let id = clock.request_id().simple().to_string();
    std::fs::write(&path, &id).with_context(|| format!("cannot write `{}`", path.display()))?;
    Ok(id)
}
