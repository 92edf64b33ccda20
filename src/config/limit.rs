//! `[[plans.<name>.limits]]`: one limit each.
//!
//! Owns which keys of that table go together. Must not know plans.

use super::keys::{METERS, SCOPES, WINDOWS};
use super::models::Groups;
use super::reading::{Reported, all, gather, quoted};
use super::setting::Setting;
use super::value::{self, Names};
use crate::quota::{Limit, Meter, Window};

/// Each is one message a period and webhook; nobody reads more.
const ALERTS_MAX: usize = 8;

/// Reads the limits of one plan; each has its own name.
pub(super) fn read(sections: &[Setting<'_>], groups: &Groups) -> Result<Vec<Limit>, Reported> {
    let mut names = Names::new(value::is_name);
    all(sections.iter().map(|section| limit(section, &mut names, groups)))
}

fn limit(section: &Setting<'_>, names: &mut Names, groups: &Groups) -> Result<Limit, Reported> {
    gather!(Limit {
        name: names.take(section).map(Into::into),
        meter: section.read("meter", |setting| setting.word(&METERS)),
        models: section.optional("models", |setting| groups.models(setting)),
        scope: section.read("scope", |setting| setting.word(&SCOPES)),
        max: section.read("max", Setting::whole),
        window: window(section, meter),
        alert_permille: alert(section, window),
    })
}

/// The thresholds, in thousandths, rising.
fn alert(section: &Setting<'_>, window: Result<Window, Reported>) -> Result<Vec<u16>, Reported> {
    let Some(setting) = section.get("alert") else { return Ok(Vec::new()) };
    if let Ok(Window::Rate(_) | Window::Open) = window {
        let hint =
            "a limit of a second or a minute, or of what is open at once, is reached all the time".to_owned();
        let allowed = "`alert` beside `per` of an hour or longer";
        return Err(setting.wrong("`alert` on a short limit", allowed, Some(hint)));
    }
    let mut permille = all(setting.elements()?.iter().map(threshold))?;
    permille.sort_unstable();
    permille.dedup();
    if permille.is_empty() || permille.len() > ALERTS_MAX {
        let found = format!("{} thresholds", permille.len());
        return Err(setting.wrong(found, format!("1 to {ALERTS_MAX}"), None));
    }
    Ok(permille)
}

fn threshold(element: &Setting<'_>) -> Result<u16, Reported> {
    let number = element.number()?;
    let permille = (number * 1e3).round();
    let is_whole = (permille - number * 1e3).abs() < 1e-6;
    if !is_whole || !(1.0..=1e3).contains(&permille) {
        let hint = (number > 1.0).then(|| "80 % is 0.8".to_owned());
        return Err(element.refused(number.to_string(), hint));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked: 1 to 1,000")]
    Ok(permille as u16)
}

/// Over what the limit counts: `per`, except for what is open at once.
fn window(section: &Setting<'_>, meter: Result<Meter, Reported>) -> Result<Window, Reported> {
    match (meter, section.get("per")) {
        (Ok(Meter::InFlight), None) => Ok(Window::Open),
        (Ok(Meter::InFlight), Some(per)) => {
            let hint = "`in_flight` counts what is open at once: remove `per`".to_owned();
            Err(per.wrong(quoted(&per.text()?), "no `per` beside `meter = \"in_flight\"`", Some(hint)))
        }
        (Err(reported), None) => Err(reported),
        (_, Some(per)) => per.word(&WINDOWS),
        (Ok(Meter::Messages | Meter::Background), None) => section.read("per", |per| per.word(&WINDOWS)),
    }
}
