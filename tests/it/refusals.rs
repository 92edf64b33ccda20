//! Requests that cannot be served: 4xx in the caller's dialect, nothing sent upstream, nothing counted.

use http::StatusCode;
use serde_json::Value;
use toml_edit::{Array, value};

use super::harness::{Answer, Dialect, Rig, Setup, Wire};

const MODEL: &str = "gemini-2.0-flash";

/// The error is in the shape of the dialect; gives its type.
fn error_type(dialect: Dialect, answer: &Answer) -> String {
    assert!(answer.header("content-type").starts_with("application/json"), "{dialect:?}");
    assert_eq!(answer.header("content-length"), answer.body.len().to_string(), "{dialect:?}");
    let body = answer.json();
    let error = &body["error"];
    assert!(!error["message"].as_str().unwrap().is_empty(), "{dialect:?}: {body}");
    let kind = match dialect {
        Dialect::OpenAi => {
            assert!(error["code"].is_string(), "{body}");
            &error["type"]
        }
        Dialect::Anthropic => {
            assert_eq!(body["type"], "error", "{body}");
            &error["type"]
        }
        Dialect::Gemini => {
            assert_eq!(error["code"], answer.status.as_u16(), "{body}");
            &error["status"]
        }
    };
    kind.as_str().unwrap_or_else(|| panic!("{dialect:?}: {body}")).to_owned()
}

/// The usage of `token` is zero, and nothing has reached the stub or the ledger.
async fn nothing_counted(rig: Rig, token: &str) {
    let usage = rig.usage(token).await;
    let limits = usage["limits"].as_array().unwrap();
    assert!(limits.iter().all(|limit| limit["used"] == 0 && limit["held"] == 0), "{usage}");
    assert_eq!(rig.stub.requests().await, 0, "requests at the stub");
    assert!(rig.finish().await.rows.is_empty(), "rows in the ledger");
}

#[tokio::test]
async fn malformed_bodies_are_400_in_the_dialect_and_count_nothing() {
    let rig = Rig::start().await;
    let token = rig.token("alice");
    let deep = format!(r#"{{"model":"{MODEL}","messages":{}{}}}"#, "[".repeat(2_000), "]".repeat(2_000));
    let everywhere: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"{".to_vec(),
        b"[]".to_vec(),
        b"null".to_vec(),
        b"\"text\"".to_vec(),
        br#"{"messages":[]} {"messages":[]}"#.to_vec(),
        b"{\"messages\":\"\xff\xfe\"}".to_vec(),
        b"model=gemini-2.0-flash".to_vec(),
        deep.into_bytes(),
    ];
    let with_model: Vec<Vec<u8>> = [
        r#"{"messages":[]}"#,
        r#"{"model":null,"messages":[]}"#,
        r#"{"model":7,"messages":[]}"#,
        r#"{"model":["gemini-2.0-flash"],"messages":[]}"#,
        r#"{"model":"","messages":[]}"#,
        r#"{"model":"gemini-2.0-flash","model":"claude-3-opus","messages":[]}"#,
        r#"{"model":"gemini-2.0-flash","mod\u0065l":"claude-3-opus","messages":[]}"#,
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec();
    for dialect in Dialect::ALL {
        let own = if dialect == Dialect::Gemini { [].as_slice() } else { with_model.as_slice() };
        for body in everywhere.iter().chain(own) {
            let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
            let answer = rig.call(dialect, MODEL).token(&token).send_bytes(body.clone()).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{dialect:?} {shown}: {}", answer.text());
            let wanted =
                if dialect == Dialect::Gemini { "INVALID_ARGUMENT" } else { "invalid_request_error" };
            assert_eq!(error_type(dialect, &answer), wanted, "{dialect:?} {shown}");
        }
    }
    nothing_counted(rig, &token).await;
}

#[tokio::test]
async fn unknown_paths_are_404_in_the_callers_dialect() {
    let rig = Rig::start().await;
    let token = rig.token("alice");
    let paths = [
        ("/v1/files", Dialect::OpenAi, "invalid_request_error"),
        ("/v1/chat/completions/more", Dialect::OpenAi, "invalid_request_error"),
        ("/v1/Chat/Completions", Dialect::OpenAi, "invalid_request_error"),
        ("/v1/messages/batches", Dialect::Anthropic, "not_found_error"),
        ("/v1beta/cachedContents", Dialect::Gemini, "NOT_FOUND"),
        ("/v1beta/models/gemini-2.0-flash:predict", Dialect::Gemini, "NOT_FOUND"),
    ];
    for (path, dialect, wanted) in paths {
        let url = format!("{}{path}", rig.gateway().url);
        let request = rig.http.post(url).bearer_auth(&token).json(&serde_json::json!({ "model": MODEL }));
        // every client of Anthropic's API sends it: paths under /v1 alone do not tell the dialect
        let request = match dialect {
            Dialect::Anthropic => request.header("anthropic-version", "2023-06-01"),
            Dialect::OpenAi | Dialect::Gemini => request,
        };
        let answer = Answer::read(request.send().await.unwrap()).await.unwrap();
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}: {}", answer.text());
        assert_eq!(error_type(dialect, &answer), wanted, "{path}");
    }
    nothing_counted(rig, &token).await;
}

