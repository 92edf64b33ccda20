//! Messages of one domain that were charged and may be repeated for nothing, for a while. `redis/reserve.lua` and
//! `redis/settle.lua` do the same.
//!
//! Pure. It must not know holds.

use std::collections::HashMap;

use crate::store::MessageKey;
use crate::store::counters::{REPEAT_WITHIN_MS, REPEATS_MAX};

/// An attempt that makes its message repeatable if it is charged.
#[derive(Debug)]
pub(super) struct Mark {
    pub message: MessageKey,
    /// When it was admitted, milliseconds since 1970.
    pub at_ms: i64,
}

/// What may be repeated.
#[derive(Debug, Default)]
pub(super) struct Repeats(HashMap<MessageKey, Charged>);

/// A charged attempt.
#[derive(Debug)]
struct Charged {
    at_ms: i64,
    repeats: u32,
}

impl Repeats {
    /// Which repeat the next attempt of this message is; 0: it is charged.
    pub(super) fn next(&self, message: &MessageKey, now_ms: i64) -> u32 {
        self.0.get(message).filter(|charged| charged.allows(now_ms)).map_or(0, |charged| charged.repeats + 1)
    }

    /// The next repeat was admitted.
    pub(super) fn repeated(&mut self, message: &MessageKey) {
        if let Some(charged) = self.0.get_mut(message) {
            charged.repeats += 1;
        }
    }

    /// An attempt was charged. If one of the same time still allows repeats, that stays: two at once allow no more.
    pub(super) fn charged(&mut self, mark: Mark) {
        if self.next(&mark.message, mark.at_ms) == 0 {
            self.0.insert(mark.message, Charged { at_ms: mark.at_ms, repeats: 0 });
        }
    }

    /// Drops what allows nothing any more.
    pub(super) fn prune(&mut self, now_ms: i64) {
        self.0.retain(|_, charged| charged.allows(now_ms));
    }
}

impl Charged {
    fn allows(&self, now_ms: i64) -> bool {
        let until_ms = self.at_ms.saturating_add_unsigned(REPEAT_WITHIN_MS);
        now_ms < until_ms && self.repeats < REPEATS_MAX
    }
}
