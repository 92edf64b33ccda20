//! `tollgate check`: the configuration, and with `--connect` everything it points to.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;

use super::config::ConfigArg;
use super::print;
use crate::app;
use crate::clock::Clock;
use crate::config::Settings;
use crate::proxy::Resolver;
use crate::snapshot;

/// How long one connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Also try PostgreSQL, Redis, each JWKS URL and each upstream.
    #[arg(long)]
    connect: bool,
}

/// Checks the file; with `--connect` also what it points to.
///
/// # Errors
/// All problems of the file; or how many connections failed.
pub fn run(args: &CheckArgs) -> Result<()> {
    let settings = args.config.load()?;
    let clock = Clock::system();
    let auth = snapshot::authenticator(&settings, &clock)?;
    let (plans, upstreams) = (settings.quota.policy.plans.len(), settings.upstreams.len());
    let issuers = settings.issuers.len();
    print::line(format_args!(
        "{}: ok ({plans} plans, {issuers} issuers, {upstreams} upstreams)",
        args.config.file.display()
    ));
    if !args.connect {
        return Ok(());
    }
    let failed = app::runtime()?.block_on(async {
        auth.refresh_due().await;
        let mut failed = 0;
        for issuer in &settings.issuers {
            let missing = auth.without_keys().contains(&issuer.name.as_str());
            let hint = "check `jwks_url` and that this host may reach it";
            failed += report(
                "issuer",
                &issuer.name,
                missing.then(|| ("its keys could not be fetched".to_owned(), hint)),
            );
        }
        for (store, found) in app::try_stores(&settings).await {
            for warning in found.iter().flatten() {
                print::line(format_args!("warning: {warning}"));
            }
            failed += report("store", store, found.err().map(|problem| (problem, store_hint(store))));
        }
        failed + upstreams_that_fail(&settings).await
    });
    if failed > 0 {
        bail!("{failed} of the connections failed");
    }
    Ok(())
}

fn store_hint(store: &str) -> &'static str {
    match store {
        "redis" => {
            "check `storage.redis_url` and `redis_password`, and that the server is Redis 7.0 or newer, or Valkey"
        }
        "postgres" => "check `storage.database_url`: host, port, database, user, password, `sslmode`",
        _ => "check `storage.data_dir`",
    }
}

async fn upstreams_that_fail(settings: &Settings) -> u32 {
    let resolver = Arc::new(Resolver::default());
    let mut failed = 0;
    for upstream in &settings.upstreams {
        let reached = async {
            let address = resolver.address(&upstream.base_url).await.map_err(|error| {
                (format!("its name could not be resolved: {error}"), "check `base_url` and this host's DNS")
            })?;
            let connected =
                tokio::time::timeout(CONNECT_TIMEOUT, tokio::net::TcpStream::connect(address)).await;
            match connected {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(error)) => Err((
                    format!("`{address}` does not answer: {error}"),
                    "is the server running, and the port right?",
                )),
                Err(_) => {
                    Err((format!("`{address}` does not answer in 5 s"), "does a firewall stand between?"))
                }
            }
        };
        failed += report("upstream", &upstream.name, reached.await.err());
    }
    failed
}

fn report(kind: &str, name: &str, problem: Option<(String, &str)>) -> u32 {
    let Some((problem, hint)) = problem else {
        print::line(format_args!("{kind} `{name}`: ok"));
        return 0;
    };
    print::line(format_args!("{kind} `{name}`: {problem}\nhint: {hint}"));
    1
}
