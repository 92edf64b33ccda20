//! Routing by table.

use std::collections::BTreeMap;

use super::*;
use crate::upstream::BaseUrl;

fn upstream(name: &str, models: &[&str], serves: &[(&str, &str)]) -> UpstreamSettings {
    UpstreamSettings {
        name: name.to_owned(),
        base_url: BaseUrl { tls: true, host: "example.org".to_owned(), port: 443, path: "/base".to_owned() },
        api_key: None,
        models: models.iter().map(|text| Pattern::new(text)).collect(),
        serves: serves.iter().map(|(d, p)| ((*d).to_owned(), (*p).to_owned())).collect::<BTreeMap<_, _>>(),
        connect_timeout_ms: 1,
        first_byte_timeout_ms: 1,
        idle_timeout_ms: 1,
    }
}

#[test]
fn the_most_exact_pattern_wins() {
    let table = UpstreamTable::new(vec![
        upstream("all", &["*"], &[("openai", "/v1")]),
        upstream("gpt", &["gpt-*"], &[("openai", "/v1")]),
        upstream("mine", &["gpt-4o"], &[("openai", "/x")]),
        upstream("gemini", &["gemini-*"], &[("gemini", "/v1beta"), ("openai", "/v1beta/openai")]),
    ]);
    let name = |dialect, model: &str| {
        table.choose(dialect, model).map(|chosen| (chosen.upstream.name.clone(), chosen.prefix))
    };
    assert_eq!(name("openai", "gpt-4o"), Ok(("mine".into(), "/base/x".into())));
    assert_eq!(name("openai", "gpt-5"), Ok(("gpt".into(), "/base/v1".into())));
    assert_eq!(name("openai", "other"), Ok(("all".into(), "/base/v1".into())));
    assert_eq!(name("openai", "gemini-2.0-flash"), Ok(("gemini".into(), "/base/v1beta/openai".into())));
    assert_eq!(name("gemini", "gemini-2.0-flash"), Ok(("gemini".into(), "/base/v1beta".into())));
    assert_eq!(
        name("gemini", "gpt-4o"),
        Err(NoUpstream::OtherDialect { model: "gpt-4o".into(), dialect: "gemini" })
    );
}

#[test]
fn unknown_and_ambiguous_models_are_refused() {
    let table = UpstreamTable::new(vec![
        upstream("a", &["llama-*"], &[("openai", "/v1")]),
        upstream("b", &["llama-*"], &[("openai", "/v1")]),
    ]);
    assert_eq!(table.choose("openai", "gpt-4").unwrap_err(), NoUpstream::UnknownModel("gpt-4".into()));
    assert_eq!(table.choose("openai", "llama-3").unwrap_err(), NoUpstream::Ambiguous("llama-3".into()));
}
