//! The usage API: an answer that has ended shows at once, nobody sees or changes another's figures, an administrator's
//! reset begins anew without touching the ledger.

use http::StatusCode;
use serde_json::{Value, json};

use super::harness::{Answer, Dialect, Rig, Setup, h2c_client};

const MODEL: &str = "gemini-2.0-flash";
const PREMIUM_MODEL: &str = "claude-3-opus";

async fn delete(rig: &Rig, token: &str, user: &str, body: Option<Value>) -> Answer {
    let url = format!("{}/api/usage?userId={user}", rig.gateway().url);
    let request = rig.http.delete(url).bearer_auth(token);
    let request = match body {
        Some(body) => request.json(&body),
        None => request,
    };
    Answer::read(request.send().await.unwrap()).await.unwrap()
}

#[tokio::test]
async fn an_answer_that_has_ended_shows_in_the_next_usage_call() {
    let rig = Rig::start().await;
    let token = rig.token("alice");
    let h2c = h2c_client();
    for number in 0..60_usize {
        let call = rig.call(Dialect::ALL[number % 3], MODEL).token(&token);
        let call = if number % 2 == 0 { call.stream() } else { call };
        let call = if number % 4 < 2 { call.through(&h2c) } else { call };
        assert_eq!(call.send().await.status, StatusCode::OK);
        let usage = rig.usage(&token).await;
        assert_eq!(usage["totalMessages"], number + 1);
        assert_eq!(usage["limits"][0]["held"], 0);
    }
    rig.finish().await;
}

#[tokio::test]
async fn the_usage_has_the_fields_of_the_contract() {
    let rig = Rig::start().await;
    let token = rig.token("user_123");
    for model in [PREMIUM_MODEL, MODEL, MODEL] {
        assert_eq!(rig.chat(&token, model).send().await.status, StatusCode::OK);
    }
    let usage = rig.usage(&token).await;
    let wanted = json!({
        "userId": "user_123", "totalMessages": 3, "premiumMessages": 1, "plan": "free",
        "canSendMessage": true, "canSendPremiumMessage": true,
    });
    for (key, value) in wanted.as_object().unwrap() {
        assert_eq!(&usage[key], value, "{key}");
    }
    let premium = &usage["limits"][1];
    let wanted = json!({
        "name": "premium", "meter": "messages", "models": ["@premium"], "per": "month",
        "max": 20, "used": 1, "held": 0, "remaining": 19,
    });
    for (key, value) in wanted.as_object().unwrap() {
        assert_eq!(&premium[key], value, "{key} of {premium}");
    }
    for moment in [&usage["lastReset"], &usage["resetsAt"], &premium["resetsAt"]] {
        let text = moment.as_str().unwrap();
        assert!(text.ends_with("-01T00:00:00.000Z"), "a month begins in UTC: {text}");
    }
    assert!(usage["premiumModels"].as_array().unwrap().contains(&"claude-3.5-sonnet".into()));
    rig.finish().await;
}

#[tokio::test]
async fn the_numbers_in_the_headers_are_those_that_decided() {
    let rig = Rig::start().await;
    let token = rig.token("alice");
    for used in 1..=3 {
        let answer = rig.chat(&token, PREMIUM_MODEL).send().await;
        assert_eq!(answer.header("x-ratelimit-limit-requests"), "20");
        assert_eq!(answer.header("x-ratelimit-remaining-requests"), (20 - used).to_string());
        assert!(answer.header("ratelimit").contains(&format!("\"premium\";r={}", 20 - used)), "{answer:?}");
        assert!(answer.header("server-timing").starts_with("tollgate;dur="), "{answer:?}");
        assert!(!answer.text().contains("987654"), "the upstream's own figures do not pass");
        assert!(
            !answer.headers.values().any(|value| value.to_str().unwrap().contains("98765")),
            "{answer:?}"
        );
    }
    let answer = rig.call(Dialect::Anthropic, MODEL).token(&token).stream().send().await;
    assert_eq!(answer.header("anthropic-ratelimit-requests-limit"), "100");
    assert_eq!(answer.header("anthropic-ratelimit-requests-remaining"), "96");
    rig.finish().await;
}

#[tokio::test]
async fn an_administrators_reset_gives_back_the_quota_and_keeps_the_ledger() {
    let rig = Rig::start().await;
    let (token, admin, other) = (rig.token("alice"), rig.admin_token(), rig.token("bob"));
    for _ in 0..20 {
        assert_eq!(rig.chat(&token, PREMIUM_MODEL).send().await.status, StatusCode::OK);
    }
    assert_eq!(rig.chat(&other, PREMIUM_MODEL).send().await.status, StatusCode::OK);
    assert_eq!(rig.chat(&token, PREMIUM_MODEL).send().await.status, StatusCode::TOO_MANY_REQUESTS);
    for (who, token) in [("herself", &token), ("another user", &other)] {
        let answer = delete(&rig, token, "alice", None).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{who} is no administrator");
    }
    let before = rig.usage(&token).await["lastReset"].as_str().unwrap().to_owned();
    let answer = delete(&rig, &admin, "alice", Some(json!({ "reason": "a test" }))).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let usage = rig.usage(&token).await;
    assert_eq!((&usage["totalMessages"], &usage["premiumMessages"]), (&0.into(), &0.into()));
    assert!(usage["lastReset"].as_str().unwrap() > before.as_str(), "{usage}");
    assert_eq!(rig.usage(&other).await["premiumMessages"], 1, "nobody else's usage is touched");
    assert_eq!(rig.chat(&token, PREMIUM_MODEL).send().await.status, StatusCode::OK);
    let books = rig.finish().await;
    assert_eq!(books.messages(), 22, "the ledger keeps its rows");
}

