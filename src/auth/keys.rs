//! Keys that verify signatures, each typed so that it serves only the algorithms it was made for.
//!
//! Owns the one place that calls the signature library for verification, and the bounds on keys. Must not know tokens,
//! issuers or where a key came from.

use jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER;
use jsonwebtoken::{DecodingKey, DecodingKeyKind};

use super::settings::Algorithm;

/// Shorter moduli are within reach of an attacker (RFC 7518 §3.3), in bits.
const RSA_BITS_MIN: usize = 2_048;
/// The library takes no longer ones, and each doubling makes a check four times dearer, in bits.
const RSA_BITS_MAX: usize = 4_096;
/// The longest public exponent that the library takes (2^33 - 1), in bytes.
const RSA_EXPONENT_BYTES_MAX: usize = 5;
/// An uncompressed point on P-256: a tag and two coordinates, in bytes.
const P256_POINT_BYTES: usize = 65;
/// An uncompressed point on P-384, in bytes.
const P384_POINT_BYTES: usize = 97;
/// A public key on Ed25519, in bytes.
const ED25519_BYTES: usize = 32;

/// The keys of one issuer.
pub(super) enum KeySet {
    /// One key that serves whatever `kid` a token names: a secret or a PEM file.
    Single(VerifyingKey),
    /// Keys that are told apart by `kid`: a JWK set.
    ByKeyId(Vec<VerifyingKey>),
}

/// One key, with what it may verify.
pub(super) struct VerifyingKey {
    /// What such a key can verify at all (RFC 7518 §3.1); the library tests it with the first.
    algorithms: &'static [Algorithm],
    /// The only algorithm that the key's owner allows, if they say so (JWK `alg`).
    declared: Option<Algorithm>,
    pub(super) key_id: Option<String>,
    key: DecodingKey,
}

impl KeySet {
    /// The one key for an algorithm and a `kid`. A set in which none or several fit has no answer: nothing is tried
    /// in turn.
    pub(super) fn find(&self, algorithm: Algorithm, key_id: Option<&str>) -> Option<&VerifyingKey> {
        match self {
            Self::Single(key) => key.serves(algorithm).then_some(key),
            Self::ByKeyId(keys) => {
                let mut fitting =
                    keys.iter().filter(|key| key.key_id.as_deref() == key_id && key.serves(algorithm));
                let key = fitting.next()?;
                fitting.next().is_none().then_some(key)
            }
        }
    }
}

impl VerifyingKey {
    /// A shared secret for HS256.
    pub(super) fn secret(bytes: &[u8]) -> Result<Self, String> {
        Self::tested("secret", &[Algorithm::Hs256], DecodingKey::from_secret(bytes))
    }

    /// An RSA key by its modulus and exponent, big-endian.
    pub(super) fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self, String> {
        let modulus = without_leading_zeros(modulus);
        let exponent = without_leading_zeros(exponent);
        let bits = modulus.first().map_or(0, |first| modulus.len() * 8 - first.leading_zeros() as usize);
        if !(RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits) {
            return Err(format!("an RSA key of {bits} bits, allowed are {RSA_BITS_MIN} to {RSA_BITS_MAX}"));
        }
        let odd = exponent.last().is_some_and(|last| last % 2 == 1);
        if !odd || exponent == [1] || exponent.len() > RSA_EXPONENT_BYTES_MAX {
            return Err("an RSA key with an unusable exponent".to_owned());
        }
        let key = DecodingKey::from_rsa_raw_components(modulus, exponent);
        Self::tested("RSA", &[Algorithm::Rs256, Algorithm::Ps256], key)
    }

    /// An elliptic-curve key by its uncompressed point.
    pub(super) fn elliptic(point: &[u8]) -> Result<Self, String> {
        let key = DecodingKey::from_ec_der(point);
        match point.len() {
            P256_POINT_BYTES => Self::tested("P-256", &[Algorithm::Es256], key),
            P384_POINT_BYTES => Self::tested("P-384", &[Algorithm::Es384], key),
            _ => Err("an elliptic-curve key that is not on P-256 or P-384".to_owned()),
        }
    }

    /// An Ed25519 key.
    pub(super) fn ed25519(bytes: &[u8]) -> Result<Self, String> {
        // The library slices without looking at the length.
        if bytes.len() != ED25519_BYTES {
            return Err("an Ed25519 key that is not 32 bytes long".to_owned());
        }
        Self::tested("Ed25519", &[Algorithm::EdDsa], DecodingKey::from_ed_der(bytes))
    }

    /// A public key in PEM: PKCS#1 or SPKI.
    pub(super) fn pem(pem: &[u8]) -> Result<Self, String> {
        if let Ok(key) = DecodingKey::from_rsa_pem(pem) {
            let components = DEFAULT_PROVIDER.key_utils.rsa_pub_components_from_public_key;
            let (modulus, exponent) =
                der(&key).and_then(|der| components(der).ok()).ok_or("an RSA key that cannot be read")?;
            return Self::rsa(&modulus, &exponent);
        }
        if let Ok(key) = DecodingKey::from_ec_pem(pem) {
            return Self::elliptic(der(&key).ok_or("an elliptic-curve key that cannot be read")?);
        }
        let key = DecodingKey::from_ed_pem(pem).map_err(|_| "no public key in PEM".to_owned())?;
        Self::ed25519(der(&key).ok_or("an Ed25519 key that cannot be read")?)
    }

    /// The same key, known by `key_id` and bound to one algorithm if `declared`.
    pub(super) fn described(mut self, key_id: Option<String>, declared: Option<Algorithm>) -> Self {
        self.key_id = key_id;
        self.declared = declared;
        self
    }

    /// Whether the key may verify this algorithm.
    pub(super) fn serves(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm) && self.declared.is_none_or(|declared| declared == algorithm)
    }

    /// Whether `signature` over `message` was made with this key's other half, by this algorithm.
    pub(super) fn verifies(&self, algorithm: Algorithm, message: &str, signature: &[u8]) -> bool {
        self.serves(algorithm)
            && (DEFAULT_PROVIDER.verifier_factory)(&algorithm.library(), &self.key)
                .is_ok_and(|verifier| verifier.verify(message.as_bytes(), &signature.to_vec()).is_ok())
    }

    /// Lets the library read the key once, so that a bad one shows at set-up (a point off the curve, for one).
    fn tested(kind: &str, algorithms: &'static [Algorithm], key: DecodingKey) -> Result<Self, String> {
        let refused = || format!("a key that is no {kind} key");
        let usual = algorithms.first().ok_or_else(refused)?;
        (DEFAULT_PROVIDER.verifier_factory)(&usual.library(), &key).map_err(|_| refused())?;
        Ok(Self { algorithms, declared: None, key_id: None, key })
    }
}

fn der(key: &DecodingKey) -> Option<&[u8]> {
    match key.kind() {
        DecodingKeyKind::SecretOrDer(der) => Some(der),
        DecodingKeyKind::RsaModulusExponent { .. } => None,
    }
}

fn without_leading_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}
