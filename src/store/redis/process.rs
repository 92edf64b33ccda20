//! Which server process each script was loaded into, and in which term of it as a primary.
//!
//! The text of a script carries the process's run id, so each process has its own SHA of it. A process that was not asked
//! for (a restart, a promoted replica, another node of the cluster) does not know the SHA and answers NOSCRIPT, in the same
//! round trip; only then is its run id read and the text for it loaded, over one connection, which cannot change process.
//! The text carries the replication id too, which is new with each promotion: a primary that was a replica in between and
//! is back may have lost what it knew. It still knows the old SHA, so whenever the connection or the map of slots changes,
//! and when a domain is loaded, the ids are read again. It must not know what scripts do.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use fred::error::Error;
use fred::interfaces::{ClientLike, LuaInterface};
use fred::prelude::{Client, Config};
use fred::types::cluster::ClusterRouting;
use fred::types::config::{Server, ServerConfig};
use fred::types::{ClusterHash, CustomCommand};

use super::errors::fault;
use super::scripts::{Script, texts};
use super::settings::one_connection;
use crate::clock::Stopwatch;
use crate::store::StoreError;

/// Hexadecimal digits of each of a server's two ids that a term is made of: tombstones carry it, so it is kept short.
const ID_DIGITS: usize = 20;
/// Between two looks at the ids because domains are cold, milliseconds.
const RECHECK_MS: u64 = 1_000;

/// The scripts as one process knows them.
#[derive(Debug)]
pub(super) struct Process {
    /// Run id and replication id.
    pub(super) term: String,
    /// In the order of [`Script`].
    hashes: Vec<String>,
}

impl Process {
    pub(super) fn hash(&self, script: Script) -> &str {
        self.hashes.get(script as usize).map_or("", String::as_str)
    }
}

/// A process that was met.
#[derive(Clone)]
struct Met {
    process: Arc<Process>,
    /// The connection is no longer the one over which it was asked.
    is_doubted: bool,
}

/// The processes that were met, by node; `None` is the only server of a plain or Sentinel set-up.
pub(super) struct Processes {
    config: Config,
    known: RwLock<HashMap<Option<Server>, Met>>,
    /// When a cold domain last made a node's ids be read.
    rechecked: Mutex<HashMap<Option<Server>, Stopwatch>>,
    routing: RwLock<Option<ClusterRouting>>,
    /// One loader at a time: callers that met the same NOSCRIPT wait for the first.
    loading: tokio::sync::Mutex<()>,
}

impl Processes {
    pub(super) fn new(config: Config) -> Self {
        Self {
            config,
            known: RwLock::default(),
            rechecked: Mutex::default(),
            routing: RwLock::default(),
            loading: tokio::sync::Mutex::default(),
        }
    }

    pub(super) fn is_cluster(&self) -> bool {
        matches!(self.config.server, ServerConfig::Clustered { .. })
    }

    /// The cluster's map of slots may have changed.
    pub(super) fn set_routing(&self, routing: Option<ClusterRouting>) {
        let mut known = self.routing.write().unwrap_or_else(PoisonError::into_inner);
        let is_news = primaries(known.as_ref()) != primaries(routing.as_ref());
        *known = routing;
        drop(known);
        if is_news {
            self.doubt();
        }
    }

