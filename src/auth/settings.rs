//! What can be said about issuers and tokens, as plain values; the configuration fills them.
//!
//! Owns names, defaults and bounds. Must not know TOML, files or the network.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use ipnet::IpNet;

/// Clock difference allowed by default, in seconds.
pub(super) const LEEWAY_DEFAULT_S: u32 = 30;
/// More than this would make `exp` meaningless, in seconds.
pub(super) const LEEWAY_MAX_S: u32 = 600;
/// HS256 needs a key as long as its hash (RFC 7518 §3.2), in bytes.
pub(super) const SECRET_BYTES_MIN: usize = 32;
/// Verified tokens kept by default: about 1 KiB each.
const CACHE_CAPACITY_DEFAULT: usize = 50_000;
/// How often a JWKS URL is fetched by default, in seconds.
const REFRESH_DEFAULT_S: u32 = 600;
/// How long the last good keys serve while the URL fails by default, in seconds.
const STALE_LIMIT_DEFAULT_S: u32 = 24 * 3_600;

/// One issuer of tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerSettings {
    /// The name in configuration, logs and [`Caller::issuer`](super::Caller::issuer); unique.
    pub name: String,
    /// The signature algorithms that are accepted; all must fit the keys.
    pub algorithms: Vec<Algorithm>,
    /// Where the keys come from.
    pub keys: KeySource,
    /// The exact `iss` that tokens must carry. Without it, tokens that name no other issuer are tried here.
    pub issuer: Option<String>,
    /// The exact value that `aud` must be or contain. Without it `aud` is not looked at.
    pub audience: Option<String>,
    /// Clock difference allowed for `exp`, `nbf` and `iat`, in seconds: 0 to 600.
    pub leeway_s: u32,
    /// The longest time a token may be valid, in seconds. Without it any.
    pub max_lifetime_s: Option<u32>,
    /// The `typ` that the header must carry, such as `at+jwt` (RFC 9068 §2.1). Without it any.
    pub token_type: Option<String>,
    /// Where the claims stand.
    pub claims: ClaimPaths,
    /// The header that carries this issuer's tokens, instead of the API-key headers.
    pub header: Option<String>,
}

impl IssuerSettings {
    /// An issuer with the defaults for all but its name, algorithms and keys.
    pub fn new(name: impl Into<String>, algorithms: Vec<Algorithm>, keys: KeySource) -> Self {
        Self {
            name: name.into(),
            algorithms,
            keys,
            issuer: None,
            audience: None,
            leeway_s: LEEWAY_DEFAULT_S,
            max_lifetime_s: None,
            token_type: None,
            claims: ClaimPaths::default(),
            header: None,
        }
    }
}

/// Where an issuer's keys come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// A shared secret (HS256).
    Secret(Secret),
    /// A public key in PEM (`BEGIN PUBLIC KEY`, `BEGIN RSA PUBLIC KEY`).
    PublicKeyFile(PathBuf),
    /// A JWK set in a file (RFC 7517).
    JwksFile(PathBuf),
    /// A JWK set behind a URL.
    JwksUrl(JwksUrl),
}

/// A JWK set behind a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwksUrl {
    /// `https://…` or, inside a trusted network, `http://…`.
    pub url: String,
    /// How often it is fetched, in seconds, at least 60.
    pub refresh_s: u32,
    /// How long the last good keys serve while fetching fails, in seconds.
    pub stale_limit_s: u32,
}

impl JwksUrl {
    /// A URL that is fetched every 10 minutes, whose keys serve for 24 hours when it fails.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), refresh_s: REFRESH_DEFAULT_S, stale_limit_s: STALE_LIMIT_DEFAULT_S }
    }
}

/// A chat app that names its users in plain headers: believed if it shows its key from one of its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceSettings {
    /// The name in configuration, logs and [`Caller::issuer`](super::Caller::issuer).
    pub name: String,
    /// What it shows as its API key.
    pub key: Secret,
    /// Where its connections come from; the peer itself, not `X-Forwarded-For`.
    pub peers: Vec<IpNet>,
    /// The header with the user's id; required in every call.
    pub user_header: String,
    /// The header with the plan's name.
    pub plan_header: Option<String>,
    /// The header with the team's id.
    pub team_header: Option<String>,
}

/// A shared secret. Its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Takes the secret's bytes; the length is checked when the issuer is set up.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret([redacted])")
    }
}

/// Where claims stand: dotted paths into nested objects. At each step a claim whose whole name is the rest of the
/// path comes first, so that `https://example.org/plan` works as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPaths {
    /// The user's id; required in every token.
    pub user: String,
    /// The plan's name.
    pub plan: String,
    /// The team's id.
    pub team: String,
    /// The role, or a list of roles.
    pub role: String,
}

impl Default for ClaimPaths {
    fn default() -> Self {
        Self { user: "sub".into(), plan: "plan".into(), team: "team".into(), role: "role".into() }
    }
}

/// What holds for all issuers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthOptions {
    /// Literal keys that mean "no credential".
    pub anonymous_keys: Vec<String>,
    /// Chat apps that name their users in plain headers.
    pub services: Vec<ServiceSettings>,
    /// Verified tokens kept; at least 1.
    pub cache_capacity: usize,
}

impl Default for AuthOptions {
    fn default() -> Self {
        Self { anonymous_keys: Vec::new(), services: Vec::new(), cache_capacity: CACHE_CAPACITY_DEFAULT }
    }
}

/// A signature algorithm (RFC 7518 §3.1, RFC 8037 §3.1). Nothing else is ever accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Hs256, Self::Rs256, Self::Ps256, Self::Es256, Self::Es384, Self::EdDsa];

    /// The name in token headers and configuration.
    pub fn name(self) -> &'static str {
        self.names().0
    }

    pub(super) fn library(self) -> jsonwebtoken::Algorithm {
        self.names().1
    }

    fn names(self) -> (&'static str, jsonwebtoken::Algorithm) {
        match self {
            Self::Hs256 => ("HS256", jsonwebtoken::Algorithm::HS256),
            Self::Rs256 => ("RS256", jsonwebtoken::Algorithm::RS256),
            Self::Ps256 => ("PS256", jsonwebtoken::Algorithm::PS256),
            Self::Es256 => ("ES256", jsonwebtoken::Algorithm::ES256),
            Self::Es384 => ("ES384", jsonwebtoken::Algorithm::ES384),
            Self::EdDsa => ("EdDSA", jsonwebtoken::Algorithm::EdDSA),
        }
    }
}

/// The name is none of [`Algorithm::ALL`]; names are matched exactly, with their case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown algorithm: allowed are `HS256`, `RS256`, `PS256`, `ES256`, `ES384`, `EdDSA`")]
pub struct UnknownAlgorithm;

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(name: &str) -> Result<Self, UnknownAlgorithm> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name).ok_or(UnknownAlgorithm)
    }
}
