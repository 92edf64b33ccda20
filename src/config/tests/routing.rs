//! What upstreams say beyond their address, other names for models, and models that stand in.

use super::{SOUND, changed, settings, told};
use crate::upstream::{Check, Drain, OnDisconnect};

const SERVES: &str = r#"serves = { openai = "/v1" }"#;

/// The sound configuration with more keys for its first upstream.
fn first(keys: &str) -> String {
    changed(SERVES, &format!("{SERVES}\n{keys}"))
}

/// The sound configuration with more at its end.
fn more(text: &str) -> String {
    format!("{SOUND}\n{text}\n")
}

fn after_sound(line: usize) -> usize {
    SOUND.lines().count() + 1 + line
}

#[test]
fn the_keys_of_an_upstream_are_read_and_have_their_defaults() {
    let plain = settings(SOUND).upstreams.remove(0);
    assert_eq!((plain.weight, plain.priority, plain.max_concurrent), (1, 0, None));
    assert!(plain.ca.is_empty() && plain.check.is_none());
    let keys = "weight = 3\npriority = 2\nmax_concurrent = 7\nhealth_check = { path = \"/health\" }";
    let set = settings(&first(keys)).upstreams.remove(0);
    assert_eq!((set.weight, set.priority, set.max_concurrent), (3, 2, Some(7)));
    assert_eq!(set.check, Some(Check { path: "/health".into(), every_ms: 10_000 }));
}

#[test]
fn what_happens_when_a_client_leaves_is_read_with_its_bounds() {
    let set = |keys: &str| settings(&first(keys)).upstreams.remove(0).on_disconnect;
    assert_eq!(set(""), OnDisconnect::Stop);
    assert_eq!(set("on_disconnect = \"stop\""), OnDisconnect::Stop);
    let drain = |max_bytes, max_time_ms| OnDisconnect::Drain(Drain { max_bytes, max_time_ms });
    assert_eq!(set("on_disconnect = \"drain\""), drain(1_048_576, 30_000));
    assert_eq!(
        set("on_disconnect = \"drain\"\ndrain = { max_bytes = \"2KiB\", max_time = \"5s\" }"),
        drain(2_048, 5_000)
    );
}

