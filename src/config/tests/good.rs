//! What a sound configuration becomes.

use std::path::PathBuf;

use super::super::{ServerSettings, StorageSettings, parse};
use super::{JWT_SECRET, SOUND, changed, env, settings};
use crate::auth::{Algorithm, ClaimPaths, IssuerSettings, JwksUrl, KeySource, Secret};
use crate::quota::{Calendar, MAX_AMOUNT, Meter, OnOutage, Plan, Rate, Scope, Window};
use crate::upstream::BaseUrl;

/// The least that a gateway can run with.
const SMALLEST: &str = r#"
quota = { default_plan = "a", anonymous_plan = "a" }
plans.a.models = ["*"]
upstreams = [{ name = "u", base_url = "http://localhost:11434", models = ["*"], serves = { openai = "/v1" } }]
"#;

#[test]
fn server_and_storage_are_read() {
    let settings = settings(SOUND);
    assert_eq!(
        settings.server,
        ServerSettings {
            listen: "0.0.0.0:8080".parse().unwrap(),
            admin_listen: "127.0.0.1:9090".parse().unwrap(),
            max_body_bytes: 32 << 20,
            trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
            cors_origins: Vec::new(),
        }
    );
    assert_eq!(
        settings.storage,
        StorageSettings {
            data_dir: PathBuf::from("data"),
            database_url: Some("postgresql://db/tollgate".to_owned()),
            database_replica_url: Some("postgres://replica/tollgate".to_owned()),
            redis_url: Some("redis-cluster://one:6379?node=two:6379".to_owned()),
            redis_password: Some("hunter2-hunter2".to_owned()),
            redis_ca: Vec::new(),
            migrate: false,
        }
    );
}

#[test]
fn quota_is_read() {
    let quota = settings(SOUND).quota;
    assert_eq!(quota.policy.zone.name(), "Europe/Berlin");
    assert_eq!(&*quota.policy.default_plan, "free");
    assert_eq!(quota.policy.anonymous_plan.as_deref(), Some("guest"));
    assert_eq!(quota.anonymous_keys, ["anonymous"]);
    assert_eq!(quota.on_outage, OnOutage::Deny);
    assert_eq!(quota.lease_ms, 20 * 60_000);
    assert_eq!(quota.policy.premium_group, "premium");
    assert_eq!(quota.policy.groups_of("Claude-3-opus"), ["premium".into()]);
    assert_eq!(quota.policy.plans.keys().map(|name| &**name).collect::<Vec<_>>(), ["free", "guest", "team"]);
}

/// A plan's limits as one line each.
fn lines(plan: &Plan) -> Vec<String> {
    let line = |limit: &std::sync::Arc<crate::quota::Limit>| {
        let models = limit.models.as_ref().map_or("all".to_owned(), |set| set.written.join("+"));
        let per = limit.window.per().unwrap_or("open");
        format!(
            "{} {} {} {} {} {per}",
            limit.name,
            limit.meter.as_str(),
            models,
            limit.scope.as_str(),
            limit.max
        )
    };
    plan.limits.iter().map(line).collect()
}

#[test]
fn a_plan_takes_over_models_and_limits() {
    let policy = settings(SOUND).quota.policy;
    let team = &policy.plans["team"];
    assert_eq!(team.models.written, ["*"]);
    assert_eq!(
        lines(team),
        [
            "messages messages all user 100 month",
            "premium messages @premium+gpt-5 user 20 week",
            "pool messages all team 5000 year",
            "parallel in_flight all user 4 open",
        ]
    );
    let premium = &policy.plans["free"].limits[1];
    assert!(premium.covers("o3-mini") && premium.covers("gpt-5") && !premium.covers("gpt-5-mini"));
}

