//! The quota of the shipped configuration, end to end: 100 messages a month, 20 of them premium, one model for callers
//! without a credential, and no answer for a bad one.

use http::StatusCode;

use super::harness::{Dialect, Rig};

/// The limits of the plan `free` in `config/tollgate.toml`.
const MESSAGES: u64 = 100;
const PREMIUM: u64 = 20;

const ORDINARY_MODEL: &str = "gemini-2.0-flash";
const PREMIUM_MODEL: &str = "claude-3-opus";

#[tokio::test]
async fn of_21_premium_calls_20_are_answered_and_ordinary_models_still_answer() {
    let rig = Rig::start().await;
    let token = rig.token("alice");
    for _ in 0..PREMIUM {
        let answer = rig.chat(&token, PREMIUM_MODEL).send().await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    }
    for dialect in Dialect::ALL {
        let refused = rig.call(dialect, PREMIUM_MODEL).token(&token).send().await;
        assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS, "{dialect:?}");
        let sentence = refused.message();
        assert!(
            sentence.starts_with("Premium quota exhausted: 20 of 20 messages used this month. Resets 2"),
            "{sentence}"
        );
        assert!(sentence.ends_with("gemini-2.0-flash is still available."), "{sentence}");
        assert_eq!(refused.header("x-should-retry"), "false", "{dialect:?}");
        assert!(refused.header("retry-after").parse::<u64>().is_ok(), "{dialect:?}");
        assert_eq!(refused.header("retry-after-ms"), "", "{dialect:?}");
    }
    for dialect in Dialect::ALL {
        let answer = rig.call(dialect, ORDINARY_MODEL).token(&token).send().await;
        assert_eq!(answer.status, StatusCode::OK, "{dialect:?}");
    }
    let usage = rig.usage(&token).await;
    assert_eq!(usage["premiumMessages"], PREMIUM);
    assert_eq!(usage["totalMessages"], PREMIUM + 3);
    assert_eq!(usage["canSendMessage"], true);
    assert_eq!(usage["canSendPremiumMessage"], false);
    let books = rig.finish().await;
    assert_eq!(books.messages(), PREMIUM + 3);
}

#[tokio::test]
async fn the_101st_message_is_refused() {
    let rig = Rig::start().await;
    let token = rig.token("alice");
    for number in 0..MESSAGES {
        let dialect = Dialect::ALL[usize::try_from(number % 3).unwrap()];
        let answer = rig.call(dialect, ORDINARY_MODEL).token(&token).send().await;
        assert_eq!(answer.status, StatusCode::OK, "message {number}: {}", answer.text());
    }
    let refused = rig.chat(&token, ORDINARY_MODEL).send().await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    let sentence = refused.message();
    assert!(sentence.contains("quota exhausted: 100 of 100 messages used this month"), "{sentence}");
    assert!(!sentence.contains("still available"), "nothing is: {sentence}");
    let error = &refused.json()["error"];
    assert_eq!(error["code"], "insufficient_quota");
    assert_eq!(
        (&error["limit"], &error["used"], &error["max"]),
        (&"messages".into(), &MESSAGES.into(), &MESSAGES.into())
    );
    assert_eq!(rig.stub.requests().await, MESSAGES, "the refused call stayed away from the upstream");
    rig.finish().await;
}

#[tokio::test]
async fn without_a_credential_one_model_answers_and_others_are_403() {
    let rig = Rig::start().await;
    for dialect in Dialect::ALL {
        let answer = rig.call(dialect, ORDINARY_MODEL).send().await;
        assert_eq!(answer.status, StatusCode::OK, "{dialect:?}");
        let answer = rig.call(dialect, ORDINARY_MODEL).token("anonymous").send().await;
        assert_eq!(answer.status, StatusCode::OK, "{dialect:?}, with a key that means none");
        for model in [PREMIUM_MODEL, "gpt-4o"] {
            let refused = rig.call(dialect, model).send().await;
            assert_eq!(refused.status, StatusCode::FORBIDDEN, "{dialect:?}");
            assert!(refused.message().contains(ORDINARY_MODEL), "{}", refused.message());
        }
    }
    assert_eq!(rig.stub.requests().await, 6, "refused calls stay away from the upstream");
    let books = rig.finish().await;
    assert_eq!(books.messages(), 6);
    assert!(books.rows.iter().all(|row| row.user.is_none()));
}

#[tokio::test]
async fn an_expired_token_is_401_in_every_dialect_and_never_anonymous() {
    let rig = Rig::start().await;
    let expired = rig.expired_token("alice");
    for dialect in Dialect::ALL {
        for stream in [false, true] {
            let call = rig.call(dialect, ORDINARY_MODEL).token(&expired);
            let refused = if stream { call.stream() } else { call }.send().await;
            assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{dialect:?}");
            assert!(refused.message().contains("expired"), "{}", refused.message());
            assert_eq!(refused.header("content-type"), "application/json");
            let error = &refused.json()["error"];
            match dialect {
                Dialect::OpenAi => assert_eq!(error["code"], "invalid_api_key"),
                Dialect::Anthropic => assert_eq!(error["type"], "authentication_error"),
                Dialect::Gemini => assert_eq!(error["status"], "UNAUTHENTICATED"),
            }
        }
    }
    assert_eq!(rig.stub.requests().await, 0);
    assert!(rig.finish().await.rows.is_empty());
}
