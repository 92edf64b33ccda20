//! What an administrator sees: days, shares and refusals equal what was sent, and the audit log names every reset.

use std::process::Command;

use http::StatusCode;
use serde_json::{Value, json};

use super::harness::{Dialect, Rig, eventually};

const ORDINARY_MODEL: &str = "gemini-2.0-flash";
const PREMIUM_MODEL: &str = "claude-3-opus";

async fn get(rig: &Rig, path: &str, token: &str) -> (StatusCode, Value) {
    let url = format!("{}{path}", rig.gateway().url);
    let answer = rig.http.get(url).bearer_auth(token).send().await.unwrap();
    (answer.status(), answer.json().await.unwrap())
}

async fn analytics(rig: &Rig, admin: &str) -> Value {
    let (status, body) = get(rig, "/api/analytics", admin).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    body
}

#[tokio::test]
async fn analytics_show_what_was_sent_and_what_was_refused() {
    let rig = Rig::start().await;
    let (alice, bob, admin) = (rig.token("alice"), rig.token("bob"), rig.admin_token());
    for (token, model, count) in
        [(&alice, ORDINARY_MODEL, 3), (&alice, PREMIUM_MODEL, 2), (&bob, ORDINARY_MODEL, 1)]
    {
        for _ in 0..count {
            assert_eq!(rig.chat(token, model).send().await.status, StatusCode::OK);
        }
    }
    // an anonymous caller on a model that is not for anonymous callers, twice; and a bad credential
    for _ in 0..2 {
        let refused = rig.call(Dialect::OpenAi, PREMIUM_MODEL).send().await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN);
    }
    let refused = rig.chat(&rig.expired_token("alice"), ORDINARY_MODEL).send().await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    rig.quiet().await;
    let body = eventually("the refusals are not written", async || {
        let body = analytics(&rig, &admin).await;
        (body["totals"]["refused"] == 3).then_some(body)
    })
    .await;

    let days = body["days"].as_array().unwrap();
    assert_eq!(days.len(), 7);
    let today = days.last().unwrap();
    assert_eq!(today["date"], body["until"]);
    for figures in [today, &body["totals"]] {
        let shown =
            [&figures["messages"], &figures["premiumMessages"], &figures["activeUsers"], &figures["refused"]];
        assert_eq!(shown, [&json!(6), &json!(2), &json!(2), &json!(3)]);
    }
    assert_eq!(days[0]["messages"], 0, "a quiet day is there too");
    assert_eq!(body["activeUsers"], json!({ "day": 2, "week": 2, "month": 2 }));
    for (list, period, length) in [("weeks", "week", 10), ("months", "month", 7)] {
        let last = body[list].as_array().unwrap().last().unwrap();
        assert_eq!(
            (last["activeUsers"].as_u64(), last[period].as_str().unwrap().len()),
            (Some(2), length),
            "{last}"
        );
    }
    let (status, page) = get(&rig, "/api/users?prefix=al&limit=1", &admin).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(page, json!({ "items": [{ "userId": "alice", "lastDay": body["until"] }], "next": null }));
    let (_, page) = get(&rig, "/api/users?limit=1", &admin).await;
    assert_eq!((&page["items"][0]["userId"], &page["next"]), (&json!("alice"), &json!("alice")));
    let (_, page) = get(&rig, "/api/users?limit=1&cursor=alice", &admin).await;
    assert_eq!((&page["items"][0]["userId"], &page["next"]), (&json!("bob"), &Value::Null));
    let share = |list: &str, name: &str| -> Vec<(String, u64)> {
        let items = body[list].as_array().unwrap().iter();
        items
            .map(|item| (item[name].as_str().unwrap().to_owned(), item["messages"].as_u64().unwrap()))
            .collect()
    };
    let named = |name: &str, messages| (name.to_owned(), messages);
    assert_eq!(share("byModel", "model"), [named(ORDINARY_MODEL, 4), named(PREMIUM_MODEL, 2)]);
    assert_eq!(share("byPlan", "plan"), [named("free", 6)]);
    assert_eq!(share("topUsers", "userId"), [named("alice", 5), named("bob", 1)]);
    let reasons =
        json!([{ "reason": "refused_model", "refused": 2 }, { "reason": "refused_auth", "refused": 1 }]);
    assert_eq!(body["refusedByReason"], reasons);
    let tokens: u64 = ["inputTokens", "outputTokens"].iter().map(|name| today[name].as_u64().unwrap()).sum();
    assert!(tokens > 0, "{today}");
    rig.finish().await;
}

