//! `[prices]`, and the list of prices it names: `config/prices.toml` unless it names another.
//!
//! Owns the form of that list and its bounds. Must not know what is done with a price.

use std::path::{Path, PathBuf};

use super::file;
use super::keys::PRICE_LIST;
use super::reading::{Reading, Reported, all, gather, quoted};
use super::setting::Setting;
use super::value;
use crate::quota::{Price, PriceLine, PriceList};

/// No model costs a hundredth of it; a price beyond is a slip of the unit. US dollars per million tokens.
const PRICE_MAX_USD: f64 = 100_000.0;

/// The list that is built in: the shipped file.
const SHIPPED: &str = include_str!("../../config/prices.toml");
const SHIPPED_NAME: &str = "config/prices.toml (built in)";

/// The list that `prices.file` names, if it names one that is its own file.
pub(super) fn named_file(root: &Setting<'_>) -> Option<PathBuf> {
    // what is wrong with the key is told where the list is read
    let section = root.section("prices").ok()?;
    section.optional_text("file").ok().flatten().map(PathBuf::from)
}

/// Reads `[prices]`.
pub(super) fn read(root: &Setting<'_>, reading: &Reading<'_>) -> Result<PriceList, Reported> {
    let section = root.section("prices")?;
    gather!(PriceList {
        default: section.optional("default", |setting| price(&setting.as_section()?)),
        lines: lines(&section, reading),
    })
}

fn lines(section: &Setting<'_>, reading: &Reading<'_>) -> Result<Vec<PriceLine>, Reported> {
    let Some(path) = section.optional_text("file")? else {
        return of_text(SHIPPED, SHIPPED_NAME, reading);
    };
    match file::read(Path::new(&path)) {
        Ok(text) => of_text(&text, &path, reading),
        Err((found, allowed, _)) => {
            let Some(setting) = section.get("file") else { return of_text("", &path, reading) };
            let hint =
                "copy the shipped `config/prices.toml`, or remove the key to use the list that is built in";
            Err(setting.wrong(format!("{}: {found}", quoted(&path)), allowed, Some(hint.to_owned())))
        }
    }
}

/// A list of prices; its problems join those of the configuration.
fn of_text(text: &str, file: &str, outer: &Reading<'_>) -> Result<Vec<PriceLine>, Reported> {
    let env = |name: &str| outer.env(name);
    let inner = Reading::new(file, text, &env);
    let lines = file::document(&inner, text)
        .and_then(|document| list(&Setting::root(&inner, document.as_table(), &PRICE_LIST)));
    inner.finish(lines).map_err(|problems| outer.adopt(problems.iter().cloned()))
}

fn list(root: &Setting<'_>) -> Result<Vec<PriceLine>, Reported> {
    let mut seen = Vec::new();
    all(root.sections("prices")?.iter().map(|section| line(section, &mut seen)))
}

fn line(section: &Setting<'_>, seen: &mut Vec<(String, i64)>) -> Result<PriceLine, Reported> {
    let patterns = section.read("models", value::patterns);
    let price = price(section);
    let valid_from_ms = section.optional("valid_from", Setting::day_ms);
    let (patterns, valid_from_ms) = (patterns?, valid_from_ms?.unwrap_or(i64::MIN));
    let settings = section.read("models", Setting::elements)?;
    all(patterns.iter().zip(&settings).map(|(pattern, setting)| {
        let place = (pattern.as_str().to_ascii_lowercase(), valid_from_ms);
        if seen.contains(&place) {
            let found = format!("{} again with the same `valid_from`", quoted(pattern.as_str()));
            return Err(setting.wrong(found, "one price for a model and a day", None));
        }
        seen.push(place);
        Ok(())
    }))?;
    Ok(PriceLine { models: patterns, price: price?, valid_from_ms })
}

fn price(section: &Setting<'_>) -> Result<Price, Reported> {
    gather!(Price {
        input: section.read("input", micro_usd),
        output: section.read("output", micro_usd),
        cached: section.optional("cached", micro_usd).and_then(|cached| Ok(cached.unwrap_or(input?))),
    })
}

/// Dollars as millionths.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked: from 0 to a bound that a double holds to the millionth"
)]
fn micro_usd(setting: &Setting<'_>) -> Result<u64, Reported> {
    let usd = setting.number()?;
    if (0.0..=PRICE_MAX_USD).contains(&usd) {
        return Ok((usd * 1e6).round() as u64);
    }
    Err(setting.refused(usd.to_string(), None))
}
