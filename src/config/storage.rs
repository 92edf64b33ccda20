//! `[storage]`: where the gateway keeps what it counts.
//!
//! Owns how the values of that table are read. Must not know the stores; a URL is never shown, it may carry a password.

use super::certificates;
use super::nearest::did_you_mean;
use super::reading::Reported;
use super::section::Section;
use super::settings::StorageSettings;
use super::value;

const DATABASE_SCHEMES: [&str; 2] = ["postgresql", "postgres"];
const REDIS_SCHEMES: [&str; 6] =
    ["redis", "rediss", "redis-cluster", "rediss-cluster", "redis-sentinel", "rediss-sentinel"];

/// Reads `[storage]`.
pub(super) fn read(root: &Section<'_>) -> Result<StorageSettings, Reported> {
    let section = root.section("storage")?;
    let data_dir = section.read("data_dir").and_then(|setting| setting.some_text());
    let database_url = url(&section, "database_url", &DATABASE_SCHEMES);
    let database_replica_url = url(&section, "database_replica_url", &DATABASE_SCHEMES);
    let redis_url = url(&section, "redis_url", &REDIS_SCHEMES);
    let redis_password = value::secret(&section, "redis_password", Ok);
    let without_tls = matches!(&redis_url, Ok(Some(url)) if !url.starts_with("rediss"));
    let needs_tls = without_tls.then_some(("redis_url", "has no TLS", "rediss://"));
    let redis_ca = certificates::read(&section, "redis_ca_file", needs_tls);
    let migrate = section.read("migrate").and_then(|setting| setting.flag());
    if let (Ok(None), Ok(Some(_))) = (&database_url, &database_replica_url) {
        let hint = "the replica is a copy of that database: set both or none".to_owned();
        return Err(section.missing("database_url", "a `postgresql://` URL", Some(hint)));
    }
    Ok(StorageSettings {
        data_dir: data_dir?.into(),
        database_url: database_url?,
        database_replica_url: database_replica_url?,
        redis_url: redis_url?,
        redis_password: redis_password?,
        redis_ca: redis_ca?,
        migrate: migrate?,
    })
}

/// A URL with one of the schemes; the store that connects reads the rest of it.
fn url(section: &Section<'_>, key: &str, schemes: &[&str]) -> Result<Option<String>, Reported> {
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
