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
    /// Requests open at once.
    InFlight,
}

impl Meter {
    /// The word used in configuration and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::InFlight => "in_flight",
        }
    }
}

/// One limit: at most `max` of `meter` for `scope`, over `window`, for the models in `models`.
#[derive(Clone, Debug)]
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
}