#[test]
fn patterns_may_be_shared() {
    let upstreams =
        settings(&changed(r#"models = ["gpt-*"]"#, r#"models = ["gpt-*", "CLAUDE-*"]"#)).upstreams;
    assert!(
        upstreams.iter().all(|upstream| upstream.models.iter().any(|pattern| pattern.matches("claude-3")))
    );
}

#[test]
fn the_keys_of_an_upstream_have_bounds() {
    for (keys, expected) in [
        ("weight = 0", "weight: found 0, allowed: an integer, 1 to 1000"),
        ("priority = -1", "priority: found -1, allowed: an integer, 0 to 1000"),
        ("max_concurrent = 0", "max_concurrent: found 0, allowed: an integer, 1 to 1000000"),
        (
            "on_disconnect = \"drian\"",
            "on_disconnect: found \"drian\", allowed: stop, drain\nhint: did you mean `drain`?",
        ),
        (
            "drain = { max_time = \"30s\" }",
            "drain: found bounds that never apply, allowed: it beside `on_disconnect = \"drain\"`\n\
             hint: add `on_disconnect = \"drain\"`, or remove the key",
        ),
        (
            "health_check = {}",
            "health_check.path: found nothing, allowed: a path that begins with `/`, such as \"/v1\"",
        ),
        (
            "health_check = { path = \"health\" }",
            "health_check.path: found \"health\", allowed: a path that begins with `/`, such as \"/v1\"",
        ),
        (
            "health_check = { path = \"/\", every = \"1ms\" }",
            "health_check.every: found \"1ms\", allowed: a time from \"1s\" to \"1h\"",
        ),
        (
            "ca_file = \"/nowhere.pem\"",
            "ca_file: found \"/nowhere.pem\": No such file or directory (os error 2), allowed: a readable PEM file with one certificate or more",
        ),
        (
            "ca_file = \"Cargo.toml\"",
            "ca_file: found \"Cargo.toml\": no certificate in it, allowed: a readable PEM file with one certificate or more",
        ),
    ] {
        assert_eq!(told(&first(keys)), format!("t.toml:85: upstreams[0].{expected}"), "{keys}");
    }
}

#[test]
fn an_authority_is_read_and_needs_https() {
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let file = std::env::temp_dir().join(format!("tollgate-ca-{}.pem", std::process::id()));
    std::fs::write(&file, format!("{0}{0}", key.cert.pem())).unwrap();
    let line = format!("ca_file = {file:?}");
    let der = key.cert.der().to_vec();
    assert_eq!(settings(&first(&line)).upstreams[0].ca, [der.clone(), der]);
    let told = told(&changed("api_key = \"sk-claude\"", &format!("api_key = \"sk-claude\"\n{line}")));
    assert_eq!(
        told,
        "t.toml:90: upstreams[1].ca_file: found a file although `base_url` is `http://`, allowed: a file beside `https://`\n\
         hint: write `https://` in `base_url`, or remove the key"
    );
}

#[test]
fn aliases_and_fallbacks_are_read() {
    let text =
        more("[rewrite]\nfast = \"gpt-5-mini\"\n[fallback]\n\"gpt-5\" = [\"gpt-5-mini\", \"claude-3\"]");
    let text =
        text.replace(SERVES, &format!("{SERVES}\nrewrite = {{ best = \"gpt-5\", FAST = \"GPT-5-mini\" }}"));
    let routing = settings(&text).routing;
    let aliases: Vec<_> =
        routing.aliases.iter().map(|(alias, model)| (alias.as_str(), model.as_str())).collect();
    assert_eq!(aliases, [("best", "gpt-5"), ("fast", "gpt-5-mini")]);
    assert_eq!(routing.fallbacks["gpt-5"], ["gpt-5-mini", "claude-3"]);
}

#[test]
fn an_alias_must_lead_to_one_model_that_is_served() {
    let found = |line, rest: &str| format!("t.toml:{}: {rest}", after_sound(line));
    assert_eq!(
        told(&more("[rewrite]\nfast = \"llama\"\n\"a*\" = \"gpt-5\"\nb = 7")),
        [
            found(2, "rewrite.fast: found \"llama\", which no pattern of `models` names, allowed: a model that an upstream has"),
            found(3, "rewrite.\"a*\": found \"a*\", allowed: the name of one model, without `*`"),
            found(4, "rewrite.b: found an integer, allowed: a string"),
        ]
        .join("\n\n")
    );
    assert_eq!(
        told(&more("[rewrite]\nfast = \"gpt-mid\"\ngpt-mid = \"gpt-5\"")),
        found(
            2,
            "rewrite.fast: found \"gpt-mid\", which is an alias itself, allowed: the model that is meant"
        )
    );
    assert_eq!(
        told(&first("rewrite = { fast = \"claude-3\" }")),
        "t.toml:85: upstreams[0].rewrite.fast: found \"claude-3\", which no pattern of `models` names, allowed: a model that this upstream has"
    );
    let two = format!("{}\n[rewrite]\nFast = \"gpt-4\"\n", first("rewrite = { fast = \"gpt-5\" }"));
    assert_eq!(
        told(&two),
        "t.toml:85: upstreams[0].rewrite.fast: found \"gpt-5\" although `rewrite.Fast` says \"gpt-4\", allowed: one model for a name\n\
         hint: quota goes by the model, so a name must mean the same one everywhere"
    );
}

#[test]
fn a_fallback_names_other_models_that_are_served() {
    let found = |line, rest: &str| format!("t.toml:{}: fallback.{rest}", after_sound(line));
    let other = "allowed: another model that an upstream has, by its own name";
    assert_eq!(
        told(&more(
            "[fallback]\ngpt-5 = [\"GPT-5\", \"llama\", \"fast\", \"gpt-*\"]\nfast = [\"gpt-5\"]\ngpt-6 = []\ngpt-7 = [\"gpt-1\", \"gpt-2\", \"gpt-3\", \"gpt-4\"]\n[rewrite]\nfast = \"gpt-5\""
        )),
        [
            found(2, &format!("gpt-5[0]: found \"GPT-5\", {other}")),
            found(2, &format!("gpt-5[1]: found \"llama\", {other}")),
            found(2, &format!("gpt-5[2]: found \"fast\", {other}")),
            found(2, &format!("gpt-5[3]: found \"gpt-*\", {other}")),
            found(3, "fast: found \"fast\", allowed: the name of one model, without `*`\nhint: name the model, not its alias"),
            found(4, "gpt-6: found an empty list, allowed: at least one model"),
            found(5, "gpt-7: found 4 models, allowed: 1 to 3"),
        ]
        .join("\n\n")
    );
}
