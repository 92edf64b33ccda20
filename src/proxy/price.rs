//! What an answer costs: the price of the model that gave it, on the day it ended.

use super::QuotaProxy;
use crate::quota::Priced;
use crate::snapshot::ConfigSnapshot;
use crate::store::entry::Tokens;

/// The label of answers by models that the configuration does not name: their names come from callers.
const OTHER: &str = "other";

/// A cost and the price it follows from.
#[derive(Debug, Default)]
pub struct Cost {
    /// In millionths of a US dollar.
    pub micro_usd: u64,
    /// The price as it stands in the ledger; empty: none is known.
    pub price: String,
}

impl QuotaProxy {
    /// The cost of an answer of these tokens.
    pub(super) fn cost(&self, config: &ConfigSnapshot, model: &str, tokens: Tokens) -> Cost {
        let priced = config.prices.price_of(model, self.gate.now().as_millisecond());
        if !matches!(priced, Priced::Listed(_)) {
            self.metrics.unpriced(if config.named_models().any(|named| named == model) {
                model
            } else {
                OTHER
            });
        }
        priced.price().map_or_else(Cost::default, |price| Cost {
            micro_usd: price.cost_micro_usd(tokens.input, tokens.output, tokens.cached),
            price: price.to_string(),
        })
    }
}
