//! Active checks of upstreams that ask for them: a `GET` from time to time, and what it found goes to the fleet.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use crate::clock::Stopwatch;
use crate::snapshot::InForce;
use crate::upstream::{Check, Fleet, UpstreamSettings};

/// How often it is looked which checks are due.
const TICK: Duration = Duration::from_millis(250);

/// Checks the upstreams of the configuration in force, for ever.
pub async fn keep_checked(config: InForce, fleet: Arc<Fleet>) {
    let mut last: HashMap<String, Stopwatch> = HashMap::new();
    loop {
        let config = config.load_full();
        let upstreams = config.upstreams.all();
        let checked = upstreams.iter().filter_map(|upstream| Some((upstream, upstream.check.as_ref()?)));
        let due = checked.filter(|(upstream, check)| {
            last.get(&upstream.name).is_none_or(|since| since.elapsed_ms() >= check.every_ms)
        });
        let due: Vec<_> = due.collect();
        for (upstream, _) in &due {
            last.insert(upstream.name.clone(), Stopwatch::start());
        }
        join_all(due.into_iter().map(|(upstream, check)| one(upstream, check, &fleet))).await;
        last.retain(|name, _| upstreams.iter().any(|upstream| upstream.name == *name));
        tokio::time::sleep(TICK).await;
    }
}

async fn one(upstream: &UpstreamSettings, check: &Check, fleet: &Fleet) {
    let found = ask(upstream, check).await;
    let changed = fleet.checked(&upstream.name, found.is_ok());
    match found {
        Ok(()) if changed => tracing::info!(upstream = %upstream.name, "a health check passes again"),
        Err(error) if changed => {
            tracing::warn!(upstream = %upstream.name, %error, "a health check failed: the upstream is passed over");
        }
        Ok(()) | Err(_) => {}
    }
}

/// One check. The client is made anew: a check must not pass over a connection that was made when all was well.
async fn ask(upstream: &UpstreamSettings, check: &Check) -> Result<(), String> {
    let mut client = reqwest::Client::builder()
        .timeout(Duration::from_millis(upstream.connect_timeout_ms))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy();
    if !upstream.ca.is_empty() {
        let roots: Result<Vec<_>, _> =
            upstream.ca.iter().map(|der| reqwest::Certificate::from_der(der)).collect();
        client = client.tls_certs_only(roots.map_err(|error| error.to_string())?);
    }
    let scheme = if upstream.base_url.tls { "https" } else { "http" };
    let url = format!("{scheme}://{}{}", upstream.base_url.authority(), check.path);
    let client = client.build().map_err(|error| error.to_string())?;
    let answer = client.get(url).send().await.map_err(|error| error.without_url().to_string())?;
    let status = answer.status();
    if status.is_server_error() { Err(format!("it answered {status}")) } else { Ok(()) }
}
