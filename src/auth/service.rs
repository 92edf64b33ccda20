//! Chat apps that say in plain headers who is asking: believed from a known peer that shows the app's key, and from
//! nobody else.
//!
//! Owns the check of key and peer, and the reading of identity headers. Must not know tokens.

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderMap;
use ipnet::IpNet;
use sha2::{Digest, Sha256};

use super::caller::{Caller, Identity, Role, checked_id};
use super::credential::{Credential, CredentialSource, single};
use super::error::AuthError;
use super::settings::ServiceSettings;

/// Who opened the connection that a request came on: not who is said to stand behind it. A request that is passed on
/// inside the gateway carries it in its extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// A service, ready to be compared with.
pub(super) struct Service {
    name: Arc<str>,
    key_digest: [u8; 32],
    peers: Vec<IpNet>,
    user_header: String,
    plan_header: Option<String>,
    team_header: Option<String>,
}

impl From<ServiceSettings> for Service {
    fn from(settings: ServiceSettings) -> Self {
        Self {
            name: settings.name.into(),
            key_digest: Sha256::digest(settings.key.bytes()).into(),
            peers: settings.peers,
            user_header: settings.user_header,
            plan_header: settings.plan_header,
            team_header: settings.team_header,
        }
    }
}

/// The user that a service speaks for, if the credential is the key of one. `peer` is who opened the connection, not
/// who is said to stand behind it.
pub(super) fn caller(
    services: &[Service],
    credential: &Credential,
    headers: &HeaderMap,
    peer: IpAddr,
) -> Result<Option<Caller>, AuthError> {
    if *credential.source() != CredentialSource::Standard {
        return Ok(None);
    }
    // every key is compared, so that the time says nothing of which one is near
    let mut found = None;
    for service in services {
        if same(&service.key_digest, credential.digest()) {
            found = Some(service);
        }
    }
    found.map(|service| service.caller(headers, peer)).transpose()
}

impl Service {
    fn caller(&self, headers: &HeaderMap, peer: IpAddr) -> Result<Caller, AuthError> {
        let peer = peer.to_canonical();
        if !self.peers.iter().any(|net| net.contains(&peer)) {
            tracing::warn!(app = &*self.name, %peer, "a service key was shown by a peer that is not in `peers`");
            return Err(AuthError::Peer);
        }
        let Some(user) = id(headers, &self.user_header)? else {
            tracing::warn!(app = &*self.name, header = self.user_header, "a service named no user");
            return Err(AuthError::Identity);
        };
        let optional = |name: &Option<String>| name.as_deref().map_or(Ok(None), |name| id(headers, name));
        Ok(Caller {
            identity: Identity::User,
            user: Some(user),
            team: optional(&self.team_header)?,
            plan: optional(&self.plan_header)?,
            // a header makes nobody an administrator
            role: Role::User,
            issuer: Some(Arc::clone(&self.name)),
        })
    }
}

/// The id in a header; an empty one is none, and a template that the app did not fill is no id.
fn id(headers: &HeaderMap, name: &str) -> Result<Option<String>, AuthError> {
    let Ok(name) = http::HeaderName::try_from(name) else { return Err(AuthError::Identity) };
    match single(headers, &name)? {
        None | Some("") => Ok(None),
        Some(template) if template.contains("{{") => Err(AuthError::Identity),
        Some(text) => checked_id(text).map(Some),
    }
}

/// Compares all bytes, whatever the first ones say.
fn same(one: &[u8; 32], other: &[u8; 32]) -> bool {
    one.iter().zip(other).fold(0, |differing, (a, b)| differing | (a ^ b)) == 0
}
