//! `[storage]`: where the gateway keeps what it counts.
//!
//! Owns how the values of that table are read. Must not know the stores; a URL is never shown, it may carry a password.

use std::path::PathBuf;

use super::file;
use super::nearest::did_you_mean;
use super::reading::{Reported, gather};
use super::setting::Setting;
use super::settings::StorageSettings;
use super::value;

const DATABASE_SCHEMES: [&str; 2] = ["postgresql", "postgres"];
const REDIS_SCHEMES: [&str; 6] =
    ["redis", "rediss", "redis-cluster", "rediss-cluster", "redis-sentinel", "rediss-sentinel"];

/// Reads `[storage]`.
pub(super) fn read(root: &Setting<'_>) -> Result<StorageSettings, Reported> {
    let section = root.section("storage")?;
    gather!(StorageSettings {
        data_dir: section.read("data_dir", Setting::some_text).map(PathBuf::from),
        database_url: url(&section, "database_url", &DATABASE_SCHEMES),
        database_replica_url: match (url(&section, "database_replica_url", &DATABASE_SCHEMES), &database_url)
        {
            (Ok(Some(_)), Ok(None)) => {
                let hint = "the replica is a copy of that database: set both or none".to_owned();
                Err(section.missing("database_url", "a `postgresql://` URL", Some(hint)))
            }
            (replica, _) => replica,
        },
        redis_url: url(&section, "redis_url", &REDIS_SCHEMES),
        redis_password: value::secret(&section, "redis_password", Ok),
        redis_ca: {
            let without_tls = matches!(&redis_url, Ok(Some(url)) if !url.starts_with("rediss"));
            let needs_tls = without_tls.then_some(("redis_url", "has no TLS", "rediss://"));
            file::certificates(&section, "redis_ca_file", needs_tls)
        },
        migrate: section.read("migrate", Setting::flag),
    })
}

/// A URL with one of the schemes; the store that connects reads the rest of it.
fn url(section: &Setting<'_>, key: &str, schemes: &[&str]) -> Result<Option<String>, Reported> {
    value::secret(section, key, |text| {
        let Some((scheme, _)) = text.split_once("://") else {
            return Err(("a text that is no URL".to_owned(), None));
        };
        if schemes.contains(&scheme) {
            return Ok(text);
        }
        Err(("a URL with another scheme".to_owned(), did_you_mean(scheme, schemes.iter().copied())))
    })
}
