//! What a refused caller is told: which limit, how much, until when, and what still works.

use std::sync::Arc;

use super::{Limit, Meter, Scope, Standing, Window};
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

/// What else is known when the sentence is written.
#[derive(Clone, Copy, Debug)]
pub struct RefusalContext<'a> {
    /// The current time.
    pub now: Timestamp,
    /// End of the period, for a calendar limit.
    pub resets_at: Option<Timestamp>,
    /// A model that the caller may still use, if there is one.
    pub still_available: Option<&'a str>,
}

impl Refusal {
    /// Writes the refusal of `limit`.
    pub fn new(limit: &Limit, standing: Standing, context: RefusalContext<'_>) -> Self {
        let retry_after_ms = match limit.window {
            Window::Calendar(_) => context
                .resets_at
                .map(|at| u64::try_from(at.as_millisecond() - context.now.as_millisecond()).unwrap_or(0)),
            Window::Rate(_) if limit.max == 0 => None,
            Window::Rate(_) => Some(standing.wait_ms.max(1)),
            Window::Open => None,
        };
        Self {
            limit: Arc::clone(&limit.name),
            meter: limit.meter,
            window: limit.window,
            scope: limit.scope,
            standing,
            resets_at: context.resets_at,
            retry_after_ms,
            message: sentence(limit, standing, context),
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

fn sentence(limit: &Limit, standing: Standing, context: RefusalContext<'_>) -> String {
    let name = title(&limit.name, limit.scope);
    let Standing { used, held, max, wait_ms } = standing;
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
        && let Some(at) = context.resets_at
    {
        text.push_str(&format!(" Resets {}.", at.to_seconds()));
    }
    if let Some(model) = context.still_available {
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
