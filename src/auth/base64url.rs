//! Base64url as tokens write it (RFC 7515 §2): no padding, no white space, one text for each value.
//!
//! Owns the one decoder that every part of a token and of a JWK goes through. Must not know what the bytes mean.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The bytes that `text` stands for, or `None` if it is not the one canonical text of some value: a foreign character,
/// padding, an impossible length, or bits behind the last byte.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// The canonical text of `bytes`.
pub(super) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
