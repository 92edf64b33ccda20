//! The running gateway as the commands see it: its usage API, with an administrator's token signed on the spot.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;

use super::token::mint;
use crate::app;
use crate::auth::TokenRequest;
use crate::config::Settings;

/// The administrator that the commands act as, in the audit log.
const ACTOR: &str = "tollgate-cli";

/// Longest wait for the gateway.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Life of the token.
const TTL_S: u32 = 60;

/// One call of the usage API.
pub struct Call<'a> {
    /// The method.
    pub method: reqwest::Method,
    /// The path.
    pub path: &'a str,
    /// The query, not yet encoded.
    pub query: &'a [(&'a str, &'a str)],
    /// The JSON body.
    pub body: Option<Value>,
}

/// Calls the usage API of the gateway that these settings run on this host.
///
/// # Errors
/// No gateway answers, no token can be signed, or the gateway's own error.
pub fn call(settings: &Settings, call: &Call<'_>) -> Result<Value> {
    let request = TokenRequest {
        user: ACTOR.to_owned(),
        role: Some("admin".to_owned()),
        ttl_s: TTL_S,
        ..TokenRequest::default()
    };
    let token = mint(settings, &request)?;
    let address = reachable(settings.server.listen);
    let mut url = reqwest::Url::parse(&format!("http://{address}{}", call.path))?;
    url.query_pairs_mut().extend_pairs(call.query);
    app::runtime()?.block_on(async {
        let client = reqwest::Client::builder().timeout(TIMEOUT).no_proxy().build()?;
        let mut request = client.request(call.method.clone(), url).bearer_auth(token);
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        let silent = || anyhow!("no gateway answers at `{address}`\nhint: this command talks to the running gateway: start it with `tollgate run`");
        let response = request.send().await.map_err(|_| silent())?;
        let status = response.status();
        let answer: Value = response.json().await.context("the gateway's answer is no JSON")?;
        if !status.is_success() {
            let message = answer.pointer("/error/message").and_then(Value::as_str).unwrap_or("no message");
            bail!("the gateway answered {status}: {message}");
        }
        Ok(answer)
    })
}

/// Where a listener on all interfaces is reached from this host.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = if listen.ip().is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { listen.ip() };
    SocketAddr::new(ip, listen.port())
}
