//! Which domains this gateway used have a lease that ends, and when: so that a sweep asks only about those.
//!
//! It must not know numbers. Other gateways sweep their own; a hold nobody sweeps is given back by the next reserve.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

use futures_util::StreamExt;
use futures_util::stream;

use super::RedisCounters;
use super::args::{domain_key, text};
use super::link::OFF_PATH;
use super::scripts::Script;
use crate::quota::Domain;
use crate::store::{Announcement, StoreError};

/// Domains that wait for a sweep (about 200 bytes each). Over it a domain waits for its next reserve.
const MAX_DOMAINS: usize = 100_000;
/// Domains of one sweep, so that the server is busy with it for tens of milliseconds at most.
const MAX_SWEPT: usize = 1_000;
/// Of these, asked about at the same time.
const AT_ONCE: usize = 16;

/// When to look at a domain, by this gateway's clock, milliseconds since 1970.
#[derive(Debug, Default)]
pub(super) struct SweepList(Mutex<HashMap<Domain, i64>>);

impl SweepList {
    /// A hold was taken whose lease ends in `lease_ms`. The earliest end counts.
    pub(super) fn expect(&self, domain: &Domain, lease_ms: u64, local_ms: i64) {
        let due_ms = local_ms.saturating_add(i64::try_from(lease_ms).unwrap_or(i64::MAX));
        self.look_at(domain, due_ms);
    }

    /// Holds were put back.
    pub(super) fn announced(&self, domain: &Domain, announcements: &[Announcement], local_ms: i64) {
        let lease = |announcement: &Announcement| match announcement {
            Announcement::Held { lease_ms, .. } => Some(*lease_ms),
            Announcement::Ended { .. } => None,
        };
        if let Some(lease_ms) = announcements.iter().filter_map(lease).min() {
            self.expect(domain, lease_ms, local_ms);
        }
    }

    fn look_at(&self, domain: &Domain, due_ms: i64) {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = list.len() >= MAX_DOMAINS;
        if let Some(known) = list.get_mut(domain) {
            *known = (*known).min(due_ms);
        } else if !is_full {
            list.insert(domain.clone(), due_ms);
        }
    }

    /// Takes out what is due.
    fn due(&self, local_ms: i64) -> Vec<Domain> {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut due: Vec<Domain> = list
            .iter()
            .filter(|(_, due_ms)| **due_ms <= local_ms)
            .map(|(domain, _)| domain.clone())
            .collect();
        due.truncate(MAX_SWEPT);
        for domain in &due {
            list.remove(domain);
        }
        due
    }
}

impl RedisCounters {
    /// This gateway's time, shifted like the server's in tests.
    pub(super) fn local_ms(&self) -> i64 {
        self.clock.now_ms().saturating_add(self.shift_ms.load(Ordering::Relaxed))
    }

    /// Sweeps the domains that are due. One that cannot be asked now is asked at the next sweep.
    pub(super) async fn sweep_due(&self) -> Result<u64, StoreError> {
        let sweeps = self.sweep_list.due(self.local_ms()).into_iter().map(|domain| self.sweep_domain(domain));
        let mut done = stream::iter(sweeps).buffer_unordered(AT_ONCE);
        let (mut given_back, mut failed) = (0, None);
        while let Some(swept) = done.next().await {
            match swept {
                Ok(count) => given_back += count,
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            Some(error) => Err(error),
            None => Ok(given_back),
        }
    }

    async fn sweep_domain(&self, domain: Domain) -> Result<u64, StoreError> {
        let args = vec![text(self.shift_ms())];
        let answer: Result<(u64, i64), StoreError> =
            self.call(Script::Sweep, OFF_PATH, vec![domain_key(&domain)], args).await;
        match answer {
            Ok((count, next_ms)) => {
                if next_ms > 0 {
                    self.sweep_list.look_at(&domain, next_ms);
                }
                Ok(count)
            }
            Err(error) => {
                self.sweep_list.look_at(&domain, self.local_ms());
                Err(error)
            }
        }
    }
}