#[tokio::test]
async fn analytics_show_how_calls_ended_and_how_long_they_took() {
    let rig = Rig::start().await;
    let (alice, admin) = (rig.token("alice"), rig.admin_token());
    for delay_ms in [0, 0, 400] {
        let call = rig.chat(&alice, ORDINARY_MODEL).header("x-stub-delay-ms", delay_ms);
        assert_eq!(call.send().await.status, StatusCode::OK);
    }
    let failed = rig.chat(&alice, PREMIUM_MODEL).header("x-stub-status", 500).send().await;
    assert_eq!(failed.status, StatusCode::INTERNAL_SERVER_ERROR);
    let torn = rig.chat(&alice, ORDINARY_MODEL).stream().header("x-stub-cut-after", 2);
    assert!(torn.try_send().await.is_err(), "a torn answer must not end cleanly");
    rig.quiet().await;
    let body = analytics(&rig, &admin).await;
    let today = body["days"].as_array().unwrap().last().unwrap();
    for figures in [today, &body["totals"]] {
        let shown = [&figures["calls"], &figures["errors"], &figures["messages"]];
        assert_eq!(shown, [&json!(5), &json!(2), &json!(4)]);
        let ms = |name: &str| figures[name].as_u64().unwrap();
        assert!(ms("p95Ms") >= 400 && ms("firstByteP95Ms") >= 400, "the slowest of three: {figures}");
        assert!(ms("p50Ms") <= ms("p95Ms") && ms("firstByteP50Ms") <= ms("firstByteP95Ms"), "{figures}");
    }
    let quiet = &body["days"][0];
    assert_eq!([&quiet["calls"], &quiet["errors"], &quiet["p95Ms"]], [&json!(0), &json!(0), &Value::Null]);
    let outcomes = json!([
        { "outcome": "ok", "calls": 3 },
        { "outcome": "truncated", "calls": 1 },
        { "outcome": "upstream_error", "calls": 1 },
    ]);
    assert_eq!(body["byOutcome"], outcomes);
    let models = body["byModel"].as_array().unwrap().iter();
    let models: Vec<_> = models
        .map(|of| (of["model"].as_str().unwrap(), [&of["messages"], &of["calls"], &of["errors"]]))
        .collect();
    // a model that only fails is shown as well
    let (ordinary, premium) = ([&json!(4), &json!(4), &json!(1)], [&json!(0), &json!(1), &json!(1)]);
    assert_eq!(models, [(ORDINARY_MODEL, ordinary), (PREMIUM_MODEL, premium)]);
    rig.finish().await;
}

