//! From credential to caller.
//!
//! Owns the order of checks (cache, shape, issuer, key, signature, claims), the choice of issuer and the cache of
//! verified tokens. Must not know how keys are parsed or fetched, nor what a caller may do.

mod setup;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::header::HeaderName;
use quick_cache::sync::Cache;

use super::caller::Caller;
use super::claims;
use super::credential::{self, Credential, CredentialSource};
use super::error::{AuthError, AuthSetupError};
use super::keys::KeySet;
use super::remote::RemoteKeys;
use super::service::{self, Service};
use super::settings::{AuthOptions, IssuerSettings};
use super::token::{self, Unverified};
use crate::clock::Clock;

/// How often it is looked whether some keys are due to be fetched.
const REFRESH_TICK: Duration = Duration::from_secs(1);

/// Checks credentials against the configured issuers. Made once per configuration; shared by all requests.
pub struct Authenticator {
    issuers: Vec<Issuer>,
    /// The headers that issuers name, each once.
    headers: Vec<HeaderName>,
    anonymous_keys: Vec<String>,
    services: Vec<Service>,
    verified: Cache<[u8; 32], Arc<Verified>>,
    clock: Clock,
}

/// A verified credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    caller: Caller,
    /// When it stops being accepted, leeway included, in microseconds since 1970.
    pub(super) expires_us: i64,
    /// The issuer's place in [`Authenticator::issuers`].
    issuer: usize,
    /// The set of keys that vouched for it; 0 for keys that never change.
    generation: u64,
}

impl Verified {
    /// Who is calling.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }
}

struct Issuer {
    settings: IssuerSettings,
    name: Arc<str>,
    header: Option<HeaderName>,
    keys: Keys,
}

enum Keys {
    Fixed(KeySet),
    Remote(Arc<RemoteKeys>),
}

impl Authenticator {
    /// Reads all key files and checks all settings. JWKS URLs are not fetched here: spawn
    /// [`Authenticator::keep_fresh`]; until keys have come, their tokens are answered with
    /// [`AuthError::KeysUnavailable`].
    ///
    /// With a JWKS URL, a process-wide `rustls` provider must have been installed before.
    pub fn new(
        issuers: Vec<IssuerSettings>,
        options: AuthOptions,
        clock: Clock,
    ) -> Result<Self, AuthSetupError> {
        let issuers = setup::issuers(issuers)?;
        let mut headers: Vec<HeaderName> = Vec::new();
        for header in issuers.iter().filter_map(|issuer| issuer.header.clone()) {
            if !headers.contains(&header) {
                headers.push(header);
            }
        }
        let verified = Cache::new(options.cache_capacity.max(1));
        let services = options.services.into_iter().map(Service::from).collect();
        Ok(Self { issuers, headers, anonymous_keys: options.anonymous_keys, services, verified, clock })
    }

    /// Takes over the keys that another authenticator has fetched from the same URLs: a reload while an identity provider
    /// is away locks nobody out. They serve for as long as they would have served there, and are fetched anew at once.
    pub fn take_over_keys(&self, other: &Self) {
        let others = || other.issuers.iter().filter_map(Issuer::remote);
        for keys in self.issuers.iter().filter_map(Issuer::remote) {
            if let Some(known) = others().find(|known| known.url() == keys.url()) {
                keys.take_over(known);
            }
        }
    }

    /// Who sent a request with these headers; `None`: nobody says who it is. `peer` opened the connection, and a service
    /// is believed only if that is known. `looked_up` is told whether the cache had the token.
    ///
    /// # Errors
    /// Every credential that is not good.
    pub async fn caller(
        &self,
        headers: &HeaderMap,
        query_key: Option<&str>,
        peer: Option<IpAddr>,
        looked_up: impl FnOnce(bool),
    ) -> Result<Option<Caller>, AuthError> {
        let Some(credential) = self.credential(headers, query_key)? else { return Ok(None) };
        if let Some(peer) = peer
            && let Some(caller) = self.service(&credential, headers, peer)?
        {
            return Ok(Some(caller));
        }
        let cached = self.cached(&credential);
        looked_up(cached.is_some());
        let verified = match cached {
            Some(verified) => verified,
            None => self.authenticate(&credential).await?,
        };
        Ok(Some(verified.caller().clone()))
    }

    /// The one credential of a request: from a header that some issuer names if it is there, else from where
    /// [`credential()`](super::credential()) looks.
    pub fn credential(
        &self,
        headers: &HeaderMap,
        query_key: Option<&str>,
    ) -> Result<Option<Credential>, AuthError> {
        match credential::named_credential(headers, &self.headers)? {
            Some(named) => Ok(Some(named)),
            None => credential::credential(headers, query_key, &self.anonymous_keys),
        }
    }

    /// The user whom a chat app names in its headers, if the credential is the app's key; `None`: it is no such key.
    /// `peer` is who opened the connection.
    pub fn service(
        &self,
        credential: &Credential,
        headers: &HeaderMap,
        peer: IpAddr,
    ) -> Result<Option<Caller>, AuthError> {
        if self.services.is_empty() {
            Ok(None)
        } else {
            service::caller(&self.services, credential, headers, peer)
        }
    }

    /// The answer of an earlier [`Authenticator::authenticate`], while it still holds: not expired, and its keys still
    /// the ones that are published. Never waits.
    pub fn cached(&self, credential: &Credential) -> Option<Arc<Verified>> {
        let verified = self.verified.get(credential.digest())?;
        let issuer = self.issuers.get(verified.issuer)?;
        let now_us = self.clock.now_us();
        let holds = now_us < verified.expires_us
            && issuer.reads(credential.source())
            && issuer.generation(now_us) == Some(verified.generation);
        holds.then_some(verified)
    }

