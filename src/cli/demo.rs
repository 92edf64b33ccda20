//! `tollgate demo`: the gateway, a stub that plays every model, a temporary ledger and ready-made tokens.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow};
use clap::Args;

use super::stub::{self, StubSettings};
use super::{print, token};
use crate::app::{self, App};
use crate::auth::TokenRequest;
use crate::clock::Clock;
use crate::config::{self, Settings};
use crate::quota::Pattern;
use crate::telemetry;
use crate::upstream::{BaseUrl, UpstreamSettings};

/// Life of the tokens that are printed.
const TTL_S: u32 = 24 * 3600;

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Port for clients on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Port for metrics and health on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 9090)]
    admin_port: u16,
    /// A configuration whose plans are to be tried instead of the shipped ones. Its upstreams and stores are not used.
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Runs until a signal.
///
/// # Errors
/// A port in use, or no temporary folder.
pub fn run(args: &DemoArgs) -> Result<()> {
    telemetry::init_log();
    let clock = Clock::system();
    let folder = Folder::new(&clock)?;
    let runtime = app::runtime()?;
    runtime.block_on(async {
        let provider =
            tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("no port for the stub")?;
        let settings = settings(args, &clock, &folder, provider.local_addr()?)?;
        tokio::spawn(stub::serve(provider, StubSettings::default(), std::future::pending()));
        let tokens = Tokens::new(&settings)?;
        let app = App::new(settings, clock.clone())?;
        let (clients, admin) = app.addresses()?;
        print::line(welcome(clients, admin, &tokens));
        app.run(app::on_signals()?).await
    })
}

/// The shipped configuration, with the stub as its only upstream.
fn settings(args: &DemoArgs, clock: &Clock, folder: &Folder, provider: SocketAddr) -> Result<Settings> {
    // two ids hold 148 random bits: enough for a secret that lives as long as the demo
    let secret = format!("{}{}", clock.request_id().simple(), clock.request_id().simple());
    let env = |name: &str| {
        std::env::var(name).ok().or_else(|| (name == "TOLLGATE_JWT_SECRET").then(|| secret.clone()))
    };
    let mut settings = match &args.config {
        Some(file) => config::load(file, &env)?,
        None => config::parse(config::example(), "config/tollgate.toml", &env)?,
    };
    let here = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    settings.server.listen = here(args.port);
    settings.server.admin_listen = here(args.admin_port);
    settings.storage =
        config::StorageSettings { data_dir: folder.0.clone(), ..config::StorageSettings::default() };
    settings.upstreams = vec![stub_upstream(provider)];
    Ok(settings)
}

/// The stub as an upstream that serves every model in every dialect.
fn stub_upstream(provider: SocketAddr) -> UpstreamSettings {
    let serves = [("openai", "/v1"), ("anthropic", "/v1"), ("gemini", "/v1beta")];
    let base_url =
        BaseUrl { tls: false, host: provider.ip().to_string(), port: provider.port(), path: String::new() };
    let serves = serves.map(|(dialect, prefix)| (dialect.to_owned(), prefix.to_owned())).into();
    UpstreamSettings {
        api_key: Some("stub-key".to_owned()),
        ..UpstreamSettings::new("stub", base_url, vec![Pattern::new("*")], serves)
    }
}

struct Tokens {
    free: String,
    pro: String,
    admin: String,
}

impl Tokens {
    fn new(settings: &Settings) -> Result<Self> {
        let plans = &settings.quota.policy.plans;
        let of = |user: &str, plan: Option<&str>, role: Option<&str>| {
            let plan = plan.filter(|plan| plans.contains_key(*plan)).map(str::to_owned);
            let request = TokenRequest {
                user: user.to_owned(),
                plan,
                team: None,
                role: role.map(str::to_owned),
                ttl_s: TTL_S,
            };
            token::mint(settings, &request)
        };
        Ok(Self {
            free: of("alice", None, None)?,
            pro: of("bob", Some("pro"), None)?,
            admin: of("root", None, Some("admin"))?,
        })
    }
}

fn welcome(clients: SocketAddr, admin: SocketAddr, tokens: &Tokens) -> String {
    let Tokens { free, pro, admin: root } = tokens;
    format!(
        r#"tollgate demo: http://{clients} (for operators: http://{admin}/metrics, http://{admin}/health/ready)
A stub plays every model; the ledger is temporary. Plans: free 100 messages a month, 20 of them premium (claude-*).

# tokens, valid for a day: alice is on the free plan, bob on pro, root is an administrator
export FREE={free}
export PRO={pro}
export ADMIN={root}

# in a browser; each page asks for one of these tokens
dashboard: http://{clients}/dashboard
administrators: http://{clients}/admin

# a message, OpenAI style
curl -s http://{clients}/v1/chat/completions -H "Authorization: Bearer $FREE" -H 'Content-Type: application/json' -d '{{"model":"gpt-4o-mini","messages":[{{"role":"user","content":"Hello"}}]}}'

# a premium message, Anthropic style, as a stream
curl -sN http://{clients}/v1/messages -H "x-api-key: $FREE" -H 'anthropic-version: 2023-06-01' -H 'Content-Type: application/json' -d '{{"model":"claude-3-opus","max_tokens":100,"stream":true,"messages":[{{"role":"user","content":"Hello"}}]}}'

# nobody's message, Gemini style: only gemini-2.0-flash answers without a token
curl -s http://{clients}/v1beta/models/gemini-2.0-flash:generateContent -H 'Content-Type: application/json' -d '{{"contents":[{{"parts":[{{"text":"Hello"}}]}}]}}'

# what alice has used, and her reset by an administrator
curl -s http://{clients}/api/usage -H "Authorization: Bearer $FREE"
curl -s -X DELETE "http://{clients}/api/usage?userId=alice" -H "Authorization: Bearer $ADMIN"

Ctrl-C stops it and removes the ledger."#
    )
}

/// A folder that goes when the demo ends.
struct Folder(PathBuf);

impl Folder {
    fn new(clock: &Clock) -> Result<Self> {
        let path = std::env::temp_dir().join(format!("tollgate-demo-{}", clock.request_id().simple()));
        std::fs::create_dir(&path)
            .map_err(|error| anyhow!("no temporary folder could be made at `{}`: {error}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, folder = %self.0.display(), "the temporary folder was not removed");
        }
    }
}
