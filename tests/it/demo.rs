//! `tollgate demo`: what it prints works as it stands there, and nothing of it stays behind.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use http::StatusCode;
use serde_json::Value;

use super::harness::{Folder, eventually, http_client, signal};

/// What follows `name` on the line that begins with it.
fn after<'a>(said: &'a [String], name: &str) -> &'a str {
    let found = said.iter().find_map(|line| line.strip_prefix(name));
    found.unwrap_or_else(|| panic!("no line begins with `{name}`: {said:#?}"))
}

#[tokio::test]
async fn the_demo_names_its_pages_and_tokens_that_work_and_leaves_nothing() {
    let folder = Folder::new();
    let mut demo = Command::new(env!("CARGO_BIN_EXE_tollgate"))
        .args(["demo", "--port", "0", "--admin-port", "0"])
        .env_clear()
        .env("TMPDIR", folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(demo.stdout.take().unwrap()).lines().map(Result::unwrap);
    let said: Vec<String> = lines.take_while(|line| !line.starts_with("Ctrl-C")).collect();

    let http = http_client();
    for (name, text) in [("dashboard: ", "dashboard.js"), ("administrators: ", "admin.js")] {
        let url = after(&said, name);
        let page = eventually("the demo does not answer", async || http.get(url).send().await.ok()).await;
        assert_eq!(page.status(), StatusCode::OK, "{url}");
        assert!(page.text().await.unwrap().contains(text), "{url}");
    }
    let usage = after(&said, "dashboard: ").replace("/dashboard", "/api/usage");
    for (name, user, plan) in [("FREE", "alice", "free"), ("PRO", "bob", "pro"), ("ADMIN", "root", "free")] {
        let token = after(&said, &format!("export {name}="));
        let answer = http.get(&usage).bearer_auth(token).send().await.unwrap();
        let body: Value = answer.json().await.unwrap();
        assert_eq!((&body["userId"], &body["plan"]), (&user.into(), &plan.into()), "{body}");
    }

    signal(demo.id(), "TERM");
    let status = eventually("the demo does not end", async || demo.try_wait().unwrap()).await;
    assert!(status.success(), "{status}");
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 0, "files stay in the temporary folder");
}
