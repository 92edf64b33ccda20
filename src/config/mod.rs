//! The configuration: a TOML file becomes checked [`Settings`], or all its [`Problems`] at once.
//!
//! Owns the keys (`keys`), their bounds and the words for what is wrong. Reads the file and the secrets it names, nothing else.
//! Must not know more of other rooms than the structs it fills.

mod apps;
mod expand;
mod file;
mod issuers;
mod keys;
mod kind;
mod limit;
mod models;
mod nearest;
mod plans;
mod presets;
mod prices;
mod problem;
mod quota;
mod reading;
mod routing;
mod schema;
mod server;
mod setting;
mod settings;
mod storage;
mod table;
mod upstreams;
mod url;
mod value;
mod webhooks;

use std::path::Path;

#[cfg(test)]
mod tests;

pub use problem::{ConfigProblem, Problems};
pub use schema::json_schema;
pub use settings::{AppSettings, QuotaSettings, Routing, ServerSettings, Settings, StorageSettings};

use crate::auth::IssuerSettings;
use reading::{Reading, Reported, gather};
use setting::Setting;

/// Reads and checks a configuration file. `env` gives the value of an environment variable.
///
/// Paths in it are taken from the working directory of the process.
pub fn load(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Settings, Problems> {
    let file_name = path.display().to_string();
    match file::read(path) {
        Ok(text) => parse(&text, &file_name, env),
        Err((found, allowed, hint)) => Err(Problems::new(vec![ConfigProblem {
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
    let settings = file::document(&reading, text)
        .and_then(|document| settings(&Setting::root(&reading, document.as_table(), &keys::ROOT), &reading));
    reading.finish(settings)
}

/// The configuration that is shipped as `config/tollgate.toml`.
pub fn example() -> &'static str {
    include_str!("../../config/tollgate.toml")
}

fn settings(root: &Setting<'_>, reading: &Reading<'_>) -> Result<Settings, Reported> {
    let mut issuers = issuers::read(root);
    let apps = match &mut issuers {
        Ok(issuers) => apps::read(root, issuers),
        // what else is wrong is told all the same
        Err(reported) => apps::read(root, &mut Vec::new()).and(Err(*reported)),
    };
    gather!(Settings {
        server: server::read(root),
        storage: storage::read(root),
        quota: quota::read(root),
        upstreams: upstreams::read(root),
        routing: routing::read(root, upstreams.as_deref().ok()),
        prices: prices::read(root, reading),
        prices_file: Ok(prices::named_file(root)),
        apps: someone_may_call(root, &issuers, &apps).and(apps),
        issuers: issuers,
        webhooks: webhooks::read(root),
    })
}

/// Without an issuer and without an anonymous plan, every request would be refused.
fn someone_may_call(
    root: &Setting<'_>,
    issuers: &Result<Vec<IssuerSettings>, Reported>,
    apps: &Result<AppSettings, Reported>,
) -> Result<(), Reported> {
    let of_apps = match (issuers, apps) {
        (Ok(issuers), Ok(apps)) => !issuers.is_empty() || !apps.services.is_empty(),
        // what is wrong there is told there
        _ => root.get("apps").is_some(),
    };
    let is_strict = |quota: Setting<'_>| {
        // what is no table is told elsewhere
        quota.table().is_some_and(|quota| !quota.contains_key("anonymous_plan"))
    };
    if of_apps || root.get("issuers").is_some() || !root.get("quota").is_none_or(is_strict) {
        return Ok(());
    }
    let hint = "without either, every request is answered 401".to_owned();
    Err(root.missing("issuers", "at least one `[[issuers]]`, or `quota.anonymous_plan`", Some(hint)))
}
