//! Is an upstream worth a request? Learnt from what its requests came to, with time passed in.
//!
//! Owns ejection, backoff and the trial that ends it. Must not know what a failure looks like on the wire, nor which
//! other upstreams there are: that the last one is never given up is decided by `fleet`.

/// So many failures in a row, with no success between them, eject. One or two may be a bad request or a restart.
const FAILURES_MAX: u32 = 3;

/// First ejection, in milliseconds; each failed trial doubles it.
const BACKOFF_MIN_MS: u64 = 1_000;

/// Longest ejection, in milliseconds.
const BACKOFF_MAX_MS: u64 = 60_000;

/// The health of one upstream. Times are milliseconds on any one clock that does not go back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UpstreamHealth {
    failures: u32,
    /// Ejections in a row; 0: in service.
    ejections: u32,
    /// Ejected until then.
    until_ms: u64,
    /// A trial is under way.
    trial: bool,
}

/// Whether a request may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// In service.
    Go,
    /// The time of an ejection is over and this request is its trial: no other is let go until it is back, or until as
    /// much time has passed again.
    Trial,
    /// Ejected.
    Stay,
}

impl UpstreamHealth {
    /// Asks for one request.
    pub fn ask(&mut self, now_ms: u64) -> Leave {
        if self.ejections == 0 {
            return Leave::Go;
        }
        if now_ms < self.until_ms {
            return Leave::Stay;
        }
        self.trial = true;
        self.until_ms = now_ms.saturating_add(backoff_ms(self.ejections));
        Leave::Trial
    }

    /// A request was answered: all is well, whichever request it was.
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// A request failed. True if that ejected the upstream.
    pub fn failed(&mut self, now_ms: u64) -> bool {
        if self.ejections > 0 {
            // a request from before the ejection says nothing new
            if std::mem::take(&mut self.trial) {
                self.eject(now_ms);
            }
            return false;
        }
        self.failures += 1;
        if self.failures < FAILURES_MAX {
            return false;
        }
        self.eject(now_ms);
        true
    }

    /// A trial came to nothing either way (its client left, its quota was refused): the next request is the trial.
    pub fn given_back(&mut self) {
        if std::mem::take(&mut self.trial) {
            self.until_ms = 0;
        }
    }

    fn eject(&mut self, now_ms: u64) {
        self.failures = 0;
        self.ejections = self.ejections.saturating_add(1);
        self.until_ms = now_ms.saturating_add(backoff_ms(self.ejections));
    }
}

/// 1 s, 2 s, 4 s … 60 s.
fn backoff_ms(ejections: u32) -> u64 {
    let doubled = 1u64.checked_shl(ejections.saturating_sub(1)).unwrap_or(u64::MAX);
    BACKOFF_MIN_MS.saturating_mul(doubled).min(BACKOFF_MAX_MS)
}

#[cfg(test)]
mod tests;
