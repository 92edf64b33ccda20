//! The real client SDKs of `tests/clients`, against a gateway of this harness: they print a line a case. They are
//! fetched from their registries, so a plain test run leaves them out; `scripts/test` runs them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use toml_edit::{Array, value};

use super::harness::{Port, Rig, SECRET, Served, Setup};

/// Set to 1 by who wants the suite: it needs the network the first time.
const SWITCH: &str = "TOLLGATE_CLIENT_SUITE";

/// Runs the cases whose name contains this text, and no other.
const ONLY: &str = "TOLLGATE_CLIENT_ONLY";

/// 32 bytes; the suite's receiver checks with it.
const WEBHOOK_SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "fetches SDKs: run by `scripts/test`, or with TOLLGATE_CLIENT_SUITE=1 and --run-ignored"]
async fn real_client_sdks_call_stream_and_are_refused_as_they_should() {
    assert_eq!(std::env::var(SWITCH).as_deref(), Ok("1"), "`{SWITCH}` is the switch of this test");
    let brisk = Setup::default().plan("brisk", 30).change(|file| {
        let limits = file["plans"]["brisk"]["limits"].as_array_of_tables_mut().unwrap();
        limits.get_mut(0).unwrap()["per"] = value("minute");
    });
    let receiver = Port::free();
    let url = format!("http://127.0.0.1:{}/alerts", receiver.address().port());
    let brisk = brisk.plan("alerting", 5).change(move |file| {
        let limits = file["plans"]["alerting"]["limits"].as_array_of_tables_mut().unwrap();
        limits.get_mut(0).unwrap()["alert"] = value(Array::from_iter([0.8, 1.0]));
        let webhook = format!(
            "[[webhooks]]\nname = \"suite\"\nurl = \"{url}\"\nsecret = \"{WEBHOOK_SECRET}\"\nallow_private = true\n"
        );
        *file = format!("{file}\n{webhook}").parse().unwrap();
    });
    let rig = Rig::with(brisk).await;
    let mut suite = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/run"));
    suite
        .arg(cache().join("clients"))
        .env("TOLLGATE_URL", &rig.gateway().url)
        .env("TOLLGATE_ADMIN", &rig.gateway().admin_url)
        .env("STUB_URL", format!("http://{}", rig.stub.address))
        .env("TOLLGATE_SECRET", SECRET)
        .env("WEBHOOK_PORT", receiver.address().port().to_string())
        .env("WEBHOOK_SECRET", WEBHOOK_SECRET)
        .stdin(Stdio::null());
    if let Ok(only) = std::env::var(ONLY) {
        suite.args(["--only", &only]);
    }
    let status = tokio::task::spawn_blocking(move || suite.status()).await.unwrap().unwrap();
    assert!(status.success(), "a client failed: its line is above");
    // SDKs that abort may leave before the answer's first byte has come to the gateway
    let books = rig.finish_where(Served::OrMore).await;
    assert!(books.messages() > 0, "the clients talked to another gateway");
}

/// Where downloads are kept between runs.
pub fn cache() -> PathBuf {
    std::env::var_os("TOLLGATE_CACHE").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").expect("`HOME` is not set")).join(".cache/tollgate"),
        PathBuf::from,
    )
}
