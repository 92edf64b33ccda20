//! The dashboard in a real browser (`tests/browser`), against two gateways on one Redis and PostgreSQL and against a fake of
//! the API: it prints a line a case. Its packages are fetched from npm, so a plain test run leaves it out; `scripts/test`
//! runs it.

use std::path::Path;
use std::process::{Command, Stdio};

use toml_edit::{Array, value};

use super::clients::cache;
use super::harness::{Port, SECRET, Served, ServerRig, Setup};

/// Set to 1 by who wants the suite: it needs Chromium, Node, and the network the first time.
const SWITCH: &str = "TOLLGATE_BROWSER_SUITE";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "fetches npm packages: run by `scripts/test`, or with TOLLGATE_BROWSER_SUITE=1 and --run-ignored"]
async fn people_see_in_a_real_browser_what_the_gateways_count() {
    assert_eq!(std::env::var(SWITCH).as_deref(), Ok("1"), "`{SWITCH}` is the switch of this test");
    // a chat page of another origin embeds the dashboard: its origin must be known to the gateways
    let chat = Port::free();
    let origin = format!("http://{}", chat.address());
    let setup = Setup { gateways: 2, ..Setup::default() }.change(move |file| {
        file["server"]["cors_origins"] = value(Array::from_iter([origin.as_str()]));
    });
    let rig = ServerRig::with(setup, &[]).await;
    // the check at the end asks what a user sees; the suite signs the tokens of its own users
    assert_eq!(rig.usage(&rig.token("onlooker")).await["totalMessages"], 0);
    let mut suite = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/run"));
    suite
        .arg(cache().join("browser"))
        .env("TOLLGATE_URL", &rig.gateways[0].url)
        .env("TOLLGATE_URL_2", &rig.gateways[1].url)
        .env("TOLLGATE_SECRET", SECRET)
        .env("CHAT_PORT", chat.address().port().to_string())
        .stdin(Stdio::null());
    let status = tokio::task::spawn_blocking(move || suite.status()).await.unwrap().unwrap();
    assert!(status.success(), "a case failed: its line is above");
    let books = rig.finish_where(Served::Exactly).await;
    assert!(books.messages() > 0, "the browser talked to another gateway");
}
