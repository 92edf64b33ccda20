//! One attempt: one POST, no redirect, no proxy, nothing of the answer read but its status and when its sender wants to be
//! asked again.

use std::time::Duration;

use chrono::NaiveDateTime;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Client, StatusCode, Url};

use super::address::{PublicOnly, is_public, literal, refusal};
use super::settings::WebhookSettings;
use super::sign::{body, signature};
use crate::store::outbox::Message;

/// Longest wait for a connection, within the webhook's own time-out.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait that a receiver may ask for: the longest of our own, so that no receiver puts a message off for good.
pub(super) const RETRY_AFTER_MAX_MS: i64 = 24 * 3_600_000;

/// Why an attempt failed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failed {
    /// The HTTP status, if there was any.
    pub status: Option<u16>,
    /// In words.
    pub reason: String,
    /// The receiver wants no more (410), so it is not asked again.
    pub is_final: bool,
    /// The receiver asks not to be called again for so long, in milliseconds (429 or 503 with `Retry-After`).
    pub retry_after_ms: Option<i64>,
}

impl Failed {
    fn without_status(reason: String) -> Self {
        Self { status: None, reason, is_final: false, retry_after_ms: None }
    }
}

/// The two clients: for public receivers, and for those that may be private.
pub(super) struct Sender {
    public: Client,
    any: Client,
}

impl Sender {
    /// # Errors
    /// A machine without CA certificates.
    pub(super) fn new() -> Result<Self, reqwest::Error> {
        Ok(Self { public: builder().dns_resolver(PublicOnly).build()?, any: builder().build()? })
    }

    /// Posts a message; the status of a 2xx, or why not.
    pub(super) async fn send(
        &self,
        webhook: &WebhookSettings,
        message: &Message,
        now_ms: i64,
    ) -> Result<u16, Failed> {
        let body = body(message).map_err(Failed::without_status)?;
        let timestamp_s = now_ms.div_euclid(1_000);
        let signature =
            signature(&webhook.secrets, &message.id, timestamp_s, &body).map_err(Failed::without_status)?;
        let url: Url =
            webhook.url.parse().map_err(|_| Failed::without_status("the URL cannot be read".to_owned()))?;
        if let Some(address) = literal(&url).filter(|address| !webhook.allow_private && !is_public(*address))
        {
            return Err(Failed::without_status(refusal(url.host_str().unwrap_or_default(), address)));
        }
        let client = if webhook.allow_private { &self.any } else { &self.public };
        let answer = client
            .post(url)
            .timeout(Duration::from_millis(webhook.timeout_ms))
            .header("content-type", "application/json")
            .header("webhook-id", &message.id)
            .header("webhook-timestamp", timestamp_s)
            .header("webhook-signature", signature)
            .body(body)
            .send()
            .await
            .map_err(|error| Failed::without_status(reason_of(error)))?;
        // the answer's body is never read: dropping it ends the connection, however much the receiver would send
        let status = answer.status();
        if status.is_success() {
            return Ok(status.as_u16());
        }
        Err(Failed {
            status: Some(status.as_u16()),
            reason: format!("the receiver answered {status}"),
            is_final: status == StatusCode::GONE,
            retry_after_ms: retry_after_ms(status, answer.headers(), now_ms),
        })
    }
}

fn builder() -> reqwest::ClientBuilder {
    Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        // each attempt connects anew, to addresses that were checked for it
        .pool_max_idle_per_host(0)
        .user_agent(concat!("tollgate/", env!("CARGO_PKG_VERSION")))
}

/// The wait that a busy receiver asks for, at most [`RETRY_AFTER_MAX_MS`]; `None`: it asks for none that can be read.
fn retry_after_ms(status: StatusCode, headers: &HeaderMap, now_ms: i64) -> Option<i64> {
    if !matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        return None;
    }
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if text.is_empty() {
        return None;
    }
    let wait_ms = if text.bytes().all(|byte| byte.is_ascii_digit()) {
        // digits that are no number are more than any number
        text.parse::<i64>().unwrap_or(i64::MAX).saturating_mul(1_000)
    } else {
        http_date_ms(text)?.saturating_sub(now_ms)
    };
    Some(wait_ms.clamp(0, RETRY_AFTER_MAX_MS))
}

/// An HTTP date in milliseconds since 1970; the three forms of RFC 9110, section 5.6.7.
fn http_date_ms(text: &str) -> Option<i64> {
    let forms = ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];
    let date = forms.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())?;
    Some(date.and_utc().timestamp_millis())
}

/// The error and what caused it, without the URL: its path may be a secret.
fn reason_of(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut reason = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        reason = format!("{reason}: {inner}");
        cause = inner.source();
    }
    reason
}
