//! What a refused caller is told: which limit, how much, until when, and what still works.

use super::{LimitHold, Scope, Standing, Window};
use crate::clock::Timestamp;

/// A limit that would not take one more.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The limit, and its numbers when it refused.
    pub full: LimitHold,
    /// Milliseconds until it is worth asking again; `None` when that depends on other requests ending.
    pub retry_after_ms: Option<u64>,
    /// The sentence for the person.
    pub message: String,
}

impl Refusal {
    /// Writes the refusal of one more at this limit. `still_available`: a model that the caller may still use.
    pub fn new(full: LimitHold, now: Timestamp, still_available: Option<&str>) -> Self {
        let retry_after_ms = match full.limit.window {
            Window::Calendar(_) => full
                .resets_at()
                .map(|at| u64::try_from(at.as_millisecond() - now.as_millisecond()).unwrap_or(0)),
            Window::Rate(_) if full.limit.max == 0 => None,
            Window::Rate(_) => Some(full.standing.wait_ms.max(1)),
            Window::Open => None,
        };
        Self { retry_after_ms, message: sentence(&full, still_available), full }
    }

    /// Is the window an hour or longer, so that asking again soon is of no use?
    pub fn is_long(&self) -> bool {
        matches!(self.full.limit.window, Window::Calendar(_)) || self.full.standing.max == 0
    }

    /// Is it requests in flight that fill the limit, not settled use?
    pub fn is_held(&self) -> bool {
        let Standing { used, held, max, .. } = self.full.standing;
        used < max && held > 0
    }
}

fn sentence(full: &LimitHold, still_available: Option<&str>) -> String {
    let limit = &full.limit;
    let name = title(&limit.name, limit.scope);
    let Standing { used, held, max, wait_ms } = full.standing;
    let mut text = match limit.window {
        _ if max == 0 => format!("{name} quota is 0: these models are blocked for this plan."),
        Window::Calendar(_) => {
            let period = this(limit.window);
            match limit.scope {
                Scope::Team => format!("{name} quota exhausted{period}."),
                Scope::User => {
                    let open =
                        if held > 0 && used < max { format!(", {held} in progress") } else { String::new() };
                    format!("{name} quota exhausted: {used} of {max} messages used{period}{open}.")
                }
            }
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
