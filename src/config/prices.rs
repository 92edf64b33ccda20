//! `[prices]`, and the list of prices it names: `config/prices.toml` unless it names another.
//!
//! Owns the form of that list and its bounds. Must not know what is done with a price.

use std::path::{Path, PathBuf};

use super::entry::all;
use super::reading::{Reading, Reported, quoted};
use super::section::{Keys, Section};
use super::value;
use crate::quota::{Price, PriceLine, PriceList};

const KEYS: Keys = Keys { known: &["file", "default"], later: &[] };
const DEFAULT_KEYS: Keys = Keys { known: &["input", "output", "cached"], later: &[] };
const LIST_KEYS: Keys = Keys { known: &["prices"], later: &[] };
const LINE_KEYS: Keys = Keys { known: &["models", "input", "output", "cached", "valid_from"], later: &[] };

/// No model costs a hundredth of it; a price beyond is a slip of the unit. US dollars per million tokens.
const PRICE_MAX_USD: f64 = 100_000.0;

/// The list that is built in: the shipped file.
const SHIPPED: &str = include_str!("../../config/prices.toml");
const SHIPPED_NAME: &str = "config/prices.toml (built in)";

/// The list that `prices.file` names, if it names one that is its own file.
pub(super) fn file(root: &Section<'_>) -> Option<PathBuf> {
    // what is wrong with the key is told where the list is read
    let section = root.section("prices").ok()?;
    value::optional_text(&section, "file").ok().flatten().map(PathBuf::from)
}

/// Reads `[prices]`.
pub(super) fn read(root: &Section<'_>, reading: &Reading<'_>) -> Result<PriceList, Reported> {
    let section = root.section("prices")?;
    let known = section.only(KEYS);
    let default = section
        .get("default")
        .map(|entry| entry.section().and_then(|section| price(&section, DEFAULT_KEYS)))
        .transpose();
    let lines = lines(&section, reading);
    known?;
    Ok(PriceList { lines: lines?, default: default? })
}

fn lines(section: &Section<'_>, reading: &Reading<'_>) -> Result<Vec<PriceLine>, Reported> {
    let Some(path) = value::optional_text(section, "file")? else {
        return of_text(SHIPPED, SHIPPED_NAME, reading);
    };
    match super::read(Path::new(&path)) {
        Ok(text) => of_text(&text, &path, reading),
        Err((found, allowed, _)) => {
            let Some(entry) = section.get("file") else { return of_text("", &path, reading) };
            let hint =
                "copy the shipped `config/prices.toml`, or remove the key to use the list that is built in";
            Err(entry.wrong(format!("{}: {found}", quoted(&path)), allowed, Some(hint.to_owned())))
        }
    }
}

/// A list of prices; its problems join those of the configuration.
fn of_text(text: &str, file: &str, outer: &Reading<'_>) -> Result<Vec<PriceLine>, Reported> {
    let env = |name: &str| outer.env(name);
    let inner = Reading::new(file, text, &env);
    let lines = match toml_edit::Document::parse(text) {
        Ok(document) => list(&Section::root(&inner, document.as_table())),
        Err(error) => Err(super::syntax(&inner, &error)),
    };
    inner.finish(lines).map_err(|problems| outer.adopt(problems.iter().cloned()))
}

fn list(root: &Section<'_>) -> Result<Vec<PriceLine>, Reported> {
    let known = root.only(LIST_KEYS);
    let sections = root.sections("prices")?;
    let mut seen = Vec::new();
    let lines = all(sections.iter().map(|section| line(section, &mut seen)));
    known?;
    lines
}

fn line(section: &Section<'_>, seen: &mut Vec<(String, i64)>) -> Result<PriceLine, Reported> {
    let models = section.require("models", "patterns, such as [\"gpt-4o*\"]");
    let patterns = models.clone().and_then(|entry| value::patterns(&entry));
    let price = price(section, LINE_KEYS);
    let valid_from_ms = section.get("valid_from").map_or(Ok(i64::MIN), |entry| entry.day_ms());
    let (patterns, valid_from_ms) = (patterns?, valid_from_ms?);
    let entries = models?.elements()?;
    all(patterns.iter().zip(&entries).map(|(pattern, entry)| {
        let place = (pattern.as_str().to_ascii_lowercase(), valid_from_ms);
        if seen.contains(&place) {
            let found = format!("{} again with the same `valid_from`", quoted(pattern.as_str()));
            return Err(entry.wrong(found, "one price for a model and a day", None));
        }
        seen.push(place);
        Ok(())
    }))?;
    Ok(PriceLine { models: patterns, price: price?, valid_from_ms })
}

fn price(section: &Section<'_>, keys: Keys) -> Result<Price, Reported> {
    let known = section.only(keys);
    let of = |key| section.require(key, &allowed()).and_then(|entry| micro_usd(&entry));
    let (input, output) = (of("input"), of("output"));
    let cached = section.get("cached").map(|entry| micro_usd(&entry)).transpose();
    known?;
    let input = input?;
    Ok(Price { input, output: output?, cached: cached?.unwrap_or(input) })
}

fn allowed() -> String {
    format!("US dollars per million tokens, 0 to {PRICE_MAX_USD}")
}

/// Dollars as millionths.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked: from 0 to a bound that a double holds to the millionth"
)]
fn micro_usd(entry: &super::entry::Entry<'_>) -> Result<u64, Reported> {
    let usd = entry.number(&allowed())?;
    if (0.0..=PRICE_MAX_USD).contains(&usd) {
        return Ok((usd * 1e6).round() as u64);
    }
    Err(entry.wrong(usd.to_string(), allowed(), None))
}
