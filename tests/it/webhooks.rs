//! Alerts, end to end: a limit with thresholds, a receiver, and what it gets from a real gateway.

use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use http::StatusCode;
use serde_json::Value;
use sha2::Sha256;
use toml_edit::DocumentMut;

use super::harness::{ChaosProxy, Rig, Setup, Tape, Weather, eventually, json_reply};

const MODEL: &str = "gpt-4o-mini";
/// Of the plan `free` in these tests: 80 % are 4.
const MAX: u64 = 5;
/// 32 bytes.
const WEBHOOK_SECRET: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

fn alerting(url: &str, allow_private: bool) -> Setup {
    let more = format!(
        "[[webhooks]]\nname = \"ops\"\nurl = \"{url}\"\nsecret = \"whsec_{WEBHOOK_SECRET}\"\nallow_private = {allow_private}\n"
    );
    Setup::default().change(move |file: &mut DocumentMut| {
        let limits = file["plans"]["free"]["limits"].as_array_of_tables_mut().unwrap();
        let limit = limits.get_mut(0).unwrap();
        limit["max"] = toml_edit::value(i64::try_from(MAX).unwrap());
        limit["alert"] = toml_edit::value(toml_edit::Array::from_iter([0.8, 1.0]));
        *file = format!("{file}\n{more}").parse().unwrap();
    })
}

fn header<'a>(request: &'a str, name: &str) -> &'a str {
    let lines = request.split("\r\n\r\n").next().unwrap().lines();
    let value =
        lines.filter_map(|line| line.split_once(": ")).find(|(key, _)| key.eq_ignore_ascii_case(name));
    value.unwrap_or_else(|| panic!("no `{name}` in {request}")).1
}

/// The body of a message whose signature is right.
fn verified(request: &str) -> Value {
    let body = request.split_once("\r\n\r\n").unwrap().1;
    let (id, at) = (header(request, "webhook-id"), header(request, "webhook-timestamp"));
    let mut mac = Hmac::<Sha256>::new_from_slice(&STANDARD.decode(WEBHOOK_SECRET).unwrap()).unwrap();
    mac.update(format!("{id}.{at}.{body}").as_bytes());
    let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    assert_eq!(header(request, "webhook-signature"), expected);
    serde_json::from_str(body).unwrap()
}

#[tokio::test]
async fn each_threshold_is_told_once_and_signed() {
    let receiver = Tape::start(json_reply("200 OK", "{}")).await;
    let rig = Rig::with(alerting(&format!("http://{}/hook", receiver.address), true)).await;
    let token = rig.token("alice");
    for number in 1..=MAX {
        assert_eq!(rig.chat(&token, MODEL).send().await.status, StatusCode::OK);
        if number < 4 {
            assert_eq!(receiver.requests().len(), 0, "told after {number} of {MAX}");
        }
    }
    assert_eq!(rig.chat(&token, MODEL).send().await.status, StatusCode::TOO_MANY_REQUESTS);
    eventually("the two thresholds are not told", async || (receiver.requests().len() >= 2).then_some(()))
        .await;
    let messages: Vec<Value> = receiver.requests().iter().map(|request| verified(request)).collect();
    let mut told: Vec<(f64, u64)> = messages
        .iter()
        .map(|message| {
            assert_eq!(message["type"], "limit.threshold_reached");
            let data = &message["data"];
            assert_eq!(
                (&data["userId"], &data["limit"], &data["max"]),
                (&"alice".into(), &"messages".into(), &MAX.into())
            );
            (data["threshold"].as_f64().unwrap(), data["used"].as_u64().unwrap())
        })
        .collect();
    told.sort_by(|one, other| one.0.total_cmp(&other.0));
    // a batch of rows that passes both thresholds tells both with its own total
    assert!(told == [(0.8, 4), (1.0, MAX)] || told == [(0.8, MAX), (1.0, MAX)], "{told:?}");
    eventually("the deliveries are not counted", async || {
        (rig.gateway().metric_where("tollgate_webhooks_total", "delivered").await == 2).then_some(())
    })
    .await;
    let books = rig.finish().await;
    assert_eq!(books.messages(), MAX);
    assert_eq!(receiver.requests().len(), 2, "told again");
}

#[tokio::test]
async fn an_address_inside_the_network_is_not_called_unless_it_is_allowed() {
    let receiver = Tape::start(json_reply("200 OK", "{}")).await;
    let url = format!("https://localhost:{}/hook", receiver.address.port());
    let rig = Rig::with(alerting(&url, false)).await;
    let token = rig.token("alice");
    for _ in 0..MAX {
        assert_eq!(rig.chat(&token, MODEL).send().await.status, StatusCode::OK);
    }
    eventually("no attempt was made", async || {
        (rig.gateway().metric("tollgate_webhooks_total").await > 0).then_some(())
    })
    .await;
    assert_eq!(receiver.requests().len(), 0);
    // the attempt is counted before its reason is written
    eventually("the list does not say why", async || {
        let list = rig.http.get(format!("{}/api/webhooks", rig.gateway().url)).bearer_auth(rig.admin_token());
        let listed: Value = list.send().await.unwrap().json().await.unwrap();
        listed.to_string().contains("private").then_some(())
    })
    .await;
    rig.finish().await;
}

/// What `tollgate webhooks` prints.
async fn webhooks(rig: &Rig, more: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.arg("webhooks").args(more).arg("-c").arg(&rig.gateway().config).env_clear();
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alert_outlives_its_gateway_and_is_sent_again_by_hand() {
    let receiver = Tape::start(json_reply("200 OK", "{}")).await;
    let way = ChaosProxy::before(receiver.address).await;
    way.set(Weather::Broken).await;
    let mut rig = Rig::with(alerting(&format!("http://{}/hook", way.address), true)).await;
    let token = rig.token("alice");
    for _ in 0..4 {
        assert_eq!(rig.chat(&token, MODEL).send().await.status, StatusCode::OK);
    }
    let listed = eventually("the alert is not noted", async || {
        let listed: Value = serde_json::from_str(&webhooks(&rig, &["--json"]).await).unwrap();
        (listed["items"][0]["attempts"] == 1).then_some(listed)
    })
    .await;
    let id = listed["items"][0]["id"].as_str().unwrap();
    rig.gateway_mut().kill();
    rig.gateway_mut().start_again().await;
    assert!(webhooks(&rig, &[]).await.contains(id), "the gateway's death lost the alert");
    assert_eq!(webhooks(&rig, &["retry", id]).await.trim(), "1 will be sent again");
    // only now: no attempt of the gateway's own comes before the command
    way.set(Weather::Clear).await;
    eventually("it is not sent again", async || (!receiver.requests().is_empty()).then_some(())).await;
    let request = receiver.requests().remove(0);
    assert_eq!(
        (header(&request, "webhook-id"), verified(&request)["data"]["threshold"].as_f64()),
        (id, Some(0.8))
    );
    eventually("it stays listed", async || {
        webhooks(&rig, &[]).await.ends_with("0 pending, 0 given up\n").then_some(())
    })
    .await;
    rig.finish().await;
}
