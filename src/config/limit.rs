//! `[[plans.<name>.limits]]`: one limit each.
//!
//! Owns the keys of that table and which of them go together. Must not know plans.

use super::entry::{Entry, all};
use super::models::Groups;
use super::reading::{Reported, listed, quoted};
use super::section::{Keys, Section};
use super::value::{self, Names};
use crate::quota::{Calendar, Limit, MAX_AMOUNT, Meter, Rate, Scope, Window};

const KEYS: Keys = Keys {
    known: &["name", "meter", "models", "scope", "max", "per", "alert"],
    later: &["rollover", "shadow", "anchor"],
};

/// Each is one message a period and webhook; nobody reads more.
const ALERTS_MAX: usize = 8;
const ALERT_ALLOWED: &str = "a share of the limit from 0.001 to 1, in steps of 0.001";

const METERS: [(&str, Meter); 3] =
    [("messages", Meter::Messages), ("background", Meter::Background), ("in_flight", Meter::InFlight)];
const LATER_METERS: [&str; 4] = ["input_tokens", "output_tokens", "tokens", "cost_usd"];

const SCOPES: [(&str, Scope); 2] = [("user", Scope::User), ("team", Scope::Team)];
const LATER_SCOPES: [&str; 1] = ["key"];

const WINDOWS: [(&str, Window); 7] = [
    ("second", Window::Rate(Rate::Second)),
    ("minute", Window::Rate(Rate::Minute)),
    ("hour", Window::Calendar(Calendar::Hour)),
    ("day", Window::Calendar(Calendar::Day)),
    ("week", Window::Calendar(Calendar::Week)),
    ("month", Window::Calendar(Calendar::Month)),
    ("year", Window::Calendar(Calendar::Year)),
];

/// Reads the limits of one plan; each has its own name.
pub(super) fn read(sections: &[Section<'_>], groups: &Groups) -> Result<Vec<Limit>, Reported> {
    let mut names = Names::new(value::is_name, value::NAME_ALLOWED);
    all(sections.iter().map(|section| limit(section, &mut names, groups)))
}

fn limit(section: &Section<'_>, names: &mut Names, groups: &Groups) -> Result<Limit, Reported> {
    let known = section.only(KEYS);
    let name = names.take(section);
    let meter =
        section.require("meter", &words(&METERS)).and_then(|entry| entry.choice(&METERS, &LATER_METERS));
    let models = section.get("models").map(|entry| groups.models(&entry)).transpose();
    let scope = section.get("scope").map_or(Ok(Scope::User), |entry| entry.choice(&SCOPES, &LATER_SCOPES));
    let max = section
        .require("max", &format!("an integer, 0 to {MAX_AMOUNT}"))
        .and_then(|entry| entry.integer(0, MAX_AMOUNT));
    let window = window(section, meter);
    let alert_permille = alert(section, window);
    known?;
    Ok(Limit {
        name: name?.into(),
        meter: meter?,
        models: models?,
        scope: scope?,
        max: max?,
        window: window?,
        alert_permille: alert_permille?,
    })
}

/// The thresholds, in thousandths, rising.
fn alert(section: &Section<'_>, window: Result<Window, Reported>) -> Result<Vec<u16>, Reported> {
    let Some(entry) = section.get("alert") else { return Ok(Vec::new()) };
    if let Ok(Window::Rate(_) | Window::Open) = window {
        let hint =
            "a limit of a second or a minute, or of what is open at once, is reached all the time".to_owned();
        return Err(entry.wrong(
            "`alert` on a short limit",
            "`alert` beside `per` of an hour or longer",
            Some(hint),
        ));
    }
    let mut permille = all(entry.elements()?.iter().map(threshold))?;
    permille.sort_unstable();
    permille.dedup();
    if permille.is_empty() || permille.len() > ALERTS_MAX {
        return Err(entry.wrong(
            format!("{} thresholds", permille.len()),
            format!("1 to {ALERTS_MAX}"),
            None,
        ));
    }
    Ok(permille)
}

fn threshold(element: &Entry<'_>) -> Result<u16, Reported> {
    let number = element.number(ALERT_ALLOWED)?;
    let permille = (number * 1e3).round();
    let is_whole = (permille - number * 1e3).abs() < 1e-6;
    if !is_whole || !(1.0..=1e3).contains(&permille) {
        let hint = (number > 1.0).then(|| "80 % is 0.8".to_owned());
        return Err(element.wrong(number.to_string(), ALERT_ALLOWED, hint));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked: 1 to 1,000")]
    Ok(permille as u16)
}

/// Over what the limit counts: `per`, except for what is open at once.
fn window(section: &Section<'_>, meter: Result<Meter, Reported>) -> Result<Window, Reported> {
    match (meter, section.get("per")) {
        (Ok(Meter::InFlight), None) => Ok(Window::Open),
        (Ok(Meter::InFlight), Some(per)) => {
            let hint = "`in_flight` counts what is open at once: remove `per`".to_owned();
            Err(per.wrong(quoted(&per.text()?), "no `per` beside `meter = \"in_flight\"`", Some(hint)))
        }
        (_, Some(per)) => per.choice(&WINDOWS, &[]),
        (Ok(Meter::Messages | Meter::Background), None) => {
            Err(section.missing("per", &words(&WINDOWS), None))
        }
        (Err(reported), None) => Err(reported),
    }
}

fn words<T>(choices: &[(&str, T)]) -> String {
    listed(choices.iter().map(|(word, _)| *word))
}
