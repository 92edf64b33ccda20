//! `GET /v1/models`: what the caller's plan may use, from the names that the configuration spells out.

use std::collections::BTreeMap;

use crate::dialect::{Dialect, Endpoint, Kind, ModelInfo, Route, model_list, model_one};
use crate::gate::Who;
use crate::snapshot::ConfigSnapshot;
use crate::telemetry::outcome;

use super::problem::Rejection;

/// Dialects in which a model may be served.
const DIALECTS: [Dialect; 3] = [Dialect::OpenAi, Dialect::Anthropic, Dialect::Gemini];

/// The body of the answer to a model list, or to one model.
pub(super) fn models(config: &ConfigSnapshot, route: &Route, who: &Who) -> Result<String, Rejection> {
    let models = models_of(config, who);
    let Some(id) = route.model_in_path.as_deref().filter(|_| route.endpoint == Endpoint::ModelOne) else {
        return Ok(model_list(route.dialect, &models));
    };
    let known = models.into_iter().find(|model| model.id == id).or_else(|| served(config, id, who));
    let Some(model) = known else {
        let text = format!("The model `{id}` does not exist, or is not available to this plan.");
        return Err(Rejection::of(Kind::ModelNotFound, text, outcome::REFUSED_MODEL));
    };
    Ok(model_one(route.dialect, &model))
}

fn models_of(config: &ConfigSnapshot, who: &Who) -> Vec<ModelInfo> {
    let found = config.named_models().filter_map(|id| Some((id, served(config, id, who)?)));
    found.collect::<BTreeMap<_, _>>().into_values().collect()
}

fn served(config: &ConfigSnapshot, id: &str, who: &Who) -> Option<ModelInfo> {
    let table = &config.upstreams;
    let model = table.resolve(id);
    let serving = DIALECTS.iter().find_map(|dialect| table.candidates(dialect.as_str(), model, 0).ok())?;
    let first = serving.first().filter(|_| who.plan.models.contains(model))?;
    Some(ModelInfo { id: id.to_owned(), owned_by: first.upstream.name.clone() })
}
