//! One limit of a plan.

use std::sync::Arc;

use super::{ModelSet, Scope, Window};

/// The largest amount a limit or a counter may hold: 2^53 − 1, the largest integer that is exact in a Lua number, a
/// JSON number and a JavaScript client.
pub const MAX_AMOUNT: u64 = (1 << 53) - 1;

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meter {
    /// Answers with a 2xx status; one each.
    Messages,
    /// The same of calls that a client makes beside its user's messages: titles, tags, compaction.
    Background,
    /// Requests open at once.
    InFlight,
}

impl Meter {
    /// The word used in configuration and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Background => "background",
            Self::InFlight => "in_flight",
        }
    }
}

/// What a call is counted as. Clients claim it; limits bound what the claim can gain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallClass {
    /// A message of the user's.
    Message,
    /// A call that the client makes on its own.
    Background,
}

/// One limit: at most `max` of `meter` for `scope`, over `window`, for the models in `models`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Its name, unique in the plan. Part of the counter's key: a user who changes plans keeps the count of a limit
    /// that both plans name alike.
    pub name: Arc<str>,
    /// What it counts.
    pub meter: Meter,
    /// Which models it counts; `None`: all.
    pub models: Option<ModelSet>,
    /// Whose requests count together.
    pub scope: Scope,
    /// 0 blocks; at most [`MAX_AMOUNT`].
    pub max: u64,
    /// Over what time.
    pub window: Window,
    /// Thresholds of which webhooks are told, in thousandths of `max`: 1 to 1,000, rising. Calendar windows only.
    pub alert_permille: Vec<u16>,
}

impl Limit {
    /// Does a request for this model touch the limit?
    pub fn covers(&self, model: &str) -> bool {
        self.models.as_ref().is_none_or(|set| set.contains(model))
    }

    /// Does a call of this class touch the limit? A background call is counted by background limits in place of the
    /// limits of messages; what guards against bursts (a second, a minute, open at once) holds for every call.
    pub fn counts(&self, class: CallClass) -> bool {
        match (self.meter, class) {
            (Meter::InFlight, _)
            | (Meter::Messages, CallClass::Message)
            | (Meter::Background, CallClass::Background) => true,
            (Meter::Messages, CallClass::Background) => !matches!(self.window, Window::Calendar(_)),
            (Meter::Background, CallClass::Message) => false,
        }
    }

    /// Does a call of this class on this model touch the limit?
    pub fn applies(&self, model: &str, class: CallClass) -> bool {
        self.counts(class) && self.covers(model)
    }
}
