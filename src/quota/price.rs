//! Prices of models and what an answer costs at them: exact integers, rounded once.
//!
//! Owns the arithmetic and which price applies to a model on a day. Must not know where prices are written down.

use std::fmt;

use super::Pattern;

/// Prices are per so many tokens.
const TOKENS_PER_PRICE: u128 = 1_000_000;

/// The price of a model, each in millionths of a US dollar per million tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    /// Of input that was not in the provider's cache.
    pub input: u64,
    /// Of output, reasoning included.
    pub output: u64,
    /// Of input that was in the provider's cache.
    pub cached: u64,
}

impl Price {
    /// What an answer costs, in millionths of a US dollar, rounded half up. `input` is the whole input, `cached` the
    /// part of it that was in the cache; more of it than there is input counts as all of it.
    pub fn cost_micro_usd(&self, input: u64, output: u64, cached: u64) -> u64 {
        let cached = cached.min(input);
        let part = |tokens: u64, price: u64| u128::from(tokens) * u128::from(price);
        // each product is below 2^128 / 4 only for prices below 2^62: saturate rather than wrap
        let sum = part(input - cached, self.input)
            .saturating_add(part(cached, self.cached))
            .saturating_add(part(output, self.output));
        u64::try_from(sum.saturating_add(TOKENS_PER_PRICE / 2) / TOKENS_PER_PRICE).unwrap_or(u64::MAX)
    }
}

impl fmt::Display for Price {
    /// `input/output/cached`: the form that stands in the ledger.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.input, self.output, self.cached)
    }
}

/// A price of some models from a day on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceLine {
    /// The models.
    pub models: Vec<Pattern>,
    /// Their price.
    pub price: Price,
    /// From this instant on, milliseconds since 1970; `i64::MIN`: always.
    pub valid_from_ms: i64,
}

/// All prices. Swapped whole on reload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PriceList {
    /// The lines, in any order.
    pub lines: Vec<PriceLine>,
    /// For a model that no line names; `None`: it costs nothing that is known.
    pub default: Option<Price>,
}

/// A price, and whether a line named the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priced {
    /// By a line.
    Listed(Price),
    /// By the default.
    Default(Price),
    /// By nothing.
    Unknown,
}

impl Priced {
    /// The price, if there is one.
    pub fn price(self) -> Option<Price> {
        match self {
            Self::Listed(price) | Self::Default(price) => Some(price),
            Self::Unknown => None,
        }
    }
}

impl PriceList {
    /// The price of a model at an instant (milliseconds since 1970): of the lines in force the one that names the model
    /// best (literally, else with the most text), of several such the latest.
    pub fn price_of(&self, model: &str, at_ms: i64) -> Priced {
        let in_force = self.lines.iter().filter(|line| line.valid_from_ms <= at_ms);
        let claims = in_force.filter_map(|line| {
            let rank = line.models.iter().filter_map(|pattern| pattern.claim(model)).max()?;
            Some(((rank, line.valid_from_ms), line.price))
        });
        match claims.max_by_key(|(rank, _)| *rank) {
            Some((_, price)) => Priced::Listed(price),
            None => self.default.map_or(Priced::Unknown, Priced::Default),
        }
    }
}

#[cfg(test)]
mod tests;