#[test]
fn a_limit_of_the_same_name_replaces_in_its_place() {
    let text = changed(r#"name = "pool""#, r#"name = "messages""#)
        + "[plans.lead]\nextends = \"team\"\nmodels = [\"gpt-*\"]\n\
           [[plans.lead.limits]]\nname = \"premium\"\nmeter = \"messages\"\nmax = 0\nper = \"day\"\n";
    let policy = settings(&text).quota.policy;
    let lead = &policy.plans["lead"];
    assert_eq!(lead.models.written, ["gpt-*"], "models of its own count, whatever the plans before it say");
    assert_eq!(
        lines(lead),
        [
            "messages messages all team 5000 year",
            "premium messages all user 0 day",
            "parallel in_flight all user 4 open",
        ]
    );
}

#[test]
fn every_word_has_its_meaning() {
    let windows = [
        ("second", Window::Rate(Rate::Second)),
        ("minute", Window::Rate(Rate::Minute)),
        ("hour", Window::Calendar(Calendar::Hour)),
        ("day", Window::Calendar(Calendar::Day)),
        ("week", Window::Calendar(Calendar::Week)),
        ("month", Window::Calendar(Calendar::Month)),
        ("year", Window::Calendar(Calendar::Year)),
    ];
    for (word, window) in windows {
        let policy = settings(&changed(r#"per = "year""#, &format!("per = {word:?}"))).quota.policy;
        let pool = policy.plans["team"].limits.iter().find(|limit| &*limit.name == "pool").unwrap();
        assert_eq!((pool.window, pool.meter, pool.scope), (window, Meter::Messages, Scope::Team));
        assert_eq!(pool.window.per(), Some(word));
    }
    let outages = [("ledger", OnOutage::Ledger), ("deny", OnOutage::Deny), ("allow", OnOutage::Allow)];
    for (word, outage) in outages {
        let text = changed(r#"on_outage = "deny""#, &format!("on_outage = {word:?}"));
        assert_eq!(settings(&text).quota.on_outage, outage);
    }
}

#[test]
fn issuers_are_read() {
    let issuers = settings(SOUND).issuers;
    let chat = IssuerSettings {
        claims: ClaimPaths { user: "id".into(), plan: "app.plan".into(), ..ClaimPaths::default() },
        ..IssuerSettings::new("chat", vec![Algorithm::Hs256], KeySource::Secret(Secret::new(JWT_SECRET)))
    };
    let keys = JwksUrl { refresh_s: 300, ..JwksUrl::new("https://id.example/keys") };
    let oidc = IssuerSettings {
        issuer: Some("https://id.example".into()),
        audience: Some("tollgate".into()),
        leeway_s: 60,
        max_lifetime_s: Some(3_600),
        token_type: Some("at+jwt".into()),
        header: Some("x-user-token".into()),
        ..IssuerSettings::new("oidc", vec![Algorithm::Rs256, Algorithm::EdDsa], KeySource::JwksUrl(keys))
    };
    assert_eq!(issuers, [chat, oidc]);
}

#[test]
fn upstreams_are_read() {
    let upstreams = settings(SOUND).upstreams;
    let [openai, claude] = upstreams.as_slice() else { panic!("two upstreams, not {}", upstreams.len()) };
    assert_eq!((openai.name.as_str(), openai.api_key.as_deref()), ("openai", None));
    assert_eq!(
        openai.base_url,
        BaseUrl { tls: true, host: "api.example".into(), port: 443, path: String::new() }
    );
    assert_eq!(
        (openai.connect_timeout_ms, openai.first_byte_timeout_ms, openai.idle_timeout_ms),
        (5_000, 300_000, 120_000)
    );
    assert_eq!(claude.api_key.as_deref(), Some("sk-claude"));
    assert_eq!(claude.base_url, BaseUrl { tls: false, host: "::1".into(), port: 8000, path: "/base".into() });
    assert_eq!(
        claude.serves,
        [("anthropic".to_owned(), "/v1".to_owned()), ("openai".to_owned(), String::new())].into()
    );
    assert!(claude.models[0].matches("claude-3-opus"));
    assert_eq!(
        (claude.connect_timeout_ms, claude.first_byte_timeout_ms, claude.idle_timeout_ms),
        (2_000, 600_000, 30_000)
    );
}

#[test]
fn what_is_left_out_has_its_default() {
    let settings = settings(SMALLEST);
    assert_eq!(
        settings.server,
        ServerSettings {
            listen: "0.0.0.0:8080".parse().unwrap(),
            admin_listen: "127.0.0.1:9090".parse().unwrap(),
            max_body_bytes: 32 << 20,
            trusted_proxies: Vec::new(),
            cors_origins: Vec::new(),
        }
    );
    assert_eq!(settings.storage, StorageSettings::default());
    assert_eq!(settings.quota.policy.zone.name(), "UTC");
    assert_eq!(settings.quota.on_outage, OnOutage::Ledger);
    assert_eq!(settings.quota.lease_ms, 900_000);
    assert_eq!(settings.quota.anonymous_keys, Vec::<String>::new());
    assert_eq!(settings.issuers, []);
}

#[test]
fn an_empty_text_switches_a_key_off() {
    for key in ["database_url", "database_replica_url", "redis_url", "redis_password"] {
        let line = SOUND.lines().find(|line| line.starts_with(&format!("{key} ="))).unwrap();
        let settings = settings(&SOUND.replace(line, &format!("{key} = \"${{UNSET:-}}\"")).replace(
            "database_replica_url = \"postgres:",
            // without the database its replica goes too
            if key == "database_url" { "#" } else { "database_replica_url = \"postgres:" },
        ));
        let storage = settings.storage;
        let value = match key {
            "database_url" => storage.database_url,
            "database_replica_url" => storage.database_replica_url,
            "redis_url" => storage.redis_url,
            _ => storage.redis_password,
        };
        assert_eq!(value, None, "{key}");
    }
}

#[test]
fn bounds_are_included() {
    for (from, to) in [
        ("max = 5000", "max = 0"),
        ("max = 5000", "max = 9007199254740991"),
        (r#"lease = "20m""#, r#"lease = "10s""#),
        (r#"lease = "20m""#, r#"premium_group = "premium""#),
        (r#"lease = "20m""#, r#"lease = "24h""#),
        (r#"max_body = "32MiB""#, r#"max_body = "1KiB""#),
        (r#"max_body = "32MiB""#, r#"max_body = "1GiB""#),
        // a port that the system chooses is never the same twice
        (r#""127.0.0.1:9090""#, r#""127.0.0.1:0""#),
    ] {
        settings(&changed(from, to));
    }
    assert_eq!(MAX_AMOUNT, 9_007_199_254_740_991);
}

#[test]
fn debug_shows_no_secret() {
    let text = changed("${OPENAI_KEY:-}", "sk-openai").replace("://db/", "://user:pa55word@db/");
    let shown = format!("{:?}", parse(&text, "t.toml", &env).unwrap());
    for secret in [JWT_SECRET, "hunter2", "sk-openai", "sk-claude", "pa55word"] {
        assert!(!shown.contains(secret), "`{secret}` in {shown}");
    }
    assert!(shown.contains("Europe/Berlin") && shown.contains("api.example"), "{shown}");
}

#[test]
fn origins_are_read() {
    let with = |origins: &str| format!("server = {{ cors_origins = {origins} }}\n{SMALLEST}");
    let origins = |text: &str| settings(&with(text)).server.cors_origins;
    assert_eq!(origins("[]"), Vec::<String>::new());
    assert_eq!(
        origins(r#"["https://Chat.example", "http://localhost:3000"]"#),
        ["https://chat.example", "http://localhost:3000"]
    );
    let bad = crate::config::parse(&with(r#"["https://a.example/chat"]"#), "t.toml", &|_| None)
        .unwrap_err()
        .to_string();
    assert_eq!(
        bad,
        "t.toml:1: server.cors_origins[0]: found \"https://a.example/chat\", allowed: an origin, such as \"https://chat.example.org\"\n\
         hint: an origin has no path: `https://a.example`"
    );
}
