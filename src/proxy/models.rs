//! `GET /v1/models`: what the caller's plan may use, from the names that the configuration spells out.

use std::collections::BTreeMap;

use super::Gateway;
use crate::dialect::{Dialect, Endpoint, Kind, ModelInfo, Problem, Route, model_list, model_one};
use crate::gate::{Denied, Who};
use crate::telemetry::outcome;

use super::problem::Refused;

/// Dialects in which a model may be served.
const DIALECTS: [Dialect; 3] = [Dialect::OpenAi, Dialect::Anthropic, Dialect::Gemini];

impl Gateway {
    /// The body of the answer to a model list, or to one model.
    pub(super) fn models(&self, route: &Route, who: &Who) -> Result<String, Refused> {
        let models = self.models_of(who);
        let Some(id) = route.model_in_path.as_deref().filter(|_| route.endpoint == Endpoint::ModelOne) else {
            return Ok(model_list(route.dialect, &models));
        };
        let known = models.into_iter().find(|model| model.id == id).or_else(|| self.served(id, who));
        let Some(model) = known else {
            let text = Denied::ModelNotAllowed(format!(
                "The model `{id}` does not exist, or is not available to this plan."
            ));
            return Err(Refused::new(
                Problem::new(Kind::ModelNotFound, text.to_string()),
                outcome::REFUSED_MODEL,
            ));
        };
        Ok(model_one(route.dialect, &model))
    }

    fn models_of(&self, who: &Who) -> Vec<ModelInfo> {
        let rules = self.gate.rules();
        let table = self.upstreams.load();
        let groups = rules.policy.groups.values().flat_map(|group| &group.patterns);
        let plans = rules.policy.plans.values().flat_map(|plan| &plan.models.patterns);
        let named = groups
            .chain(plans)
            .filter(|pattern| pattern.is_literal())
            .map(|pattern| pattern.as_str().to_owned());
        let literal = table.literal_models().map(str::to_owned);
        let found = named.chain(literal).filter_map(|id| Some((id.clone(), self.served(&id, who)?)));
        found.collect::<BTreeMap<_, _>>().into_values().collect()
    }

    fn served(&self, id: &str, who: &Who) -> Option<ModelInfo> {
        let table = self.upstreams.load();
        let model = table.resolve(id);
        let serving =
            DIALECTS.iter().find_map(|dialect| table.candidates(dialect.as_str(), model, 0).ok())?;
        let first = serving.first().filter(|_| who.plan.models.contains(model))?;
        Some(ModelInfo { id: id.to_owned(), owned_by: first.upstream.name.clone() })
    }
}
