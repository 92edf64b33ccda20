//! What the configuration takes, what it refuses, and the words it does it in.

mod apps;
mod bad;
mod bad_lists;
mod bad_plans;
mod files;
mod good;
mod parts;
mod prices;
mod routing;
mod schema;
mod shipped;
mod webhooks;
mod whole;

use super::{Settings, parse};

/// A sound configuration with one of everything; the tests of mistakes change one line each.
const SOUND: &str = r#"[server]
listen = "0.0.0.0:8080"
admin_listen = "127.0.0.1:9090"
max_body = "32MiB"
trusted_proxies = ["10.0.0.0/8"]

[storage]
data_dir = "data"
database_url = "postgresql://db/tollgate"
database_replica_url = "postgres://replica/tollgate"
redis_url = "redis-cluster://one:6379?node=two:6379"
redis_password = "hunter2-hunter2"
migrate = false

[quota]
timezone = "Europe/Berlin"
default_plan = "free"
anonymous_plan = "guest"
anonymous_keys = ["anonymous"]
on_outage = "deny"
lease = "20m"

[groups]
premium = ["claude-*", "o3*"]

[plans.free]
models = ["*"]

[[plans.free.limits]]
name = "messages"
meter = "messages"
max = 100
per = "month"

[[plans.free.limits]]
name = "premium"
meter = "messages"
models = ["@premium", "gpt-5"]
max = 20
per = "week"

[plans.team]
extends = "free"

[[plans.team.limits]]
name = "pool"
meter = "messages"
scope = "team"
max = 5000
per = "year"

[[plans.team.limits]]
name = "parallel"
meter = "in_flight"
max = 4

[plans.guest]
models = ["gemini-2.0-flash"]
limits = [{ name = "guest", meter = "messages", max = 60, per = "hour" }]

[[issuers]]
name = "chat"
algorithms = ["HS256"]
secret = "${JWT_SECRET}"
claims = { user = "id", plan = "app.plan" }

[[issuers]]
name = "oidc"
algorithms = ["RS256", "EdDSA"]
jwks_url = "https://id.example/keys"
jwks_refresh = "5m"
issuer = "https://id.example"
audience = "tollgate"
header = "x-user-token"
leeway = "1m"
max_lifetime = "1h"
token_type = "at+jwt"

[[upstreams]]
name = "openai"
base_url = "https://api.example"
api_key = "${OPENAI_KEY:-}"
models = ["gpt-*"]
serves = { openai = "/v1" }

[[upstreams]]
name = "claude"
base_url = "http://[::1]:8000/base/"
api_key = "sk-claude"
models = ["claude-*"]
serves = { anthropic = "/v1/", openai = "/" }
timeouts = { connect = "2s", first_byte = "10m", idle = "30s" }
"#;

const JWT_SECRET: &str = "0123456789abcdef0123456789abcdef";

/// The environment of the tests.
fn env(name: &str) -> Option<String> {
    match name {
        "JWT_SECRET" => Some(JWT_SECRET.to_owned()),
        "SHORT_SECRET" => Some("tooshort".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

/// The settings of a text that is sound.
fn settings(text: &str) -> Settings {
    parse(text, "t.toml", &env).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The sound configuration with one place changed.
fn changed(from: &str, to: &str) -> String {
    assert_eq!(SOUND.matches(from).count(), 1, "`{from}` must stand once in the sound configuration");
    SOUND.replace(from, to)
}

/// What is told about a text.
fn told(text: &str) -> String {
    match parse(text, "t.toml", &env) {
        Ok(_) => "nothing".to_owned(),
        Err(problems) => problems.to_string(),
    }
}

/// Each case: a text of the sound configuration, what stands in its place, what is told. The secrets of the cases all
/// begin alike; none of them may be told.
fn check(cases: &[(&str, &str, &str)]) {
    for (from, to, expected) in cases {
        let told = told(&changed(from, to));
        assert_eq!(told, *expected, "`{from}` became `{to}`");
        assert!(!told.contains("hunter2"), "a secret is told when `{from}` becomes `{to}`");
    }
}
