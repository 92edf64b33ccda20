//! The configuration: a TOML file becomes checked [`Settings`], or all its [`Problems`] at once.
//!
//! Owns the keys, their bounds and the words for what is wrong. Reads the file and the secrets it names, nothing else.
//! Must not know more of other rooms than the structs it fills.

mod apps;
mod certificates;
mod entry;
mod expand;
mod issuers;
mod limit;
mod models;
mod nearest;
mod plans;
mod prices;
mod problem;
mod quota;
mod reading;
mod routing;
mod section;
mod server;
mod settings;
mod storage;
mod upstreams;
mod url;
mod value;
mod webhooks;

use std::io::Read;
use std::path::Path;

use toml_edit::{Document, TomlError};

#[cfg(test)]
mod tests;

pub use problem::{Problem, Problems};
pub use settings::{
    AppSettings, OnOutage, QuotaSettings, Routing, ServerSettings, Settings, StorageSettings,
};

use crate::auth::IssuerSettings;
use entry::Entry;
use reading::{Reading, Reported};
use section::{Keys, Section};

const KEYS: Keys = Keys {
    known: &[
        "server",
        "storage",
        "quota",
        "groups",
        "plans",
        "issuers",
        "apps",
        "upstreams",
        "rewrite",
        "fallback",
        "prices",
        "webhooks",
    ],
    later: &[],
};

/// A configuration of ten thousand plans fits; a larger file is some other file, in bytes.
const FILE_BYTES_MAX: u64 = 4 * 1_024 * 1_024;

/// Reads and checks a configuration file. `env` gives the value of an environment variable.
///
/// Paths in it are taken from the working directory of the process.
pub fn load(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Settings, Problems> {
    let file_name = path.display().to_string();
    match read(path) {
        Ok(text) => parse(&text, &file_name, env),
        Err((found, allowed, hint)) => Err(Problems::new(vec![Problem {
            file: file_name,
            line: None,
            column: None,
            key: String::new(),
            found,
            allowed: allowed.to_owned(),
            hint: Some(hint.to_owned()),
        }])),
    }
}

/// Checks the text of a configuration file. `file_name` is what problems call it.
pub fn parse(
    text: &str,
    file_name: &str,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Settings, Problems> {
    let reading = Reading::new(file_name, text, env);
    match Document::parse(text) {
        Ok(document) => {
            let settings = settings(&Section::root(&reading, document.as_table()), &reading);
            reading.finish(settings)
        }
        Err(error) => {
            let reported = syntax(&reading, &error);
            reading.finish(Err(reported))
        }
    }
}

/// The configuration that is shipped as `config/tollgate.toml`.
pub fn example() -> &'static str {
    include_str!("../../config/tollgate.toml")
}

fn settings(root: &Section<'_>, reading: &Reading<'_>) -> Result<Settings, Reported> {
    let known = root.only(KEYS);
    let server = server::read(root);
    let storage = storage::read(root);
    let quota = quota::read(root);
    let mut issuers = issuers::read(root);
    let apps = match &mut issuers {
        Ok(issuers) => apps::read(root, issuers),
        // what else is wrong is told all the same
        Err(reported) => apps::read(root, &mut Vec::new()).and(Err(*reported)),
    };
    let upstreams = upstreams::read(root);
    let routing = routing::read(root, upstreams.as_deref().ok());
    let prices = prices::read(root, reading);
    let someone = someone_may_call(root, &issuers, &apps);
    let webhooks = webhooks::read(root);
    known?;
    someone?;
    Ok(Settings {
        server: server?,
        storage: storage?,
        quota: quota?,
        issuers: issuers?,
        apps: apps?,
        upstreams: upstreams?,
        routing: routing?,
        prices: prices?,
        prices_file: prices::file(root),
        webhooks: webhooks?,
    })
}

/// Without an issuer and without an anonymous plan, every request would be refused.
fn someone_may_call(
    root: &Section<'_>,
    issuers: &Result<Vec<IssuerSettings>, Reported>,
    apps: &Result<AppSettings, Reported>,
) -> Result<(), Reported> {
    let of_apps = match (issuers, apps) {
        (Ok(issuers), Ok(apps)) => !issuers.is_empty() || !apps.services.is_empty(),
        // what is wrong there is told there
        _ => root.get("apps").is_some(),
    };
    let is_strict = |entry: Entry<'_>| {
        // what is no table is told elsewhere
        entry.table().is_some_and(|quota| !quota.contains_key("anonymous_plan"))
    };
    if of_apps || root.get("issuers").is_some() || !root.get("quota").is_none_or(is_strict) {
        return Ok(());
    }
    let hint = "without either, every request is answered 401".to_owned();
    Err(root.missing("issuers", "at least one `[[issuers]]`, or `quota.anonymous_plan`", Some(hint)))
}

/// The text of the file, or what was found, what is allowed, and a hint.
fn read(path: &Path) -> Result<String, (String, &'static str, &'static str)> {
    const ALLOWED: &str = "a readable TOML file";
    let cannot = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => (
            "no such file".to_owned(),
            ALLOWED,
            "name yours with `tollgate run -c FILE`, or begin with a copy of the shipped `config/tollgate.toml`; \
             `tollgate demo` needs no file",
        ),
        std::io::ErrorKind::InvalidData => {
            ("bytes that are no UTF-8".to_owned(), ALLOWED, "save it as UTF-8")
        }
        _ => (error.to_string(), ALLOWED, "check the path and that the gateway's user may read it"),
    };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(cannot)?;
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(cannot)?;
    if u64::try_from(text.len()).is_ok_and(|length| length > FILE_BYTES_MAX) {
        return Err(("more than 4 MiB".to_owned(), ALLOWED, "check that it is the configuration"));
    }
    Ok(text)
}

/// A text that is no TOML: the parser stops at the first mistake. Its words are told without the line it quotes, which
/// may hold a secret.
fn syntax(reading: &Reading<'_>, error: &TomlError) -> Reported {
    let offset = error.span().map_or(0, |span| span.start);
    let words = error.message().lines().collect::<Vec<_>>().join(", ");
    reading.report(offset, "", format!("invalid TOML: {words}"), String::new(), None)
}
