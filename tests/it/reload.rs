//! A changed configuration while requests are under way: each goes by one configuration from its header to its end.

use http::StatusCode;
use toml_edit::{DocumentMut, value};

use super::harness::{Rig, Setup, Wire, eventually, signal};

/// The model that `fast` stands for before the reload, and after it.
const MODELS: [&str; 2] = ["gpt-4o", "gpt-4o-mini"];

/// The plan's limit before and after.
const MAX: [i64; 2] = [100, 77];

/// The upstream's name before and after.
const UPSTREAMS: [&str; 2] = ["before", "after"];

/// Rules, upstreams and aliases of the one time or the other.
fn as_of(time: usize, file: &mut DocumentMut) {
    file["rewrite"]["fast"] = value(MODELS[time]);
    file["plans"]["free"]["limits"].as_array_of_tables_mut().unwrap().get_mut(0).unwrap()["max"] =
        value(MAX[time]);
    for (number, upstream) in file["upstreams"].as_array_of_tables_mut().unwrap().iter_mut().enumerate() {
        upstream["name"] = value(format!("{}-{number}", UPSTREAMS[time]));
    }
}

#[tokio::test]
async fn a_request_that_is_under_way_over_a_reload_goes_by_one_configuration() {
    let rig = Rig::with(Setup::default().change(|file| as_of(0, file))).await;
    let token = rig.token("alice");
    let call = rig.chat(&token, "fast");
    let (old_id, body) = (call.id.clone(), call.body());
    let mut wire = Wire::connect(&rig.gateway().url).await;
    wire.send(format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {token}\r\n\
         x-request-id: {old_id}\r\nexpect: 100-continue\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    ))
    .await;
    // the caller is known, the body is not there yet
    assert!(wire.head().await.starts_with("HTTP/1.1 100 "));
    let mut file: DocumentMut = std::fs::read_to_string(&rig.gateway().config).unwrap().parse().unwrap();
    as_of(1, &mut file);
    std::fs::write(&rig.gateway().config, file.to_string()).unwrap();
    signal(rig.gateway().pid(), "HUP");
    let taken_over = async || rig.gateway().metric_where("tollgate_config_reloads_total", "ok").await;
    eventually("the new configuration is not taken over", async || (taken_over().await >= 1).then_some(()))
        .await;
    wire.send(&body).await;
    let old = wire.head().await;
    assert!(old.starts_with("HTTP/1.1 200 "), "{old}");
    assert!(old.to_ascii_lowercase().contains("x-ratelimit-limit-requests: 100\r\n"), "{old}");
    assert!(!wire.rest().await.is_empty());
    let call = rig.chat(&token, "fast");
    let new_id = call.id.clone();
    let new = call.send().await;
    assert_eq!((new.status, new.header("x-ratelimit-limit-requests")), (StatusCode::OK, "77"));
    let books = rig.finish().await;
    for (time, id) in [old_id, new_id].iter().enumerate() {
        let row = books.row(id);
        assert_eq!(row.model_dispatched, MODELS[time]);
        assert!(row.upstream.starts_with(UPSTREAMS[time]), "{}", row.upstream);
    }
}
