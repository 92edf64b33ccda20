//! What `/metrics` says from the start, and of the stores and the cache of tokens.

use http::StatusCode;

use super::apps::MODEL;
use super::harness::{Rig, ServerRig, Weather, eventually};

/// Calls of a store that were timed.
const CALLS: &str = "tollgate_store_duration_seconds_count";
const ERRORS: &str = "tollgate_store_errors_total";

#[tokio::test]
async fn each_call_of_a_store_is_timed_under_its_name_and_each_token_is_checked_once() {
    let rig = Rig::start().await;
    let token = rig.token("alice");
    for _ in 0..3 {
        assert_eq!(rig.chat(&token, MODEL).send().await.status, StatusCode::OK);
    }
    rig.quiet().await;
    let gateway = rig.gateway();
    let calls = async |labels: &str| gateway.metric_where(CALLS, labels).await;
    // the first reserve finds the domain cold
    assert_eq!(calls(r#"op="reserve",store="memory""#).await, 4);
    assert_eq!(calls(r#"op="rebuild",store="memory""#).await, 1);
    assert_eq!(calls(r#"op="settle",store="memory""#).await, 3);
    assert_eq!(calls(r#"op="load",store="sqlite""#).await, 1);
    assert!((1..=3).contains(&calls(r#"op="ingest",store="sqlite""#).await));
    assert_eq!(gateway.metric(ERRORS).await, 0);
    let tokens = r#"cache="tokens""#;
    assert_eq!(gateway.metric_where("tollgate_cache_misses_total", tokens).await, 1);
    assert_eq!(gateway.metric_where("tollgate_cache_hits_total", tokens).await, 2);
    // the usage API looks into the same cache
    rig.usage(&token).await;
    assert_eq!(gateway.metric_where("tollgate_cache_hits_total", tokens).await, 3);
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_away_shows_in_the_errors_and_one_that_is_back_in_the_times() {
    let rig = ServerRig::start(1).await;
    let token = rig.token("alice");
    let send = async || rig.chat(&token, MODEL).send().await.status;
    let counted = async |name: &str, labels: &str| rig.gateway().metric_where(name, labels).await;
    eventually("no call passes", async || (send().await == StatusCode::OK).then_some(())).await;
    rig.quiet().await;
    assert!(counted(CALLS, r#"store="redis""#).await > 0);
    assert!(counted(CALLS, r#"op="ingest",store="postgres""#).await > 0);
    rig.redis_proxy.set(Weather::Broken).await;
    eventually("no error is counted", async || {
        let _decided_without_redis = send().await;
        (counted(ERRORS, r#"op="reserve",store="redis""#).await > 0).then_some(())
    })
    .await;
    assert_eq!(counted(ERRORS, r#"store="postgres""#).await, 0, "the ledger is well");
    rig.redis_proxy.set(Weather::Clear).await;
    let before = counted(CALLS, r#"op="reserve",store="redis""#).await;
    eventually("Redis is not asked again", async || {
        let _put_off_at_first = send().await;
        (counted(CALLS, r#"op="reserve",store="redis""#).await > before).then_some(())
    })
    .await;
    eventually("Redis does not decide again", async || {
        let degraded = rig.metric("tollgate_degraded_admissions_total").await;
        let passed = send().await == StatusCode::OK;
        (passed && rig.metric("tollgate_degraded_admissions_total").await == degraded).then_some(())
    })
    .await;
    rig.finish().await;
}

/// What operators may build on, and the label values of each that are known before anything happens.
const SERIES: &[(&str, &str, &[&str])] = &[
    (
        "tollgate_requests_total",
        "outcome",
        &[
            "ok",
            "cancelled",
            "upstream_error",
            "refused_quota",
            "refused_rate",
            "refused_auth",
            "refused_model",
            "bad_request",
            "error",
        ],
    ),
    ("tollgate_request_duration_seconds_count", "dialect", &["openai", "anthropic", "gemini"]),
    ("tollgate_overhead_seconds_count", "", &[]),
    ("tollgate_time_to_first_byte_seconds_count", "dialect", &["openai", "anthropic", "gemini"]),
    ("tollgate_tokens_total", "direction", &["input", "output", "cached"]),
    ("tollgate_cost_usd_total", "", &[]),
    ("tollgate_in_flight_requests", "", &[]),
    ("tollgate_holds_open", "", &[]),
    ("tollgate_holds_expired_total", "", &[]),
    ("tollgate_ledger_lag_seconds", "", &[]),
    ("tollgate_journal_pending_events", "", &[]),
    ("tollgate_ledger_rows_total", "", &[]),
    ("tollgate_counter_drift_total", "", &[]),
    ("tollgate_degraded_admissions_total", "", &[]),
    ("tollgate_store_duration_seconds_count", "store", &["memory", "sqlite"]),
    ("tollgate_store_errors_total", "store", &["memory", "sqlite"]),
    ("tollgate_cache_hits_total", "cache", &["tokens"]),
    ("tollgate_cache_misses_total", "cache", &["tokens"]),
    ("tollgate_active_users", "window", &["day", "week", "month"]),
    ("tollgate_config_reloads_total", "result", &["ok", "refused"]),
    ("tollgate_build_info", "version", &[env!("CARGO_PKG_VERSION")]),
    // counted by the gate and by the writer
    ("tollgate_late_settles_total", "", &[]),
    ("tollgate_abandoned_settles_total", "", &[]),
    ("tollgate_journal_unrecorded_ends_total", "", &[]),
    ("tollgate_counter_rebuilds_total", "", &[]),
    ("tollgate_ledger_duplicates_total", "", &[]),
    ("tollgate_ledger_quarantined_total", "", &[]),
    ("tollgate_ledger_replays_total", "", &[]),
    ("tollgate_upstream_failovers_total", "reason", &["connect", "busy", "status", "timeout", "broken"]),
];

#[tokio::test]
async fn a_fresh_gateway_shows_every_series_before_anything_happens() {
    let rig = Rig::start().await;
    let page = rig.http.get(format!("{}/metrics", rig.gateway().admin_url)).send().await.unwrap();
    let page = page.text().await.unwrap();
    let samples: Vec<&str> = page.lines().filter_map(|line| Some(line.rsplit_once(' ')?.0)).collect();
    for (name, label, values) in SERIES {
        let of_name = || samples.iter().filter(|sample| sample.split('{').next() == Some(name));
        assert!(of_name().next().is_some(), "`{name}` is not there:\n{page}");
        for value in *values {
            let wanted = format!("{label}=\"{value}\"");
            assert!(of_name().any(|sample| sample.contains(&wanted)), "`{name}` lacks {wanted}:\n{page}");
        }
    }
    rig.finish().await;
}
