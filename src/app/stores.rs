//! Which stores the settings ask for.

use std::sync::Arc;

use anyhow::{Result, bail};

use crate::clock::Clock;
use crate::config::StorageSettings;
use crate::store::memory::MemoryCounters;
use crate::store::sqlite::SqliteLedger;
use crate::store::{Counters, Ledger};

/// The opened stores.
pub struct Stores {
    /// The counters of record.
    pub counters: Arc<dyn Counters>,
    /// Counters in this process, for an outage of the others.
    pub fallback: Option<Arc<dyn Counters>>,
    /// The ledger, its tables made.
    pub ledger: Arc<dyn Ledger>,
}

/// Opens them.
///
/// # Errors
/// A store that cannot be opened.
pub async fn open(storage: &StorageSettings, clock: &Clock) -> Result<Stores> {
    if storage.redis_url.is_some() || storage.database_url.is_some() {
        bail!(
            "`storage.redis_url` and `storage.database_url` are not supported by this version\nhint: leave them empty: the ledger is SQLite in `storage.data_dir`, the counters are in memory"
        );
    }
    let ledger: Arc<dyn Ledger> = Arc::new(SqliteLedger::open(&storage.data_dir.join("ledger.sqlite"))?);
    if storage.migrate {
        ledger.migrate().await?;
    }
    Ok(Stores { counters: Arc::new(MemoryCounters::new(clock.clone())), fallback: None, ledger })
}
