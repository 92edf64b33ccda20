//! Which server process each script was loaded into.
//!
//! The text of a script carries the process's run id, so each process has its own SHA of it. A process that was not asked
//! for (a restart, a promoted replica, another node of the cluster) does not know the SHA and answers NOSCRIPT, in the same
//! round trip; only then is its run id read and the text for it loaded, over one connection, which cannot change process.
//! It must not know what scripts do.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use fred::error::Error;
use fred::interfaces::{ClientLike, LuaInterface};
use fred::prelude::{Client, Config};
use fred::types::cluster::ClusterRouting;
use fred::types::config::{Server, ServerConfig};
use fred::types::{ClusterHash, CustomCommand};

use super::errors::fault;
use super::scripts::Script;
use super::settings::one_connection;
use crate::store::StoreError;

/// The scripts as one process knows them.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) run_id: String,
    /// In the order of [`Script::ALL`].
    hashes: Vec<String>,
}

impl Process {
    pub(super) fn hash(&self, script: Script) -> &str {
        Script::ALL.iter().position(|&it| it == script).map_or("", |index| &self.hashes[index])
    }
}

/// The processes that were met, by node; `None` is the only server of a plain or Sentinel set-up.
pub(super) struct Processes {
    config: Config,
    known: RwLock<HashMap<Option<Server>, Arc<Process>>>,
    routing: RwLock<Option<ClusterRouting>>,
    /// One loader at a time: callers that met the same NOSCRIPT wait for the first.
    loading: tokio::sync::Mutex<()>,
}

impl Processes {
    pub(super) fn new(config: Config) -> Self {
        Self {
            config,
            known: RwLock::default(),
            routing: RwLock::default(),
            loading: tokio::sync::Mutex::default(),
        }
    }

    pub(super) fn is_cluster(&self) -> bool {
        matches!(self.config.server, ServerConfig::Clustered { .. })
    }

    /// The cluster's map of slots has changed.
    pub(super) fn set_routing(&self, routing: Option<ClusterRouting>) {
        *self.routing.write().unwrap_or_else(PoisonError::into_inner) = routing;
    }

    /// The node that serves this key.
    pub(super) fn node(&self, key: &str) -> Option<Server> {
        if !self.is_cluster() {
            return None;
        }
        let routing = self.routing.read().unwrap_or_else(PoisonError::into_inner);
        routing.as_ref()?.get_server(ClusterRouting::hash_key(key.as_bytes())).cloned()
    }

    pub(super) fn get(&self, node: Option<&Server>) -> Option<Arc<Process>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(&node.cloned()).cloned()
    }

    /// Loads the scripts into the process that now answers at this node, unless another call just did: `stale` is what
    /// the caller tried. Returns the process and whether its run id is a new one.
    pub(super) async fn load(
        &self,
        node: Option<Server>,
        stale: Option<&Arc<Process>>,
    ) -> Result<(Arc<Process>, bool), StoreError> {
        let _turn = self.loading.lock().await;
        let before = self.get(node.as_ref());
        if let Some(known) = &before
            && stale.is_none_or(|stale| !Arc::ptr_eq(stale, known))
        {
            return Ok((known.clone(), false));
        }
        let client = self.connect(node.clone()).await.map_err(|error| fault("load_scripts", &error))?;
        let loaded = load_scripts(&client).await.map_err(|error| fault("load_scripts", &error));
        // the connection is done with; that it may be gone already is no fault
        let _closed = client.quit().await;
        let process = Arc::new(loaded?);
        let is_new = before.is_some_and(|before| before.run_id != process.run_id);
        if is_new {
            tracing::warn!(
                run_id = process.run_id,
                "redis is another process now: its counters are loaded anew"
            );
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(node, process.clone());
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

async fn load_scripts(client: &Client) -> Result<Process, Error> {
    let run_id = info_field(&info(client, "server").await?, "run_id").unwrap_or_default().to_owned();
    let mut hashes = Vec::with_capacity(Script::ALL.len());
    for script in Script::ALL {
        hashes.push(client.script_load(script.text(&run_id)).await?);
    }
    Ok(Process { run_id, hashes })
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
