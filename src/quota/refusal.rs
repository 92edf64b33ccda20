//! What a refused caller is told: which limit, how much, until when, and what still works.

use std::sync::Arc;

use super::{LimitHold, Meter, Scope, Standing, Window};
use crate::clock::Timestamp;

/// A limit that would not take one more.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// Name of the limit.
    pub limit: Arc<str>,
    /// What it counts.
    pub meter: Meter,
    /// Its window.
    pub window: Window,
    /// Whose requests count together in it.
    pub scope: Scope,
    /// Its numbers when it refused.
    pub standing: Standing,
    /// When a calendar limit begins anew.
    pub resets_at: Option<Timestamp>,
    /// Milliseconds until it is worth asking again; `None` when that depends on other requests ending.
    pub retry_after_ms: Option<u64>,
    /// The sentence for the person.
    pub message: String,
}

impl Refusal {
    /// Writes the refusal of one more at this limit. `still_available`: a model that the caller may still use.
    pub fn new(full: &LimitHold, now: Timestamp, still_available: Option<&str>) -> Self {
        let LimitHold { limit, standing, .. } = full;
        let resets_at = full.resets_at();
        let retry_after_ms = match limit.window {
            Window::Calendar(_) => {
                resets_at.map(|at| u64::try_from(at.as_millisecond() - now.as_millisecond()).unwrap_or(0))
            }
            Window::Rate(_) if limit.max == 0 => None,
            Window::Rate(_) => Some(standing.wait_ms.max(1)),
            Window::Open => None,
        };
        Self {
            limit: Arc::clone(&limit.name),
            meter: limit.meter,
            window: limit.window,
            scope: limit.scope,
            standing: *standing,
            resets_at,
            retry_after_ms,
            message: sentence(full, still_available),
        }
    }

    /// Is the window an hour or longer, so that asking again soon is of no use?
    pub fn is_long(&self) -> bool {
        matches!(self.window, Window::Calendar(_)) || self.standing.max == 0
    }

    /// Is it requests in flight that fill the limit, not settled use?
    pub fn is_held(&self) -> bool {
        self.standing.used < self.standing.max && self.standing.held > 0
    }
}

fn sentence(full: &LimitHold, still_available: Option<&str>) -> String {
    let limit = &full.limit;
    let name = title(&limit.name, limit.scope);
    let Standing { used, held, max, wait_ms } = full.standing;
    let mut text = match limit.window {
        _ if max == 0 => format!("{name} quota is 0: these models are blocked for this plan."),
        Window::Calendar(_) if limit.scope == Scope::Team => {
            format!("{name} quota exhausted{}.", this(limit.window))
        }
        Window::Calendar(_) if held > 0 && used < max => {
            format!(
                "{name} quota exhausted: {used} of {max} messages used{}, {held} in progress.",
                this(limit.window)
            )
        }
        Window::Calendar(_) => {
            format!("{name} quota exhausted: {used} of {max} messages used{}.", this(limit.window))
        }
        Window::Rate(_) => {
            let per = limit.window.per().unwrap_or_default();
            format!(
                "Too many messages: the limit is {max} a {per}. Try again in {} s.",
                wait_ms.div_ceil(1000).max(1)
            )
        }
        Window::Open => {
            format!("Too many requests at once: {held} of {max} are open. Wait for one to finish.")
        }
    };
    if max > 0
        && let Some(at) = full.resets_at()
    {
        text.push_str(&format!(" Resets {}.", at.to_seconds()));
    }
    if let Some(model) = still_available {
        text.push_str(&format!(" {model} is still available."));
    }
    text
}

/// " this month", " today".
fn this(window: Window) -> String {
    match window.per() {
        Some("day") => " today".to_owned(),
        Some(per) => format!(" this {per}"),
        None => String::new(),
    }
}

/// The limit's name as the first word of a sentence.
fn title(name: &str, scope: Scope) -> String {
    let spaced = name.replace(['_', '-'], " ");
    let spaced = match (spaced.as_str(), scope) {
        ("messages", Scope::User) => "message".to_owned(),
        (_, Scope::Team) if !spaced.contains("team") => format!("team {spaced}"),
        _ => spaced,
    };
    let mut letters = spaced.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
