//! From (dialect, model) to the upstreams that serve it, in the order in which they are asked; aliases of models and
//! models that may stand in for others.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::UpstreamSettings;
use crate::quota::Pattern;

/// All upstreams. Swapped whole on reload.
#[derive(Clone, Debug, Default)]
pub struct UpstreamTable {
    upstreams: Vec<Arc<UpstreamSettings>>,
    aliases: BTreeMap<String, String>,
    fallbacks: BTreeMap<String, Vec<String>>,
}

/// An upstream that serves the request, and the path prefix it wants.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// The upstream.
    pub upstream: Arc<UpstreamSettings>,
    /// Its base path and the dialect's prefix: replaces `/v1` or `/v1beta`.
    pub prefix: String,
}

/// Why no upstream serves the request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoUpstream {
    /// No upstream names the model.
    #[error("the model `{0}` does not exist on this gateway")]
    UnknownModel(String),
    /// The model is served, but not in this dialect.
    #[error("the model `{model}` is not served in the `{dialect}` API on this gateway")]
    OtherDialect {
        /// The model.
        model: String,
        /// The dialect's name.
        dialect: &'static str,
    },
}

impl UpstreamTable {
    /// A table of these.
    pub fn new(upstreams: Vec<UpstreamSettings>) -> Self {
        Self { upstreams: upstreams.into_iter().map(Arc::new).collect(), ..Self::default() }
    }

    /// With other names for models: alias to the model that is meant. Case does not matter in an alias.
    #[must_use]
    pub fn with_aliases(self, aliases: &BTreeMap<String, String>) -> Self {
        Self { aliases: lowered(aliases), ..self }
    }

    /// With models that may stand in for a model whose upstreams have all failed, best first.
    #[must_use]
    pub fn with_fallbacks(self, fallbacks: &BTreeMap<String, Vec<String>>) -> Self {
        Self { fallbacks: lowered(fallbacks), ..self }
    }

    /// All upstreams, in the order of the configuration.
    pub fn all(&self) -> &[Arc<UpstreamSettings>] {
        &self.upstreams
    }

    /// The model that a name stands for: what plans, quota and upstreams go by.
    pub fn resolve<'a>(&'a self, asked: &'a str) -> &'a str {
        self.aliases.get(&asked.to_ascii_lowercase()).map_or(asked, String::as_str)
    }

    /// Models that may stand in for this one, best first.
    pub fn fallbacks(&self, model: &str) -> &[String] {
        self.fallbacks.get(&model.to_ascii_lowercase()).map_or(&[], Vec::as_slice)
    }

    /// Is there an upstream for the model, in any dialect?
    pub fn serves(&self, model: &str) -> bool {
        self.upstreams.iter().any(|upstream| claim(upstream, model).is_some())
    }

    /// The upstreams that serve the model in the dialect, in the order in which they are to be asked. A pattern that
    /// says more of the name wins over one that says less (`gpt-4o` over `gpt-*` over `*`); those that say equally much
    /// are candidates together: by priority, and within one priority shuffled by weight. The same `turn` shuffles alike.
    ///
    /// # Errors
    /// [`NoUpstream`]: a 404 for the caller.
    pub fn candidates(
        &self,
        dialect: &'static str,
        model: &str,
        turn: u64,
    ) -> Result<Vec<Chosen>, NoUpstream> {
        let named: Vec<_> = self.upstreams.iter().filter_map(|up| Some((claim(up, model)?, up))).collect();
        if named.is_empty() {
            return Err(NoUpstream::UnknownModel(model.to_owned()));
        }
        let served: Vec<_> = named.into_iter().filter(|(_, up)| up.serves.contains_key(dialect)).collect();
        let Some(best) = served.iter().map(|(claim, _)| *claim).max() else {
            return Err(NoUpstream::OtherDialect { model: model.to_owned(), dialect });
        };
        let mut best: Vec<_> =
            served.into_iter().filter(|(claim, _)| *claim == best).map(|(_, up)| up).collect();
        if best.len() > 1 {
            order(&mut best, turn);
        }
        Ok(best.into_iter().map(|upstream| chosen(upstream, dialect)).collect())
    }

    /// The models that are named literally: what a list of models can show. Patterns name no model. Aliases are models
    /// to those who ask.
    pub fn literal_models(&self) -> impl Iterator<Item = &str> {
        let served = self.upstreams.iter().flat_map(|upstream| &upstream.models);
        let served = served.filter(|pattern| pattern.is_literal()).map(Pattern::as_str);
        let aliases = self.aliases.iter().flat_map(|(alias, model)| [alias.as_str(), model.as_str()]);
        let fallbacks = self.fallbacks.values().flatten().map(String::as_str);
        served.chain(aliases).chain(fallbacks)
    }
}

fn chosen(upstream: &Arc<UpstreamSettings>, dialect: &str) -> Chosen {
    let prefix = upstream.serves.get(dialect).map(String::as_str).unwrap_or_default();
    Chosen { upstream: Arc::clone(upstream), prefix: format!("{}{prefix}", upstream.base_url.path) }
}

/// By priority, then shuffled by weight: draw after draw without putting back, so that the second choice is fair too.
fn order(upstreams: &mut [&Arc<UpstreamSettings>], turn: u64) {
    upstreams.sort_by_key(|upstream| upstream.priority);
    let mut random = turn;
    for equals in upstreams.chunk_by_mut(|a, b| a.priority == b.priority) {
        for first in 0..equals.len() {
            let rest = &mut equals[first..];
            let sum: u64 = rest.iter().map(|upstream| u64::from(upstream.weight)).sum();
            random = mixed(random);
            let mut drawn = random % sum.max(1);
            let at = rest.iter().position(|upstream| {
                let weight = u64::from(upstream.weight);
                let hit = drawn < weight;
                drawn = drawn.saturating_sub(weight);
                hit
            });
            rest.swap(0, at.unwrap_or(0));
        }
    }
}

/// The next of a sequence of well-mixed numbers (`SplitMix64`; Steele, Lea, Flood 2014).
fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// How well an upstream names a model.
fn claim(upstream: &UpstreamSettings, model: &str) -> Option<(bool, usize)> {
    upstream.models.iter().filter_map(|pattern| pattern.claim(model)).max()
}

fn lowered<T: Clone>(map: &BTreeMap<String, T>) -> BTreeMap<String, T> {
    map.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect()
}

#[cfg(test)]
pub(super) mod tests;
