//! `[quota]`: the rules that hold for all plans, and who gets which plan.
//!
//! Owns how the values of that table are read, and puts the policy together. Must not know what a plan or a group holds.

use chrono_tz::{TZ_VARIANTS, Tz};

use super::keys::PREMIUM_GROUP_DEFAULT;
use super::models::Groups;
use super::nearest::did_you_mean;
use super::plans::Plans;
use super::reading::{Reported, quoted};
use super::section::Section;
use super::setting::Setting;
use super::settings::QuotaSettings;
use super::words::OUTAGE_WORDS;
use crate::quota::Policy;

/// Reads `[quota]`, `[groups]` and `[plans]`.
pub(super) fn read(root: &Section<'_>) -> Result<QuotaSettings, Reported> {
    let section = root.section("quota");
    let groups = Groups::read(root);
    let plans = Plans::read(root, &groups);
    let all_plans = plans.finish();
    let section = section?;
    let zone = section.read("timezone").and_then(|setting| zone(&setting));
    let default_plan = match section.get("default_plan") {
        Some(setting) => plans.named(&setting),
        None => Err(section.missing("default_plan", &plans.allowed(), None)),
    };
    let anonymous_plan = section.optional("anonymous_plan", |setting| plans.named(setting));
    let anonymous_keys = section.read("anonymous_keys").and_then(|setting| setting.texts(key));
    let on_outage = section.read("on_outage").and_then(|setting| setting.word(&OUTAGE_WORDS));
    let lease_ms = section.read("lease").and_then(|setting| setting.ms());
    let premium_group =
        section.read("premium_group").and_then(|setting| groups.named(&setting, PREMIUM_GROUP_DEFAULT));
    let policy = Policy {
        zone: zone?,
        groups: groups.finish()?,
        plans: all_plans?,
        default_plan: default_plan?,
        anonymous_plan: anonymous_plan?,
        premium_group: premium_group?,
    };
    Ok(QuotaSettings { policy, anonymous_keys: anonymous_keys?, on_outage: on_outage?, lease_ms: lease_ms? })
}

fn zone(setting: &Setting<'_>) -> Result<Tz, Reported> {
    let name = setting.text()?;
    let known = TZ_VARIANTS.iter().find(|zone| zone.name().eq_ignore_ascii_case(&name));
    known.copied().ok_or_else(|| {
        setting.refused(quoted(&name), did_you_mean(&name, TZ_VARIANTS.iter().map(|zone| zone.name())))
    })
}

fn key(element: &Setting<'_>, text: &str) -> Result<String, Reported> {
    if text.is_empty() {
        return Err(element.refused("\"\"", Some("an empty key always counts as none".to_owned())));
    }
    Ok(text.to_owned())
}
