//! How long the calls of a store take. Each store tells it at the one place that all its calls pass; nothing is decided
//! here, and who wants the times is told by a callback.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::StoreError;
use crate::clock::Stopwatch;

type Tell = dyn Fn(&'static str, Duration, bool) + Send + Sync;

/// Who is told of a store's calls; by default nobody.
#[derive(Clone, Default)]
pub struct Timing(Option<Arc<Tell>>);

impl Timing {
    /// `tell` gets the operation's name, how long it took and whether it failed. Calls that are dropped half-way are not
    /// told.
    pub fn new(tell: impl Fn(&'static str, Duration, bool) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(tell)))
    }

    pub(super) async fn of<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let started = Stopwatch::start();
        let answer = call.await;
        self.tell(operation, started, answer.is_err());
        answer
    }

    pub(super) fn tell(&self, operation: &'static str, started: Stopwatch, failed: bool) {
        if let Some(tell) = &self.0 {
            tell(operation, started.elapsed(), failed);
        }
    }
}

impl fmt::Debug for Timing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Timing").field(&self.0.is_some()).finish()
    }
}

#[cfg(test)]
mod tests;
