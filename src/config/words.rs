//! The words that values are chosen from, and what each stands for.
//!
//! Owns their spelling. Must not know which key takes them.

use super::settings::OutageSetting;
use crate::quota::{Calendar, Meter, Rate, Scope, Window};

pub(super) const OUTAGE_WORDS: [(&str, OutageSetting); 3] =
    [("ledger", OutageSetting::Ledger), ("deny", OutageSetting::Deny), ("allow", OutageSetting::Allow)];
pub(super) const METERS: [(&str, Meter); 3] =
    [("messages", Meter::Messages), ("background", Meter::Background), ("in_flight", Meter::InFlight)];
pub(super) const SCOPES: [(&str, Scope); 2] = [("user", Scope::User), ("team", Scope::Team)];
pub(super) const WINDOWS: [(&str, Window); 7] = [
    ("second", Window::Rate(Rate::Second)),
    ("minute", Window::Rate(Rate::Minute)),
    ("hour", Window::Calendar(Calendar::Hour)),
    ("day", Window::Calendar(Calendar::Day)),
    ("week", Window::Calendar(Calendar::Week)),
    ("month", Window::Calendar(Calendar::Month)),
    ("year", Window::Calendar(Calendar::Year)),
];
/// What happens upstream when a client leaves: is the answer read on?
pub(super) const DISCONNECT_WORDS: [(&str, bool); 2] = [("stop", false), ("drain", true)];
/// The client APIs, by the names that `serves` goes by.
pub(super) const DIALECTS: [&str; 3] = ["openai", "anthropic", "gemini"];
/// Where an issuer's keys may come from: exactly one of them stands in it.
pub(super) const KEY_SOURCES: [&str; 5] =
    ["secret", "secret_file", "public_key_file", "jwks_file", "jwks_url"];
