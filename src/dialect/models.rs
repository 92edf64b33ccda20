//! The lists of models in each API's form, as the gateway answers them itself.
//! It does not know who may use what: the caller passes the models in the order to show.

use http::HeaderMap;
use serde_json::{Value, json};

use super::Dialect;

#[cfg(test)]
mod tests;

/// One model as lists show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelInfo {
    /// The name that callers put into requests.
    pub id: String,
    /// Who serves it: the upstream's name.
    pub owned_by: String,
}

/// The form that a model list is asked for in: by the path, else by the headers that each SDK sends.
pub fn list_form(headers: &HeaderMap, path: &str) -> Dialect {
    if path == "/v1beta" || path.starts_with("/v1beta/") {
        Dialect::Gemini
    } else if headers.contains_key("anthropic-version") {
        Dialect::Anthropic
    } else if headers.contains_key("x-goog-api-key") {
        Dialect::Gemini
    } else {
        Dialect::OpenAi
    }
}

/// The body of `GET …/models`: one page with all models.
pub fn model_list(form: Dialect, models: &[ModelInfo]) -> String {
    let items: Vec<Value> = models.iter().map(|model| item(form, model)).collect();
    match form {
        Dialect::OpenAi => json!({"object": "list", "data": items}),
        Dialect::Anthropic => json!({
            "data": items,
            "has_more": false,
            "first_id": models.first().map(|model| &model.id),
            "last_id": models.last().map(|model| &model.id),
        }),
        Dialect::Gemini => json!({"models": items}),
    }
    .to_string()
}

/// The body of `GET …/models/{id}`.
pub fn model_one(form: Dialect, model: &ModelInfo) -> String {
    item(form, model).to_string()
}

fn item(form: Dialect, model: &ModelInfo) -> Value {
    let ModelInfo { id, owned_by } = model;
    match form {
        // when a model was made is not known here; the SDKs want the fields
        Dialect::OpenAi => json!({"id": id, "object": "model", "created": 0, "owned_by": owned_by}),
        Dialect::Anthropic => json!({
            "type": "model", "id": id, "display_name": id, "description": format!("Served by `{owned_by}`."), "created_at": "1970-01-01T00:00:00Z",
        }),
        Dialect::Gemini => json!({
            "name": format!("models/{id}"),
            "displayName": id,
            "supportedGenerationMethods":
                ["generateContent", "streamGenerateContent", "countTokens", "embedContent", "batchEmbedContents"],
        }),
    }
}
