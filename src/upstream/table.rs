//! From (dialect, model) to the upstream that serves it.

use std::sync::Arc;

use super::UpstreamSettings;
use crate::quota::Pattern;

/// All upstreams. Swapped whole on reload.
#[derive(Clone, Debug, Default)]
pub struct UpstreamTable {
    upstreams: Vec<Arc<UpstreamSettings>>,
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
    /// Two upstreams name it equally well.
    #[error("the model `{0}` is claimed by more than one upstream of this gateway")]
    Ambiguous(String),
}

impl UpstreamTable {
    /// A table of these.
    pub fn new(upstreams: Vec<UpstreamSettings>) -> Self {
        Self { upstreams: upstreams.into_iter().map(Arc::new).collect() }
    }

    /// All upstreams, in the order of the configuration.
    pub fn all(&self) -> &[Arc<UpstreamSettings>] {
        &self.upstreams
    }

    /// The one upstream that serves the model in the dialect. A pattern that says more of the name wins over one that
    /// says less: `gpt-4o` over `gpt-*` over `*`.
    ///
    /// # Errors
    /// [`NoUpstream`]: a 404 for the caller.
    pub fn choose(&self, dialect: &'static str, model: &str) -> Result<Chosen, NoUpstream> {
        let named: Vec<_> = self.upstreams.iter().filter_map(|up| Some((claim(up, model)?, up))).collect();
        if named.is_empty() {
            return Err(NoUpstream::UnknownModel(model.to_owned()));
        }
        let served: Vec<_> = named.into_iter().filter(|(_, up)| up.serves.contains_key(dialect)).collect();
        let best = served.iter().map(|(claim, _)| *claim).max();
        let mut winners = served.iter().filter(|(claim, _)| Some(*claim) == best).map(|(_, up)| *up);
        let Some(upstream) = winners.next() else {
            return Err(NoUpstream::OtherDialect { model: model.to_owned(), dialect });
        };
        if winners.next().is_some() {
            return Err(NoUpstream::Ambiguous(model.to_owned()));
        }
        let prefix = upstream.serves.get(dialect).map(String::as_str).unwrap_or_default();
        Ok(Chosen { upstream: Arc::clone(upstream), prefix: format!("{}{prefix}", upstream.base_url.path) })
    }

    /// The models that are named literally: what a list of models can show. Patterns name no model.
    pub fn literal_models(&self) -> impl Iterator<Item = (&str, &str)> {
        self.upstreams.iter().flat_map(|upstream| {
            let literal = upstream.models.iter().filter(|pattern| pattern.is_literal());
            literal.map(|pattern| (pattern.as_str(), upstream.name.as_str()))
        })
    }
}

/// How well an upstream names a model: literal names win, then the length of the fixed text.
fn claim(upstream: &UpstreamSettings, model: &str) -> Option<(bool, usize)> {
    let matching = upstream.models.iter().filter(|pattern| pattern.matches(model));
    matching.map(|pattern: &Pattern| (pattern.is_literal(), pattern.as_str().len())).max()
}

#[cfg(test)]
mod tests;
