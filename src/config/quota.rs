//! `[quota]`: the rules that hold for all plans, and who gets which plan.
//!
//! Owns how the values of that table are read, and puts the policy together. Must not know what a plan or a group holds.

use chrono_tz::{TZ_VARIANTS, Tz};

use super::keys::{OUTAGE_WORDS, PREMIUM_GROUP_DEFAULT};
use super::models::Groups;
use super::nearest::did_you_mean;
use super::plans::Plans;
use super::reading::{Reported, gather, quoted};
use super::setting::Setting;
use super::settings::QuotaSettings;
use crate::quota::Policy;

/// Reads `[quota]`, `[groups]` and `[plans]`.
pub(super) fn read(root: &Setting<'_>) -> Result<QuotaSettings, Reported> {
    let section = root.section("quota");
    let groups = Groups::read(root);
    let plans = Plans::read(root, &groups);
    let all_plans = plans.finish();
    let section = section?;
    let premium_group = |setting: &Setting<'_>| groups.named(setting, PREMIUM_GROUP_DEFAULT);
    gather!(QuotaSettings {
        policy: gather!(Policy {
            zone: section.read("timezone", zone),
            default_plan: match section.get("default_plan") {
                Some(setting) => plans.named(&setting),
                None => Err(section.missing("default_plan", &plans.allowed(), None)),
            },
            anonymous_plan: section.optional("anonymous_plan", |setting| plans.named(setting)),
            premium_group: section.read("premium_group", premium_group),
            groups: groups.finish(),
            plans: all_plans,
        }),
        anonymous_keys: section.read("anonymous_keys", |setting| setting.texts(key)),
        on_outage: section.read("on_outage", |setting| setting.word(&OUTAGE_WORDS)),
        lease_ms: section.read("lease", Setting::ms),
    })
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