#[tokio::test]
async fn analytics_and_the_audit_log_are_for_administrators() {
    let rig = Rig::start().await;
    let (alice, admin) = (rig.token("alice"), rig.admin_token());
    for path in ["/api/analytics", "/api/audit", "/api/users"] {
        assert_eq!(get(&rig, path, &alice).await.0, StatusCode::FORBIDDEN);
        let url = format!("{}{path}", rig.gateway().url);
        assert_eq!(rig.http.get(url).send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    }
    for bad in [
        "analytics?days=0",
        "analytics?days=401",
        "analytics?until=yesterday",
        "audit?since=now",
        "audit?cursor=x",
        "audit?limit=0",
        "users?limit=501",
    ] {
        let (status, body) = get(&rig, &format!("/api/{bad}"), &admin).await;
        assert_eq!(
            (status, &body["error"]["code"]),
            (StatusCode::BAD_REQUEST, &json!("invalid_request")),
            "{bad}"
        );
    }
    let (_, year) = get(&rig, "/api/analytics?days=400&until=2026-03-01", &admin).await;
    assert_eq!((year["days"].as_array().unwrap().len(), &year["until"]), (400, &json!("2026-03-01")));
    rig.finish().await;
}

#[tokio::test]
async fn the_audit_log_tells_who_reset_whom_and_why_page_by_page() {
    let rig = Rig::start().await;
    let admin = rig.admin_token();
    for reason in ["first", "second", "third"] {
        let url = format!("{}/api/usage?userId=alice", rig.gateway().url);
        let reset = rig.http.delete(url).bearer_auth(&admin).json(&json!({ "reason": reason })).send().await;
        assert_eq!(reset.unwrap().status(), StatusCode::OK);
    }
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let (status, page) =
            get(&rig, &format!("/api/audit?limit=2&actor=root&action=usage.reset{cursor}"), &admin).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        for item in page["items"].as_array().unwrap() {
            assert_eq!((&item["actor"], &item["subject"]), (&json!("root"), &json!("alice")));
            seen.push(item["reason"].as_str().unwrap().to_owned());
        }
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, ["third", "second", "first"]);
    let (_, none) = get(&rig, "/api/audit?actor=nobody", &admin).await;
    assert_eq!(none, json!({ "items": [], "next": null }));
    let reset_ben = format!("{}/api/usage?userId=ben", rig.gateway().url);
    let reset =
        rig.http.delete(reset_ben).bearer_auth(&admin).json(&json!({ "reason": "fourth" })).send().await;
    assert_eq!(reset.unwrap().status(), StatusCode::OK);
    for (subject, wanted) in [("alice", 3), ("ben", 1), ("al", 0)] {
        let (_, page) = get(&rig, &format!("/api/audit?subject={subject}"), &admin).await;
        let items = page["items"].as_array().unwrap();
        assert!(items.iter().all(|item| item["subject"] == subject), "{page}");
        assert_eq!(items.len(), wanted, "{page}");
    }
    let (_, older) = get(&rig, "/api/audit?subject=alice&limit=1&cursor=3", &admin).await;
    assert_eq!((&older["items"][0]["reason"], &older["next"]), (&json!("second"), &json!("2")));
    let (_, future) = get(&rig, "/api/audit?since=2100-01-01T00:00:00Z", &admin).await;
    assert_eq!(future["items"], json!([]));
    rig.finish().await;
}

#[tokio::test]
async fn the_command_prints_a_table_or_the_apis_json() {
    let rig = Rig::start().await;
    let alice = rig.token("alice");
    assert_eq!(rig.chat(&alice, PREMIUM_MODEL).send().await.status, StatusCode::OK);
    rig.quiet().await;
    let run = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
        command.arg("analytics").arg("-c").arg(&rig.gateway().config).args(more).env_clear();
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let shown: Value = serde_json::from_str(&run(&["--days", "3", "--json"])).unwrap();
    assert_eq!((shown["days"].as_array().unwrap().len(), &shown["totals"]["messages"]), (3, &json!(1)));
    let table = run(&[]);
    let total = table.lines().find(|line| line.starts_with("total")).unwrap();
    assert_eq!(total.split_whitespace().take(4).collect::<Vec<_>>(), ["total", "1", "1", "100"], "{table}");
    assert!(table.contains(&format!("by model: {PREMIUM_MODEL} 1\n")), "{table}");
    assert!(table.contains("active users: 1 on the last day"), "{table}");
    assert!(table.contains("outcomes: ok 1\n"), "{table}");
    let columns: Vec<_> = total.split_whitespace().collect();
    let ms = |column: usize| columns[column].parse::<u64>().unwrap();
    assert_eq!((columns[7], columns.len()), ("0", 13), "errors: {table}");
    assert!(ms(8) <= ms(9), "{table}");
    rig.finish().await;
}
