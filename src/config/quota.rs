//! `[quota]`: the rules that hold for all plans, and who gets which plan.
//!
//! Owns the keys of that table and puts the policy together. Must not know what a plan or a group holds.

use chrono_tz::{TZ_VARIANTS, Tz};

use super::entry::Entry;
use super::models::Groups;
use super::nearest::did_you_mean;
use super::plans::Plans;
use super::reading::{Reported, quoted};
use super::section::{Keys, Section};
use super::settings::{OnOutage, QuotaSettings};
use super::value;
use crate::quota::Policy;

const KEYS: Keys = Keys {
    known: &[
        "timezone",
        "default_plan",
        "anonymous_plan",
        "anonymous_keys",
        "on_outage",
        "lease",
        "premium_group",
    ],
    later: &[],
};

/// Shorter than the renewal of a long stream takes, or longer than a day locked out by our fault, is of no use, in
/// milliseconds.
const LEASE_MS: (u64, u64) = (10_000, 24 * 3_600_000);
/// Longer than any ordinary answer, in milliseconds.
const LEASE_DEFAULT_MS: u64 = 15 * 60_000;

/// The one group that need not be there: without it no model is premium.
const PREMIUM_GROUP_DEFAULT: &str = "premium";

const OUTAGE_WORDS: [(&str, OnOutage); 3] =
    [("ledger", OnOutage::Ledger), ("deny", OnOutage::Deny), ("allow", OnOutage::Allow)];

/// Reads `[quota]`, `[groups]` and `[plans]`.
pub(super) fn read(root: &Section<'_>) -> Result<QuotaSettings, Reported> {
    let section = root.section("quota");
    let groups = Groups::read(root);
    let plans = Plans::read(root, &groups);
    let all_plans = plans.finish();
    let section = section?;
    let known = section.only(KEYS);
    let zone = section.get("timezone").map_or(Ok(Tz::UTC), |entry| zone(&entry));
    let default_plan =
        section.require("default_plan", &plans.allowed()).and_then(|entry| plans.named(&entry));
    let anonymous_plan = section.get("anonymous_plan").map(|entry| plans.named(&entry)).transpose();
    let anonymous_keys = section.get("anonymous_keys").map_or(Ok(Vec::new()), |entry| keys(&entry));
    let on_outage =
        section.get("on_outage").map_or(Ok(OnOutage::default()), |entry| entry.choice(&OUTAGE_WORDS, &[]));
    let lease_ms = value::duration_ms_or(&section, "lease", LEASE_MS, LEASE_DEFAULT_MS);
    let premium_group = section.get("premium_group").map_or_else(
        || Ok(PREMIUM_GROUP_DEFAULT.to_owned()),
        |entry| groups.named(&entry, PREMIUM_GROUP_DEFAULT),
    );
    known?;
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

fn zone(entry: &Entry<'_>) -> Result<Tz, Reported> {
    let name = entry.text()?;
    let known = TZ_VARIANTS.iter().find(|zone| zone.name().eq_ignore_ascii_case(&name));
    known.copied().ok_or_else(|| {
        let hint = did_you_mean(&name, TZ_VARIANTS.iter().map(|zone| zone.name()));
        entry.wrong(quoted(&name), "an IANA time zone, such as \"Europe/Berlin\"", hint)
    })
}

fn keys(entry: &Entry<'_>) -> Result<Vec<String>, Reported> {
    entry.texts(|element, text| {
        if text.is_empty() {
            let hint = "an empty key always counts as none".to_owned();
            return Err(element.wrong("\"\"", "a literal API key", Some(hint)));
        }
        Ok(text.to_owned())
    })
}