#[tokio::test]
async fn a_reset_survives_a_kill_and_a_running_request_stays_in_its_bucket() {
    let mut rig = Rig::start().await;
    let (token, admin) = (rig.token("alice"), rig.admin_token());
    for _ in 0..3 {
        assert_eq!(rig.chat(&token, MODEL).send().await.status, StatusCode::OK);
    }
    let call = rig.chat(&token, MODEL).stream().header("x-stub-pieces", 3);
    let mut response = call.header("x-stub-piece-delay-ms", 300).open().await;
    response.chunk().await.unwrap();
    assert_eq!(delete(&rig, &admin, "alice", None).await.status, StatusCode::OK);
    while response.chunk().await.unwrap().is_some() {}
    assert_eq!(
        rig.usage(&token).await["totalMessages"],
        0,
        "it was held before the reset, and settles there"
    );
    rig.quiet().await;
    rig.gateway_mut().kill();
    rig.gateway_mut().start_again().await;
    assert_eq!(rig.usage(&token).await["totalMessages"], 0);
    assert_eq!(rig.chat(&token, MODEL).send().await.status, StatusCode::OK);
    assert_eq!(rig.usage(&token).await["totalMessages"], 1);
    assert_eq!(rig.finish().await.messages(), 5);
}

#[tokio::test]
async fn a_user_sees_only_their_own_usage() {
    let rig = Rig::start().await;
    let (token, other, admin) = (rig.token("alice"), rig.token("bob"), rig.admin_token());
    assert_eq!(rig.chat(&token, MODEL).send().await.status, StatusCode::OK);
    let ask = async |token: &str| {
        let url = format!("{}/api/usage?userId=alice", rig.gateway().url);
        Answer::read(rig.http.get(url).bearer_auth(token).send().await.unwrap()).await.unwrap()
    };
    assert_eq!(ask(&other).await.status, StatusCode::FORBIDDEN);
    assert_eq!(ask(&token).await.json()["totalMessages"], 1);
    assert_eq!(ask(&admin).await.json()["totalMessages"], 1);
    assert_eq!(rig.usage(&other).await["totalMessages"], 0);
    rig.finish().await;
}

#[tokio::test]
async fn a_query_that_cannot_be_read_is_refused_in_this_apis_own_shape() {
    let rig = Rig::start().await;
    for path in ["/api/usage?user=1", "/api/users?page=2", "/api/analytics?days=many", "/api/audit?sinse=1"] {
        let call = rig.http.get(format!("{}{path}", rig.gateway().url)).bearer_auth(rig.admin_token());
        let answer = call.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{path}");
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["error"]["code"], "invalid_request", "{path}: {body}");
        assert!(body["error"]["message"].as_str().unwrap().contains("query"), "{path}: {body}");
    }
    rig.finish().await;
}

/// No limit counts them: the ledger does, together with what it does not have yet.
#[tokio::test]
async fn messages_without_a_limit_are_counted_too() {
    const MESSAGES: u64 = 25;
    let setup = Setup::default();
    let setup = setup.change(|file| {
        let limits = file["plans"]["free"]["limits"].as_array_of_tables_mut().unwrap();
        limits.retain(|limit| limit["name"].as_str() == Some("messages"));
    });
    let mut rig = Rig::with(setup).await;
    let (token, admin) = (rig.token("alice"), rig.admin_token());
    for number in 1..=MESSAGES {
        let answer = rig.chat(&token, PREMIUM_MODEL).send().await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        assert_eq!(rig.usage(&token).await["premiumMessages"], number, "at once");
    }
    assert_eq!(rig.chat(&token, MODEL).send().await.status, StatusCode::OK);
    let shown = async |rig: &Rig| {
        let usage = rig.usage(&token).await;
        (usage["totalMessages"].as_u64().unwrap(), usage["premiumMessages"].as_u64().unwrap())
    };
    assert_eq!(shown(&rig).await, (MESSAGES + 1, MESSAGES));
    rig.gateway_mut().kill();
    rig.gateway_mut().start_again().await;
    assert_eq!(shown(&rig).await, (MESSAGES + 1, MESSAGES), "after a kill");
    rig.quiet().await;
    let history = rig.http.get(format!("{}/api/usage/history", rig.gateway().url)).bearer_auth(&token);
    let history = Answer::read(history.send().await.unwrap()).await.unwrap().json();
    assert_eq!(
        (&history["items"][0]["messages"], &history["items"][0]["premiumMessages"]),
        (&26.into(), &25.into())
    );
    assert_eq!(delete(&rig, &admin, "alice", None).await.status, StatusCode::OK);
    assert_eq!(shown(&rig).await, (0, 0), "an administrator's reset begins anew");
    assert_eq!(rig.chat(&token, PREMIUM_MODEL).send().await.status, StatusCode::OK);
    assert_eq!(shown(&rig).await, (1, 1));
    rig.finish().await;
}
