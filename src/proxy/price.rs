//! What an answer costs: the price of the model that gave it, on the day it ended.

use super::Gateway;
use crate::quota::{Pattern, Priced};
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

impl Gateway {
    /// The cost of an answer of these tokens.
    pub(super) fn cost(&self, model: &str, tokens: Tokens) -> Cost {
        let priced = self.prices.load().price_of(model, self.gate.now().as_millisecond());
        if !matches!(priced, Priced::Listed(_)) {
            self.metrics.unpriced(if self.is_named(model) { model } else { OTHER });
        }
        priced.price().map_or_else(Cost::default, |price| Cost {
            micro_usd: price.cost_micro_usd(tokens.input, tokens.output, tokens.cached),
            price: price.to_string(),
        })
    }

    /// Does the configuration spell the model out?
    fn is_named(&self, model: &str) -> bool {
        let (rules, table) = (self.gate.rules(), self.upstreams.load());
        let groups = rules.policy.groups.values().flat_map(|group| &group.patterns);
        let plans = rules.policy.plans.values().flat_map(|plan| &plan.models.patterns);
        let literal = groups.chain(plans).filter(|pattern| pattern.is_literal()).map(Pattern::as_str);
        literal.chain(table.literal_models()).any(|named| named == model)
    }
}
