//! What can go wrong: with a credential, with the set-up, with signing.
//!
//! Owns the stable codes and the sentences a caller may read. Must not know status codes or error bodies, and never
//! holds a part of a token or a secret.

/// Why a caller is not let in. All but [`AuthError::KeysUnavailable`] mean: the credential is no good (401).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum AuthError {
    /// A credential is needed and none was sent.
    #[error("a credential is required: send `Authorization: Bearer …`, `x-api-key` or `x-goog-api-key`")]
    Missing,
    /// Two credentials that differ, or one header twice.
    #[error("conflicting credentials: send exactly one")]
    Conflict,
    /// `Authorization` with a scheme other than `Bearer`.
    #[error("unsupported authorization scheme: use `Bearer`")]
    Scheme,
    /// Not a token that could be read.
    #[error("the credential is malformed")]
    Malformed,
    /// The signature does not hold, or no known key could have made it.
    #[error("the credential is not valid")]
    Signature,
    /// The token's time is over.
    #[error("the credential is expired: get a new one")]
    Expired,
    /// The token's time has not come yet.
    #[error("the credential is not valid yet")]
    NotYetValid,
    /// Well signed, but for someone or something else: issuer, audience, type, lifetime.
    #[error("the credential is not meant for this service")]
    NotAccepted,
    /// Well signed, but it names no usable user, team, plan or role.
    #[error("the credential names no usable user")]
    Identity,
    /// The key of a service, shown by somebody else.
    #[error("the credential is not accepted from this address")]
    Peer,
    /// The issuer's keys could not be fetched: not the caller's fault, and it may pass (503).
    #[error("the keys to check the credential are unavailable: try again shortly")]
    KeysUnavailable,
}

impl AuthError {
    /// Is it the caller who must act (401), and not we (503)?
    pub fn is_callers_fault(self) -> bool {
        match self {
            Self::Missing
            | Self::Conflict
            | Self::Scheme
            | Self::Malformed
            | Self::Signature
            | Self::Expired
            | Self::NotYetValid
            | Self::NotAccepted
            | Self::Identity
            | Self::Peer => true,
            Self::KeysUnavailable => false,
        }
    }

    /// The stable name for logs and metrics.
    pub fn code(self) -> &'static str {
        match self {
            Self::Missing => "credential_missing",
            Self::Conflict => "credential_conflict",
            Self::Scheme => "credential_scheme",
            Self::Malformed => "token_malformed",
            Self::Signature => "token_signature",
            Self::Expired => "token_expired",
            Self::NotYetValid => "token_not_yet_valid",
            Self::NotAccepted => "token_not_accepted",
            Self::Identity => "token_identity",
            Self::Peer => "service_peer",
            Self::KeysUnavailable => "keys_unavailable",
        }
    }
}

/// Why an issuer cannot be set up, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("issuer `{issuer}`: {found}\nhint: {hint}")]
pub struct AuthSetupError {
    /// The issuer's name.
    pub issuer: String,
    /// What was found, with the file or setting it was found in.
    pub found: String,
    /// What to do.
    pub hint: &'static str,
}

/// Why a token cannot be signed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The issuer signs with a key that the gateway does not have.
    #[error("issuer `{issuer}` has no `secret`: only its owner can sign tokens")]
    NoSecret {
        /// The issuer's name.
        issuer: String,
    },
    /// An id that would be refused when the token comes back.
    #[error("`{field}` must be 1 to 256 bytes without control characters")]
    Id {
        /// Which one.
        field: &'static str,
    },
    /// Two claims whose paths collide, such as `a` and `a.b`.
    #[error("the claim path `{path}` collides with another one of issuer `{issuer}`")]
    ClaimPaths {
        /// The issuer's name.
        issuer: String,
        /// The path.
        path: String,
    },
    /// A time to live of zero, over the issuer's `max_lifetime`, or past the year 9999.
    #[error("the time to live must be at least one second, and within the issuer's `max_lifetime`")]
    TimeToLive,
    /// The signature library refused.
    #[error("signing failed")]
    Crypto,
}
