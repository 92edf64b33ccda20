//! The running gateway as the commands see it: its usage API, with an administrator's token signed on the spot.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use reqwest::Method;
use serde_json::Value;

use super::config::ConfigArg;
use super::{print, token};
use crate::app;
use crate::auth::TokenRequest;

/// The administrator that the commands act as, in the audit log.
const ACTOR: &str = "tollgate-cli";

/// Longest wait for the gateway.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Life of the token.
const TTL_S: u32 = 60;

/// Arguments of every command that asks the running gateway.
#[derive(Debug, Args)]
pub struct ApiArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Print the API's JSON.
    #[arg(long)]
    json: bool,
}

impl ApiArgs {
    /// Calls the usage API of the gateway that the configuration runs on this host. Prints the answer: as JSON if that
    /// was asked for, else by `show`. `query` is not yet encoded.
    ///
    /// # Errors
    /// No gateway answers, no token can be signed, or the gateway's own error.
    pub fn ask(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<Value>,
        show: impl FnOnce(&Value),
    ) -> Result<Value> {
        let settings = self.config.load()?;
        let request = TokenRequest {
            user: ACTOR.to_owned(),
            role: Some("admin".to_owned()),
            ttl_s: TTL_S,
            ..TokenRequest::default()
        };
        let token = token::mint(&settings, &request)?;
        let address = reachable(settings.server.listen);
        let mut url = reqwest::Url::parse(&format!("http://{address}{path}"))?;
        url.query_pairs_mut().extend_pairs(query);
        let answer = app::runtime()?.block_on(async {
            let client = reqwest::Client::builder().timeout(TIMEOUT).no_proxy().build()?;
            let mut request = client.request(method, url).bearer_auth(token);
            if let Some(body) = body {
                request = request.json(&body);
            }
            let silent = || anyhow!("no gateway answers at `{address}`\nhint: this command talks to the running gateway: start it with `tollgate run`");
            let response = request.send().await.map_err(|_| silent())?;
            let status = response.status();
            let answer: Value = response.json().await.context("the gateway's answer is no JSON")?;
            if !status.is_success() {
                let message =
                    answer.pointer("/error/message").and_then(Value::as_str).unwrap_or("no message");
                bail!("the gateway answered {status}: {message}");
            }
            Ok(answer)
        })?;
        if self.json {
            print::line(&answer);
        } else {
            show(&answer);
        }
        Ok(answer)
    }
}

/// Where a listener on all interfaces is reached from this host.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = if listen.ip().is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { listen.ip() };
    SocketAddr::new(ip, listen.port())
}

/// A text of an answer.
pub fn text<'a>(answer: &'a Value, key: &str) -> &'a str {
    answer[key].as_str().unwrap_or("?")
}

/// A number of an answer.
pub fn number(answer: &Value, key: &str) -> u64 {
    answer[key].as_u64().unwrap_or_default()
}

/// The items of a list of an answer.
pub fn items<'a>(answer: &'a Value, key: &str) -> &'a [Value] {
    answer[key].as_array().map(Vec::as_slice).unwrap_or_default()
}
