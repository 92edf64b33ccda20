//! Is the server one that counters can live on? Version, eviction, persistence, node by node.
//!
//! It must not know scripts.

use fred::error::Error;
use fred::interfaces::{ClientLike, ClusterInterface, ConfigInterface};
use fred::prelude::Client;
use fred::types::config::Server;

use super::errors::fault;
use super::link::Link;
use super::process::{info, info_field};
use crate::store::{StoreError, StoreKind};

/// The oldest version that runs the scripts: `#!lua` and flags (Redis 7.0; the first Valkey is 7.2).
const OLDEST: u32 = 7;

/// Asks every primary node. What endangers the counters comes back as sentences; what makes them impossible is an error.
pub(super) async fn check(link: &Link) -> Result<Vec<String>, StoreError> {
    let nodes = if link.processes.is_cluster() {
        let routing = link.client.cached_cluster_state();
        let nodes = routing.map(|state| state.unique_primary_nodes()).unwrap_or_default();
        nodes.into_iter().map(Some).collect()
    } else {
        vec![None]
    };
    let mut warnings = Vec::new();
    for node in nodes {
        let name =
            node.as_ref().map_or_else(|| "redis".to_owned(), |server: &Server| format!("redis {server}"));
        let client = link.processes.connect(node).await.map_err(|error| fault("check", &error))?;
        let checked = check_node(&client, &name).await;
        // the connection is done with; that it may be gone already is no fault
        let _closed = client.quit().await;
        warnings.extend(checked?);
    }
    Ok(warnings)
}

async fn check_node(client: &Client, name: &str) -> Result<Vec<String>, StoreError> {
    let failed = |error: Error| fault("check", &error);
    let server = info(client, "server").await.map_err(failed)?;
    if let Err(version) = check_version(&server) {
        let message = format!("{name}: version `{version}` is too old, at least `{OLDEST}.0` is needed");
        return Err(StoreError::permanent(StoreKind::Redis, "check", message));
    }
    let mut warnings = Vec::new();
    let memory = info(client, "memory").await.map_err(failed)?;
    let policy = info_field(&memory, "maxmemory_policy").unwrap_or("unknown");
    if policy != "noeviction" {
        warnings.push(format!(
            "{name}: maxmemory-policy is `{policy}`: evicted counters are loaded again from the ledger, at a cost; set `noeviction`"
        ));
    }
    let persistence = info(client, "persistence").await.map_err(failed)?;
    if info_field(&persistence, "aof_enabled") != Some("1") {
        match save_points(client).await {
            Ok(points) if points.is_empty() => warnings.push(format!(
                "{name}: no persistence: after a restart every counter is loaded again from the ledger; set `appendonly yes`"
            )),
            Ok(_) => {}
            Err(error) => warnings.push(format!("{name}: cannot tell if it is persistent: {}", error.details())),
        }
    }
    Ok(warnings)
}

/// The version that is too old, or is none. Valkey's own comes first: beside it stands the one of the Redis that it is
/// compatible with, which a later Valkey may leave out.
fn check_version(server: &str) -> Result<(), &str> {
    let version = ["valkey_version", "redis_version"].iter().find_map(|name| info_field(server, name));
    let version = version.unwrap_or_default();
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_some_and(|major| major >= OLDEST) { Ok(()) } else { Err(version) }
}

async fn save_points(client: &Client) -> Result<String, Error> {
    let pair: Vec<String> = client.config_get("save").await?;
    Ok(pair.into_iter().nth(1).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::check_version;

    #[test]
    fn redis_and_valkey_are_told_by_their_own_versions() {
        for server in [
            "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\n",
            "# Server\r\nredis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.0.1\r\n",
            "# Server\r\nserver_name:valkey\r\nvalkey_version:9.0.0\r\n",
        ] {
            assert_eq!(check_version(server), Ok(()), "{server}");
        }
        for (server, version) in [
            ("# Server\r\nredis_version:6.2.14\r\n", "6.2.14"),
            ("# Server\r\nredis_version:unstable\r\n", "unstable"),
            ("# Server\r\nserver_name:other\r\n", ""),
        ] {
            assert_eq!(check_version(server), Err(version), "{server}");
        }
    }
}
