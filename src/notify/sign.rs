//! The body of a message and its signature (Standard Webhooks, "Signature scheme").

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::settings::WebhookSecret;
use crate::clock::Timestamp;
use crate::store::outbox::Message;

/// The body: the same bytes on every attempt.
///
/// # Errors
/// Data in the outbox that is no JSON object.
pub(super) fn body(message: &Message) -> Result<String, String> {
    let mut data: Value = serde_json::from_str(&message.data).map_err(|error| error.to_string())?;
    let fields = data.as_object_mut().ok_or("the data is no JSON object")?;
    fields.insert("used".to_owned(), json!(message.used));
    let at = Timestamp::from_millisecond(message.at_ms);
    Ok(json!({ "type": message.event, "timestamp": at.to_string(), "data": data }).to_string())
}

/// The header `webhook-signature`: one signature for each secret, separated by spaces.
///
/// # Errors
/// None in practice: HMAC takes keys of every length.
pub(super) fn signature(
    secrets: &[WebhookSecret],
    id: &str,
    timestamp_s: i64,
    body: &str,
) -> Result<String, String> {
    let sign = |secret: &WebhookSecret| {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.bytes()).map_err(|error| error.to_string())?;
        mac.update(format!("{id}.{timestamp_s}.{body}").as_bytes());
        Ok(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
    };
    Ok(secrets.iter().map(sign).collect::<Result<Vec<String>, String>>()?.join(" "))
}
