//! Keys behind a URL: fetched in the background, and once when a token names a key that is not known yet.
//!
//! Owns the state of one JWKS URL: the last good keys, when they were fetched, when fetching was last tried. The keys
//! are read without a lock; one task fetches at a time. Must not know tokens or claims; the time is an argument.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};
use tokio::sync::{Mutex, Semaphore};

use super::error::AuthError;
use super::jwks::{self, JWKS_BYTES_MAX};
use super::keys::KeySet;
use super::settings::{Algorithm, JwksUrl};

/// At most one fetch in this time while there are keys: tokens with made-up key ids must not become requests.
pub(super) const COOLDOWN_US: i64 = 60 * US_PER_S;
/// The same while there are no keys at all: nobody can be let in, so it is tried more often.
pub(super) const RETRY_US: i64 = 5 * US_PER_S;
/// How long a key id that a fresh set did not have is not asked for again.
const NEGATIVE_US: i64 = 10 * COOLDOWN_US;
/// Key ids remembered as unknown.
const NEGATIVE_CAPACITY: usize = 1_024;
/// Requests that may wait for one fetch; more are told to come again.
const WAITERS_MAX: usize = 1_024;
const US_PER_S: i64 = 1_000_000;
/// Before every attempt.
const NEVER_US: i64 = i64::MIN;

/// One JWKS URL.
pub(super) struct RemoteKeys {
    issuer: String,
    source: JwksUrl,
    algorithms: Vec<Algorithm>,
    client: reqwest::Client,
    good: ArcSwapOption<Fetched>,
    fetching: Mutex<()>,
    attempted_us: AtomicI64,
    failing: AtomicBool,
    generations: AtomicU64,
    unknown: Cache<String, i64>,
    waiters: Semaphore,
}

/// Keys as they came from the URL.
pub(super) struct Fetched {
    pub(super) keys: Arc<KeySet>,
    /// Changes exactly when the set's text does: what was verified by an older set must be verified again.
    pub(super) generation: u64,
    digest: [u8; 32],
    at_us: AtomicI64,
}

/// What an attempt to fetch came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attempt {
    Fetched,
    Failed,
    TooSoon,
}

impl RemoteKeys {
    pub(super) fn new(
        issuer: &str,
        source: &JwksUrl,
        algorithms: &[Algorithm],
        client: reqwest::Client,
    ) -> Self {
        Self {
            issuer: issuer.to_owned(),
            source: source.clone(),
            algorithms: algorithms.to_vec(),
            client,
            good: ArcSwapOption::empty(),
            fetching: Mutex::new(()),
            attempted_us: AtomicI64::new(NEVER_US),
            failing: AtomicBool::new(false),
            generations: AtomicU64::new(0),
            unknown: Cache::new(NEGATIVE_CAPACITY),
            waiters: Semaphore::new(WAITERS_MAX),
        }
    }

    /// Where the keys come from.
    pub(super) fn url(&self) -> &str {
        &self.source.url
    }

    /// Goes on with the last good keys of another for the same URL, until they would have been too old there.
    pub(super) fn take_over(&self, other: &Self) {
        let Some(good) = other.good.load_full() else { return };
        // a set is read for the algorithms of its issuer: for others the same text must be read again
        let digest = if self.algorithms == other.algorithms { good.digest } else { [0; 32] };
        let at_us = AtomicI64::new(good.at_us.load(Ordering::Relaxed));
        let (keys, generation) = (Arc::clone(&good.keys), good.generation);
        self.generations.store(generation, Ordering::Relaxed);
        self.good.store(Some(Arc::new(Fetched { keys, generation, digest, at_us })));
    }

    /// The last good keys, unless they are older than the stale limit.
    pub(super) fn current(&self, now_us: i64) -> Option<Arc<Fetched>> {
        let limit_us = i64::from(self.source.stale_limit_s) * US_PER_S;
        self.good
            .load_full()
            .filter(|good| now_us.saturating_sub(good.at_us.load(Ordering::Relaxed)) <= limit_us)
    }

    /// The generation of [`RemoteKeys::current`].
    pub(super) fn generation(&self, now_us: i64) -> Option<u64> {
        self.current(now_us).map(|good| good.generation)
    }

    /// Keys among which the one for `algorithm` and `key_id` is, fetched anew if need be.
    pub(super) async fn with_key(
        self: &Arc<Self>,
        algorithm: Algorithm,
        key_id: Option<&str>,
        now_us: i64,
    ) -> Result<Arc<Fetched>, AuthError> {
        let has_key = |good: &Arc<Fetched>| good.keys.find(algorithm, key_id).is_some();
        if let Some(good) = self.current(now_us) {
            if has_key(&good) {
                return Ok(good);
            }
            if self.is_known_unknown(key_id, now_us) {
                return Err(AuthError::Signature);
            }
        }
        let Ok(_waiter) = self.waiters.try_acquire() else { return Err(AuthError::KeysUnavailable) };
        let attempt = self.fetch_apart(now_us).await;
        let good = self.current(now_us).ok_or(AuthError::KeysUnavailable)?;
        if has_key(&good) {
            return Ok(good);
        }
        match attempt {
            Attempt::Fetched => {
                if let Some(key_id) = key_id {
                    self.unknown.insert(key_id.to_owned(), now_us.saturating_add(NEGATIVE_US));
                }
                Err(AuthError::Signature)
            }
            // The key may be a new one that we could not fetch: not the caller's fault.
            Attempt::TooSoon | Attempt::Failed if self.failing.load(Ordering::Relaxed) => {
                Err(AuthError::KeysUnavailable)
            }
            Attempt::TooSoon | Attempt::Failed => Err(AuthError::Signature),
        }
    }

