//! One key from several parts of text.

use sha2::{Digest, Sha256};

/// 128 bits of a hash of the parts, in hexadecimal digits: no two of any number of keys are alike.
pub(super) fn key_of(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        // the length first, so that no two lists of parts run into one text
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let kept = u128::from_be_bytes(hash.finalize().first_chunk().copied().unwrap_or_default());
    format!("{kept:032x}")
}