    /// A connection is new: each process is asked again before its scripts are called.
    pub(super) fn doubt(&self) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.values_mut().for_each(|met| met.is_doubted = true);
    }

    /// The node that serves this key.
    pub(super) fn node(&self, key: &str) -> Option<Server> {
        if !self.is_cluster() {
            return None;
        }
        let routing = self.routing.read().unwrap_or_else(PoisonError::into_inner);
        routing.as_ref()?.get_server(ClusterRouting::hash_key(key.as_bytes())).cloned()
    }

    /// The process at this node, if nothing speaks against it.
    pub(super) fn get(&self, node: Option<&Server>) -> Option<Arc<Process>> {
        self.met(node).filter(|met| !met.is_doubted).map(|met| met.process)
    }

    fn met(&self, node: Option<&Server>) -> Option<Met> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(&node.cloned()).cloned()
    }

    /// Loads the scripts into the process that now answers at this node, unless another call just did: `stale` is what
    /// the caller tried. Returns the process and whether its term is a new one.
    pub(super) async fn load(
        &self,
        node: Option<Server>,
        stale: Option<&Arc<Process>>,
    ) -> Result<(Arc<Process>, bool), StoreError> {
        let _turn = self.loading.lock().await;
        if let Some(known) = self.get(node.as_ref())
            && stale.is_none_or(|stale| !Arc::ptr_eq(stale, &known))
        {
            return Ok((known, false));
        }
        self.ask(node).await
    }

    /// Looks whether the process at this node is in a new term, at most once a second: true if so. A domain that is cold
    /// may be so because another gateway knows a later term.
    pub(super) async fn recheck(&self, node: Option<Server>) -> Result<bool, StoreError> {
        {
            let mut rechecked = self.rechecked.lock().unwrap_or_else(PoisonError::into_inner);
            if rechecked.get(&node).is_some_and(|last| last.elapsed_ms() < RECHECK_MS) {
                return Ok(false);
            }
            rechecked.insert(node.clone(), Stopwatch::start());
        }
        let _turn = self.loading.lock().await;
        Ok(self.ask(node).await?.1)
    }

    async fn ask(&self, node: Option<Server>) -> Result<(Arc<Process>, bool), StoreError> {
        let before = self.met(node.as_ref()).map(|met| met.process);
        let client = self.connect(node.clone()).await.map_err(|error| fault("load_scripts", &error))?;
        let loaded = load_scripts(&client).await.map_err(|error| fault("load_scripts", &error));
        // the connection is done with; that it may be gone already is no fault
        let _closed = client.quit().await;
        let loaded = loaded?;
        let is_new = before.as_ref().is_some_and(|before| before.term != loaded.term);
        if is_new {
            tracing::warn!(
                term = loaded.term,
                "redis is another process or newly promoted: its counters are loaded anew"
            );
        }
        // the same process keeps its place: callers that compare must not take it for another
        let process = match before {
            Some(before) if before.term == loaded.term && before.hashes == loaded.hashes => before,
            _ => Arc::new(loaded),
        };
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(node, Met { process: process.clone(), is_doubted: false });
        Ok((process, is_new))
    }

    /// One connection to one node.
    pub(super) async fn connect(&self, node: Option<Server>) -> Result<Client, Error> {
        let mut config = self.config.clone();
        if let Some(server) = node {
            config.server = ServerConfig::Centralized { server };
        }
        let client = one_connection(config);
        let _task = client.init().await?;
        Ok(client)
    }
}

/// Which primary has which slots.
fn primaries(routing: Option<&ClusterRouting>) -> Vec<(u16, u16, &Server)> {
    let slots = routing.map(ClusterRouting::slots).unwrap_or_default();
    slots.iter().map(|slots| (slots.start, slots.end, &slots.primary)).collect()
}

async fn load_scripts(client: &Client) -> Result<Process, Error> {
    let (server, replication) = (info(client, "server").await?, info(client, "replication").await?);
    let digits = |info, name| info_field(info, name).unwrap_or_default().chars().take(ID_DIGITS);
    let term: String = digits(&server, "run_id").chain(digits(&replication, "master_replid")).collect();
    let mut hashes = Vec::new();
    for text in texts(&term) {
        hashes.push(client.script_load(text).await?);
    }
    Ok(Process { term, hashes })
}

/// A section of `INFO`.
pub(super) async fn info(client: &Client, section: &'static str) -> Result<String, Error> {
    let command = CustomCommand::new_static("INFO", ClusterHash::Random, false);
    client.custom(command, vec![section]).await
}

/// The value of a line `name:value`.
pub(super) fn info_field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}
