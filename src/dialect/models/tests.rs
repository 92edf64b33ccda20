//! Model lists in the form of each API.

use http::{HeaderMap, HeaderValue};

use super::{ModelInfo, list_form, model_list, model_one};
use crate::dialect::Dialect;

fn models() -> Vec<ModelInfo> {
    ["gpt-4o", "say \"hi\""].map(|id| ModelInfo { id: id.into(), owned_by: "openai".into() }).into()
}

#[test]
fn lists_have_the_form_of_their_api() {
    insta::assert_snapshot!(model_list(Dialect::OpenAi, &models()), @r#"{"data":[{"created":0,"id":"gpt-4o","object":"model","owned_by":"openai"},{"created":0,"id":"say \"hi\"","object":"model","owned_by":"openai"}],"object":"list"}"#);
    insta::assert_snapshot!(model_list(Dialect::Anthropic, &models()), @r#"{"data":[{"created_at":"1970-01-01T00:00:00Z","description":"Served by `openai`.","display_name":"gpt-4o","id":"gpt-4o","type":"model"},{"created_at":"1970-01-01T00:00:00Z","description":"Served by `openai`.","display_name":"say \"hi\"","id":"say \"hi\"","type":"model"}],"first_id":"gpt-4o","has_more":false,"last_id":"say \"hi\""}"#);
    insta::assert_snapshot!(model_list(Dialect::Gemini, &models()[..1]), @r#"{"models":[{"displayName":"gpt-4o","name":"models/gpt-4o","supportedGenerationMethods":["generateContent","streamGenerateContent","countTokens","embedContent","batchEmbedContents"]}]}"#);
    insta::assert_snapshot!(model_list(Dialect::Anthropic, &[]), @r#"{"data":[],"first_id":null,"has_more":false,"last_id":null}"#);
    insta::assert_snapshot!(model_one(Dialect::OpenAi, &models()[0]), @r#"{"created":0,"id":"gpt-4o","object":"model","owned_by":"openai"}"#);
}

#[test]
fn the_form_follows_path_then_headers() {
    let with = |names: &[&'static str]| {
        names
            .iter()
            .map(|name| ((*name).parse().unwrap(), HeaderValue::from_static("x")))
            .collect::<HeaderMap>()
    };
    let cases = [
        ("/v1/models", with(&[]), Dialect::OpenAi),
        ("/v1/models", with(&["anthropic-version", "x-api-key"]), Dialect::Anthropic),
        ("/v1/models", with(&["x-api-key"]), Dialect::OpenAi),
        ("/v1/models/x", with(&["x-goog-api-key"]), Dialect::Gemini),
        ("/v1beta/models", with(&["anthropic-version"]), Dialect::Gemini),
        ("/v1betas", with(&[]), Dialect::OpenAi),
    ];
    for (path, headers, form) in cases {
        assert_eq!(list_form(&headers, path), form, "{path} {headers:?}");
    }
}