#[tokio::test]
async fn paths_that_servers_read_differently_are_refused() {
    let rig = Rig::start().await;
    let token = rig.token("alice");
    let paths = [
        ("/v1//chat/completions", "404"),
        ("//v1/chat/completions", "404"),
        ("/v1/chat/completions/", "404"),
        ("/v1/./chat/completions", "400"),
        ("/v1/files/../chat/completions", "400"),
        ("/v1/chat%2fcompletions", "400"),
    ];
    let body = format!(r#"{{"model":"{MODEL}","messages":[]}}"#);
    for (path, status) in paths {
        // as it stands: an HTTP library would tidy it up
        let mut wire = Wire::connect(&rig.gateway().url).await;
        wire.send(format!(
            "POST {path} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ))
        .await;
        let answer = wire.answer().await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
        assert!(answer.contains(r#""type":"invalid_request_error""#), "{path}: {answer}");
    }
    nothing_counted(rig, &token).await;
}

#[tokio::test]
async fn a_model_that_no_upstream_serves_is_404() {
    let narrow = |file: &mut toml_edit::DocumentMut| {
        let upstream = file["upstreams"].as_array_of_tables_mut().unwrap().get_mut(0).unwrap();
        upstream["models"] = value(Array::from_iter(["gemini-*"]));
    };
    let rig = Rig::with(Setup::default().change(narrow)).await;
    let token = rig.token("alice");
    for dialect in Dialect::ALL {
        let answer = rig.call(dialect, "llama-9").token(&token).send().await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{dialect:?}: {}", answer.text());
        let wanted = match dialect {
            Dialect::OpenAi => "invalid_request_error",
            Dialect::Anthropic => "not_found_error",
            Dialect::Gemini => "NOT_FOUND",
        };
        assert_eq!(error_type(dialect, &answer), wanted);
        assert!(answer.message().contains("llama-9"), "{}", answer.message());
    }
    nothing_counted(rig, &token).await;
}

#[tokio::test]
async fn bad_credentials_are_401_and_two_that_differ_as_well() {
    let rig = Rig::start().await;
    let token = rig.token("alice");
    let mut forged = token.clone();
    let last = if forged.pop() == Some('A') { 'B' } else { 'A' };
    forged.push(last);
    let unsigned = {
        let payload = token.split('.').nth(1).unwrap();
        // {"alg":"none","typ":"JWT"}
        format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{payload}.")
    };
    for dialect in Dialect::ALL {
        for bad in ["no-token", "a.b.c", &forged, &unsigned] {
            let answer = rig.call(dialect, MODEL).token(bad).send().await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{dialect:?} {bad}");
            assert!(!error_type(dialect, &answer).is_empty());
            assert_eq!(answer.header("x-should-retry"), "false", "{dialect:?} {bad}");
        }
    }
    let other = rig.token("bob");
    let call = rig.chat(&token, MODEL).header("x-api-key", &other);
    assert_eq!(call.send().await.status, StatusCode::UNAUTHORIZED, "two credentials that differ");
    let url = format!("{}/api/usage", rig.gateway().url);
    for bad in [None, Some("no-token"), Some(forged.as_str())] {
        let request = rig.http.get(&url);
        let request = match bad {
            Some(bad) => request.bearer_auth(bad),
            None => request,
        };
        assert_eq!(request.send().await.unwrap().status(), StatusCode::UNAUTHORIZED, "{bad:?}");
    }
    nothing_counted(rig, &token).await;
}

#[tokio::test]
async fn a_compressed_body_and_a_wrong_content_type_are_refused() {
    let rig = Rig::start().await;
    let token = rig.token("alice");
    let answer = rig.chat(&token, MODEL).header("content-encoding", "gzip").send().await;
    assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{}", answer.text());
    assert_eq!(error_type(Dialect::OpenAi, &answer), "invalid_request_error");
    let mut wire = Wire::connect(&rig.gateway().url).await;
    let body = format!(r#"{{"model":"{MODEL}","messages":[]}}"#);
    wire.send(format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {token}\r\n\
         content-type: text/plain\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ))
    .await;
    let answer = wire.answer().await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["error"]["type"], "invalid_request_error");
    nothing_counted(rig, &token).await;
}
