//! What can be said about a webhook, as plain values; the configuration fills them.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Before a symmetric secret's base64 (specification, "Signature scheme").
const PREFIX: &str = "whsec_";
/// Bytes of a secret (the same).
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// One receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookSettings {
    /// The name in configuration, outbox, log and metrics; unique.
    pub name: String,
    /// Where messages are posted: `https`, or `http` if `allow_private`.
    pub url: String,
    /// Signs; while secrets are rotated the new one first, then the old one.
    pub secrets: Vec<WebhookSecret>,
    /// Longest attempt, in milliseconds.
    pub timeout_ms: u64,
    /// May the receiver stand inside the private network?
    pub allow_private: bool,
}

/// A symmetric secret. Its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSecret(Vec<u8>);

impl WebhookSecret {
    /// Reads `whsec_` and the base64 of 24 to 64 bytes. `None`: it is something else.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(text.strip_prefix(PREFIX)?).ok()?;
        SECRET_BYTES.contains(&bytes.len()).then_some(Self(bytes))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret([redacted])")
    }
}
