//! The files in `config/`: each is sound, and says what its comments promise.

use std::path::Path;

use super::super::{Settings, example, load, parse};
use super::JWT_SECRET;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config");

/// All that the shipped files ask for.
fn env(name: &str) -> Option<String> {
    let value = match name {
        "TOLLGATE_JWT_SECRET" | "OPEN_WEBUI_JWT_SECRET" => JWT_SECRET,
        "OPENAI_API_KEY" | "ANTHROPIC_API_KEY" | "GEMINI_API_KEY" => "sk-test",
        "OIDC_ISSUER" => "https://id.example",
        "OIDC_JWKS_URL" => "https://id.example/keys",
        "OIDC_AUDIENCE" => "tollgate",
        "DATABASE_URL" => "postgresql://tollgate@db.example/tollgate?sslmode=require",
        "REDIS_URL" => "rediss-cluster://redis-1.example:6379?node=redis-2.example:6379",
        _ => return None,
    };
    Some(value.to_owned())
}

fn shipped(name: &str) -> Settings {
    load(&Path::new(FOLDER).join(name), &env).unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn every_shipped_file_is_sound() {
    let files = std::fs::read_dir(FOLDER).unwrap();
    let mut files: Vec<String> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    assert_eq!(
        files,
        [
            "librechat.toml",
            "ollama.toml",
            "open-webui.toml",
            "prices.toml",
            "production.toml",
            "tollgate.toml"
        ],
        "a new file belongs into this list, and `config/` holds nothing else"
    );
    for file in files.into_iter().filter(|file| file != "prices.toml") {
        let settings = shipped(&file);
        assert!(!settings.upstreams.is_empty(), "{file}");
    }
}

#[test]
fn the_example_needs_its_secret_alone() {
    let only_secret = |name: &str| (name == "TOLLGATE_JWT_SECRET").then(|| JWT_SECRET.to_owned());
    let settings = parse(example(), "config/tollgate.toml", &only_secret).unwrap();
    assert!(settings.upstreams.iter().all(|upstream| upstream.api_key.is_none()));
    let problems = parse(example(), "config/tollgate.toml", &|_| None).unwrap_err();
    assert_eq!(
        problems.iter().map(|problem| problem.key.as_str()).collect::<Vec<_>>(),
        ["issuers[0].secret"]
    );
}

#[test]
fn the_local_one_needs_no_variable() {
    let text = std::fs::read_to_string(Path::new(FOLDER).join("ollama.toml")).unwrap();
    let settings = parse(&text, "config/ollama.toml", &|_| None).unwrap();
    assert!(settings.upstreams[0].models[0].matches("llama3.2:1b"));
    // the block that a comment tells the reader to switch on must be sound too
    let on = text.replace("# [[issuers]]", "[[issuers]]").replace("# name =", "name =");
    let on = on.replace("# algorithms =", "algorithms =").replace("# secret =", "secret =");
    assert_eq!(parse(&on, "config/ollama.toml", &env).unwrap().issuers.len(), 1);
}

#[test]
fn the_example_holds_the_quota_of_the_mission() {
    let policy = shipped("tollgate.toml").quota.policy;
    let free = &policy.plans[&policy.default_plan];
    let limits: Vec<_> = free
        .limits
        .iter()
        .map(|limit| {
            (
                &*limit.name,
                limit.max,
                limit.window.per(),
                limit.covers("claude-3-opus"),
                limit.covers("gpt-4o"),
            )
        })
        .collect();
    assert_eq!(
        limits,
        [("messages", 100, Some("month"), true, true), ("premium", 20, Some("month"), true, false)]
    );
    assert!(free.models.contains("any-model"));
    let anonymous = &policy.plans[policy.anonymous_plan.as_ref().unwrap()];
    assert!(anonymous.models.contains("gemini-2.0-flash"));
    for other in ["claude-3-opus", "gemini-2.0-flash-lite", "gemini-2.5-flash", "gpt-4o"] {
        assert!(!anonymous.models.contains(other), "{other}");
    }
}

#[test]
fn every_model_of_the_example_leads_to_one_upstream() {
    let upstreams = shipped("tollgate.toml").upstreams;
    for (model, dialect, expected) in [
        ("gpt-4o", "openai", "openai"),
        ("o3-mini", "openai", "openai"),
        ("chatgpt-4o-latest", "openai", "openai"),
        ("text-embedding-3-small", "openai", "openai"),
        ("dall-e-3", "openai", "openai"),
        ("whisper-1", "openai", "openai"),
        ("tts-1", "openai", "openai"),
        ("claude-3-opus", "anthropic", "anthropic"),
        ("claude-3-opus", "openai", "anthropic"),
        ("gemini-2.0-flash", "gemini", "gemini"),
        ("gemini-2.0-flash", "openai", "gemini"),
    ] {
        let serving: Vec<&str> = upstreams
            .iter()
            .filter(|upstream| upstream.serves.contains_key(dialect))
            .filter(|upstream| upstream.models.iter().any(|pattern| pattern.matches(model)))
            .map(|upstream| upstream.name.as_str())
            .collect();
        assert_eq!(serving, [expected], "{model} in {dialect}");
    }
}
