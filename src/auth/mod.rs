//! Who is calling: a bearer token becomes a [`Caller`], or the reason why not.
//!
//! Owns the issuers, their keys (secret, PEM, JWKS), the strict token checks, the claims and the cache of verified
//! tokens. Must not know quota, a web framework or any store.

mod address;
mod authenticator;
mod base64url;
mod caller;
mod claims;
mod client;
mod credential;
mod error;
mod json;
mod jwks;
mod keys;
mod remote;
mod service;
mod settings;
mod sign;
mod token;

pub use address::client_address;
pub use authenticator::{Authenticator, Verified};
pub use caller::{Caller, Identity, Role};
pub use client::{ClientClaims, ClientRules, client_claims};
pub use credential::{Credential, CredentialSource, credential};
pub use error::{AuthError, AuthSetupError, SignError};
pub use service::Peer;
pub use settings::{
    Algorithm, AuthOptions, ClaimPaths, IssuerSettings, JwksUrl, KeySource, Secret, ServiceSettings,
    UnknownAlgorithm,
};
pub use sign::{TokenRequest, first_with_secret, sign};

#[cfg(test)]
mod tests;