    /// Fetches if the keys are due for it: missing, or older than the refresh time.
    pub(super) async fn refresh_due(self: &Arc<Self>, now_us: i64) {
        let refresh_us = i64::from(self.source.refresh_s) * US_PER_S;
        let good = self.good.load_full();
        let is_untried = self.attempted_us.load(Ordering::Relaxed) == NEVER_US;
        let due = is_untried
            || good.as_ref().is_none_or(|good| {
                let age_us = now_us.saturating_sub(good.at_us.load(Ordering::Relaxed));
                age_us < 0 || age_us >= refresh_us
            });
        if due {
            // The outcome is logged where it is known, and shows in the keys.
            self.fetch_apart(now_us).await;
        }
    }

    /// Fetches in a task of its own, so that a client that leaves does not take the fetch with it.
    async fn fetch_apart(self: &Arc<Self>, now_us: i64) -> Attempt {
        let keys = Arc::clone(self);
        match tokio::spawn(async move { keys.fetch(now_us).await }).await {
            Ok(attempt) => attempt,
            Err(error) => {
                tracing::error!(issuer = self.issuer, %error, "the task that fetches keys broke off");
                Attempt::Failed
            }
        }
    }

    /// Fetches, unless that was tried a moment ago. Whoever waited here for another task's fetch finds it too soon for
    /// one of their own, and the keys as that one left them.
    async fn fetch(&self, now_us: i64) -> Attempt {
        let _turn = self.fetching.lock().await;
        let good = self.good.load_full();
        let usable = self.current(now_us).is_some();
        let gap_us = if usable { COOLDOWN_US } else { RETRY_US };
        // A clock that was set back must not stop fetching.
        let since_us = now_us.saturating_sub(self.attempted_us.load(Ordering::Relaxed));
        if (0..gap_us).contains(&since_us) {
            return Attempt::TooSoon;
        }
        self.attempted_us.store(now_us, Ordering::Relaxed);
        match self.download().await.and_then(|body| self.read(&body, good.as_deref(), now_us)) {
            Ok(()) => {
                if self.failing.swap(false, Ordering::Relaxed) {
                    tracing::info!(issuer = self.issuer, url = self.source.url, "keys can be fetched again");
                }
                Attempt::Fetched
            }
            Err(reason) => {
                self.failing.store(true, Ordering::Relaxed);
                tracing::warn!(
                    issuer = self.issuer,
                    url = self.source.url,
                    reason,
                    last_good_keys = usable,
                    "cannot fetch keys"
                );
                Attempt::Failed
            }
        }
    }

    async fn download(&self) -> Result<Vec<u8>, String> {
        let answer = self.client.get(&self.source.url).header("accept", "application/json").send().await;
        let mut answer = answer.map_err(|error| reason_of(&error))?;
        if answer.status() != reqwest::StatusCode::OK {
            return Err(format!("the server answered {}", answer.status()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| reason_of(&error))? {
            if body.len() + chunk.len() > JWKS_BYTES_MAX {
                return Err(format!("more than {JWKS_BYTES_MAX} bytes"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn read(&self, body: &[u8], good: Option<&Fetched>, now_us: i64) -> Result<(), String> {
        let digest: [u8; 32] = Sha256::digest(body).into();
        if let Some(good) = good.filter(|good| good.digest == digest) {
            good.at_us.store(now_us, Ordering::Relaxed);
            return Ok(());
        }
        let jwks::Jwks { keys, skipped } = jwks::parse(body, &self.algorithms)?;
        if !skipped.is_empty() {
            tracing::debug!(issuer = self.issuer, skipped = skipped.join("; "), "keys left out");
        }
        let generation = self.generations.fetch_add(1, Ordering::Relaxed) + 1;
        let at_us = AtomicI64::new(now_us);
        let keys = Arc::new(KeySet::ByKeyId(keys));
        self.good.store(Some(Arc::new(Fetched { keys, generation, digest, at_us })));
        Ok(())
    }

    fn is_known_unknown(&self, key_id: Option<&str>, now_us: i64) -> bool {
        key_id.and_then(|key_id| self.unknown.get(key_id)).is_some_and(|until_us| now_us < until_us)
    }
}

/// The error and what caused it; `reqwest` shows only the outermost.
fn reason_of(error: &reqwest::Error) -> String {
    let mut reason = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        reason = format!("{reason}: {inner}");
        cause = inner.source();
    }
    reason
}
