//! `[storage]`: where the gateway keeps what it counts.
//!
//! Owns the keys of that table. Must not know the stores; a URL is never shown, it may carry a password.

use std::path::PathBuf;

use super::certificates;
use super::nearest::did_you_mean;
use super::reading::{Reported, listed};
use super::section::{Keys, Section};
use super::settings::StorageSettings;
use super::value;

const KEYS: Keys = Keys {
    known: &[
        "data_dir",
        "database_url",
        "database_url_file",
        "database_replica_url",
        "database_replica_url_file",
        "redis_url",
        "redis_url_file",
        "redis_password",
        "redis_password_file",
        "redis_ca_file",
        "migrate",
    ],
    later: &[],
};

const DATABASE_SCHEMES: [&str; 2] = ["postgresql", "postgres"];
const REDIS_SCHEMES: [&str; 6] =
    ["redis", "rediss", "redis-cluster", "rediss-cluster", "redis-sentinel", "rediss-sentinel"];

/// Reads `[storage]`.
pub(super) fn read(root: &Section<'_>) -> Result<StorageSettings, Reported> {
    let section = root.section("storage")?;
    let known = section.only(KEYS);
    let default = StorageSettings::default();
    let data_dir = data_dir(&section, default.data_dir);
    let database_url = url(&section, "database_url", &DATABASE_SCHEMES);
    let database_replica_url = url(&section, "database_replica_url", &DATABASE_SCHEMES);
    let redis_url = url(&section, "redis_url", &REDIS_SCHEMES);
    let redis_password = value::secret(&section, "redis_password");
    let redis_ca = redis_ca(&section, redis_url.as_ref().ok().and_then(Option::as_deref));
    let migrate = section.get("migrate").map_or(Ok(default.migrate), |entry| entry.boolean());
    let paired = match (&database_url, &database_replica_url) {
        (Ok(None), Ok(Some(_))) => {
            let hint = "the replica is a copy of that database: set both or none".to_owned();
            Err(section.missing("database_url", "a `postgresql://` URL", Some(hint)))
        }
        _ => Ok(()),
    };
    known?;
    paired?;
    Ok(StorageSettings {
        data_dir: data_dir?,
        database_url: database_url?,
        database_replica_url: database_replica_url?,
        redis_url: redis_url?,
        redis_password: redis_password?,
        redis_ca: redis_ca?,
        migrate: migrate?,
    })
}

fn data_dir(section: &Section<'_>, default: PathBuf) -> Result<PathBuf, Reported> {
    let Some(entry) = section.get("data_dir") else { return Ok(default) };
    let text = entry.text()?;
    if text.is_empty() { Err(entry.wrong("\"\"", "the path of a folder", None)) } else { Ok(text.into()) }
}

/// The certificates in `redis_ca_file`; empty if the key is missing or its text empty.
fn redis_ca(section: &Section<'_>, url: Option<&str>) -> Result<Vec<Vec<u8>>, Reported> {
    let path = value::optional_text(section, "redis_ca_file")?.filter(|path| !path.is_empty());
    let (Some(path), Some(entry)) = (path, section.get("redis_ca_file")) else { return Ok(Vec::new()) };
    if url.is_some_and(|url| !url.starts_with("rediss")) {
        let hint = "write `rediss://` in `redis_url`, or remove the key".to_owned();
        return Err(entry.wrong(
            "a file although `redis_url` has no TLS",
            "a file beside `rediss://`",
            Some(hint),
        ));
    }
    certificates::read(&entry, &path)
}

/// A URL with one of the schemes; the store that connects reads the rest of it.
fn url(section: &Section<'_>, key: &str, schemes: &[&str]) -> Result<Option<String>, Reported> {
    let Some(text) = value::secret(section, key)? else { return Ok(None) };
    let scheme = text.split_once("://").map(|(scheme, _)| scheme);
    if scheme.is_some_and(|scheme| schemes.contains(&scheme)) {
        return Ok(Some(text));
    }
    let found = scheme.map_or("a text that is no URL", |_| "a URL with another scheme");
    let allowed = format!("a URL that begins with one of {}", listed(schemes.iter().copied()));
    let hint = scheme.and_then(|scheme| did_you_mean(scheme, schemes.iter().copied()));
    let file_key = format!("{key}_file");
    let entry = section.get(key).or_else(|| section.get(&file_key));
    Err(match entry {
        Some(entry) => entry.wrong(found, allowed, hint),
        None => section.missing(key, &allowed, hint),
    })
}
