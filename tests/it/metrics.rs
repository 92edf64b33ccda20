//! What `/metrics` says of the stores and of the cache of tokens.

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