    /// Who sent this credential. Waits only if a token names a key that a JWKS URL may have by now (at most its
    /// timeout, 5 s).
    pub async fn authenticate(&self, credential: &Credential) -> Result<Arc<Verified>, AuthError> {
        if let Some(verified) = self.cached(credential) {
            return Ok(verified);
        }
        let token = token::parse(credential.token())?;
        let named = claims::issuer(&token.claims)?;
        // With no issuer to ask, the token is somebody else's.
        let mut answer = AuthError::NotAccepted;
        let candidates = self.candidates(credential.source(), named, &token);
        for (asked, (place, issuer)) in candidates.enumerate() {
            match self.verify(place, issuer, &token).await {
                Ok(verified) => {
                    let verified = Arc::new(verified);
                    self.verified.insert(*credential.digest(), Arc::clone(&verified));
                    return Ok(verified);
                }
                Err(error) if asked == 0 || tells_more(error) > tells_more(answer) => answer = error,
                Err(_) => {}
            }
        }
        Err(answer)
    }

    /// Keeps the keys of all JWKS URLs fresh, for as long as the authenticator lives. Spawn it once.
    pub fn keep_fresh(self: &Arc<Self>) -> impl Future<Output = ()> + Send + use<> {
        let authenticator = Arc::downgrade(self);
        async move {
            while let Some(authenticator) = authenticator.upgrade() {
                authenticator.refresh_due().await;
                drop(authenticator);
                tokio::time::sleep(REFRESH_TICK).await;
            }
        }
    }

    /// Fetches the JWKS URLs that are due; all at once, so that a slow one does not hold up the others.
    pub async fn refresh_due(&self) {
        let now_us = self.clock.now_us();
        let mut fetches = tokio::task::JoinSet::new();
        for issuer in &self.issuers {
            if let Some(keys) = issuer.remote() {
                let keys = Arc::clone(keys);
                fetches.spawn(async move { keys.refresh_due(now_us).await });
            }
        }
        while let Some(end) = fetches.join_next().await {
            if let Err(error) = end {
                tracing::error!(%error, "a task that fetches keys broke off");
            }
        }
    }

    /// The names of the issuers whose keys are not there (never fetched, or too old): for readiness and checks.
    pub fn without_keys(&self) -> Vec<&str> {
        let now_us = self.clock.now_us();
        let missing = self.issuers.iter().filter(|issuer| issuer.generation(now_us).is_none());
        missing.map(|issuer| &*issuer.name).collect()
    }

    /// The issuers that may have made a token: those configured with its `iss` if there are any, else those configured
    /// with none (at most [`setup::ISSUERS_WITHOUT_NAME_MAX`]).
    fn candidates<'a>(
        &'a self,
        source: &'a CredentialSource,
        named: Option<&'a str>,
        token: &'a Unverified<'_>,
    ) -> impl Iterator<Item = (usize, &'a Issuer)> {
        let is_named = move |issuer: &Issuer| named.is_some() && issuer.settings.issuer.as_deref() == named;
        let wanted = self.issuers.iter().any(is_named);
        self.issuers.iter().enumerate().filter(move |(_, issuer)| {
            (if wanted { is_named(issuer) } else { issuer.settings.issuer.is_none() })
                && issuer.reads(source)
                && issuer.settings.algorithms.contains(&token.algorithm)
        })
    }

    async fn verify(
        &self,
        place: usize,
        issuer: &Issuer,
        token: &Unverified<'_>,
    ) -> Result<Verified, AuthError> {
        let now_us = self.clock.now_us();
        let key_id = token.key_id.as_deref();
        let fetched;
        let (keys, generation) = match &issuer.keys {
            Keys::Fixed(keys) => (keys, 0),
            Keys::Remote(remote) => {
                fetched = remote.with_key(token.algorithm, key_id, now_us).await?;
                (&*fetched.keys, fetched.generation)
            }
        };
        let key = keys.find(token.algorithm, key_id).ok_or(AuthError::Signature)?;
        if !key.verifies(token.algorithm, token.message, &token.signature) {
            return Err(AuthError::Signature);
        }
        let settings = &issuer.settings;
        let expires_us = claims::check(&token.claims, token.token_type.as_deref(), settings, now_us)?;
        let caller = claims::caller(&token.claims, &settings.claims, Arc::clone(&issuer.name))?;
        Ok(Verified { caller, expires_us, issuer: place, generation })
    }
}

impl Issuer {
    /// Whether this issuer's tokens may stand where a credential stood.
    fn reads(&self, source: &CredentialSource) -> bool {
        match (&self.header, source) {
            (None, CredentialSource::Standard) => true,
            (Some(header), CredentialSource::Named(name)) => header == name,
            _ => false,
        }
    }

    fn remote(&self) -> Option<&Arc<RemoteKeys>> {
        match &self.keys {
            Keys::Fixed(_) => None,
            Keys::Remote(keys) => Some(keys),
        }
    }

    /// Which keys are in force; `None` if there are none.
    fn generation(&self, now_us: i64) -> Option<u64> {
        match &self.keys {
            Keys::Fixed(_) => Some(0),
            Keys::Remote(keys) => keys.generation(now_us),
        }
    }
}

/// Which of two issuers' refusals is the answer: one that comes after a good signature says more than missing keys,
/// and those more than a signature that some other issuer may have made.
fn tells_more(error: AuthError) -> u8 {
    match error {
        AuthError::Signature => 0,
        AuthError::KeysUnavailable => 1,
        AuthError::Missing
        | AuthError::Conflict
        | AuthError::Scheme
        | AuthError::Malformed
        | AuthError::Expired
        | AuthError::NotYetValid
        | AuthError::NotAccepted
        | AuthError::Identity
        | AuthError::Peer => 2,
    }
}
