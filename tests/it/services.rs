//! Services with a key of their own at the usage API: what they are shown is the usage of the user whom they name, by the
//! rules that hold for calls.

use http::StatusCode;
use reqwest::RequestBuilder;

use super::apps::{MODEL, setup, used};
use super::harness::{Answer, Rig, within};

const KEY: &str = "a-service-key-for-tests-only";
const KEY_OF_ANOTHER_PEER: &str = "a-service-key-of-another-peer";
const SERVICES: &str = r#"
        [[apps]]
        name = "portal"
        key = "a-service-key-for-tests-only"
        peers = ["127.0.0.1/32"]
        user_header = "x-portal-user"
        team_header = "x-portal-team"
        plan_header = "x-portal-plan"

        [[apps]]
        name = "elsewhere"
        key = "a-service-key-of-another-peer"
        peers = ["192.0.2.0/24"]
        user_header = "x-portal-user""#;

/// The calls that show usage, and take no parameter.
const SHOWN: [&str; 3] = ["/api/usage", "/api/usage/history", "/api/usage/stream"];

fn get(rig: &Rig, path: &str) -> RequestBuilder {
    rig.http.get(format!("{}{path}", rig.gateway().url))
}

async fn sent(request: RequestBuilder) -> Answer {
    Answer::read(request.send().await.unwrap()).await.unwrap()
}

#[tokio::test]
async fn a_service_is_shown_the_usage_of_the_user_whom_it_names() {
    let rig = Rig::with(setup(SERVICES)).await;
    for user in ["ann", "bob", "ann"] {
        let call = rig.chat(KEY, MODEL).header("x-portal-user", user);
        assert_eq!(call.send().await.status, StatusCode::OK);
    }
    rig.quiet().await;
    for (user, messages) in [("ann", 2), ("bob", 1), ("nobody-yet", 0)] {
        let named = |path: &str| get(&rig, path).bearer_auth(KEY).header("x-portal-user", user);
        let usage = sent(named("/api/usage")).await;
        assert_eq!(usage.status, StatusCode::OK, "{}", usage.text());
        assert_eq!(usage.header("cache-control"), "private, no-store");
        let usage = usage.json();
        assert_eq!((&usage["userId"], used(&usage, "messages")), (&user.into(), messages));
        let history = sent(named("/api/usage/history?months=1")).await.json();
        let shown: u64 =
            history["items"].as_array().unwrap().iter().map(|it| it["messages"].as_u64().unwrap()).sum();
        assert_eq!((&history["userId"], shown), (&user.into(), messages));
        // the key where other clients put it
        let usage =
            sent(get(&rig, "/api/usage").header("x-api-key", KEY).header("x-portal-user", user)).await;
        assert_eq!(used(&usage.json(), "messages"), messages);
    }
    // a team and a plan are named as in calls
    let named = || get(&rig, "/api/usage").bearer_auth(KEY).header("x-portal-user", "ann");
    let in_team = sent(named().header("x-portal-team", "crew")).await;
    assert_eq!(used(&in_team.json(), "messages"), 0, "who is in a team is counted there");
    assert_eq!(sent(named().header("x-portal-plan", "free")).await.json()["plan"], "free");
    let unknown = sent(named().header("x-portal-plan", "no-such-plan")).await;
    assert_eq!(
        (unknown.status, &unknown.json()["error"]["code"]),
        (StatusCode::FORBIDDEN, &"unknown_plan".into())
    );
    rig.finish().await;
}

#[tokio::test]
async fn a_service_watches_its_users_stream() {
    let rig = Rig::with(setup(SERVICES)).await;
    let call = || rig.chat(KEY, MODEL).header("x-portal-user", "ann");
    assert_eq!(call().send().await.status, StatusCode::OK);
    let watch = get(&rig, "/api/usage/stream").bearer_auth(KEY).header("x-portal-user", "ann");
    let mut stream = watch.send().await.unwrap();
    assert_eq!(stream.status(), StatusCode::OK);
    let mut text = String::new();
    for messages in 1..=2 {
        let wanted = format!("\"totalMessages\":{messages},");
        while !text.contains(&wanted) {
            let chunk = within("an event", stream.chunk()).await.unwrap().expect("the stream ended");
            text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
        assert!(text.contains("\"userId\":\"ann\""), "{text}");
        if messages == 1 {
            assert_eq!(call().send().await.status, StatusCode::OK);
        }
    }
    drop(stream);
    rig.finish().await;
}

#[tokio::test]
async fn the_rules_of_calls_hold_for_what_a_service_asks() {
    let rig = Rig::with(setup(SERVICES)).await;
    for path in SHOWN {
        let refused = [
            ("no user is named", get(&rig, path).bearer_auth(KEY)),
            ("an empty user", get(&rig, path).bearer_auth(KEY).header("x-portal-user", "")),
            ("a placeholder", get(&rig, path).bearer_auth(KEY).header("x-portal-user", "{{USER_ID}}")),
            ("a user without a key", get(&rig, path).header("x-portal-user", "ann")),
            (
                "a wrong key",
                get(&rig, path).bearer_auth("a-service-key-for-tests-onlY").header("x-portal-user", "ann"),
            ),
            (
                "another peer's key",
                // a header says nothing of who opened the connection
                get(&rig, path)
                    .bearer_auth(KEY_OF_ANOTHER_PEER)
                    .header("x-portal-user", "ann")
                    .header("x-forwarded-for", "192.0.2.7"),
            ),
        ];
        for (why, request) in refused {
            let answer = sent(request).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}, {why}: {}", answer.text());
        }
    }
    // it speaks for one user at a time, and administers nothing
    let service = |request: RequestBuilder| request.bearer_auth(KEY).header("x-portal-user", "ann");
    for path in
        ["/api/usage?userId=bob", "/api/usage/history?userId=bob", "/api/analytics?days=1", "/api/audit"]
    {
        assert_eq!(sent(service(get(&rig, path))).await.status, StatusCode::FORBIDDEN, "{path}");
    }
    let reset = rig.http.delete(format!("{}/api/usage?userId=ann", rig.gateway().url));
    assert_eq!(sent(service(reset)).await.status, StatusCode::FORBIDDEN);
    // in the hands of a user the header says nothing
    let token = rig.token("carol");
    let own = sent(get(&rig, "/api/usage").bearer_auth(&token).header("x-portal-user", "ann")).await;
    assert_eq!(own.json()["userId"], "carol");
    rig.finish().await;
}
