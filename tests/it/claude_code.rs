//! What Claude Code expects of a gateway, line by line (its documentation, page "LLM gateway"): one test a line.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tollgate::auth::TokenRequest;

use super::harness::{Answer, Dialect, Puppet, Rig, Served, Setup, Tape, Upstream, json_reply, within};

const MODEL: &str = "claude-sonnet-4-5";

/// A plan of one message a month, to have one that is spent.
fn one_message() -> Setup {
    Setup::default().plan("tiny", 1)
}

fn tiny(rig: &Rig) -> String {
    let request = TokenRequest {
        user: "alice".into(),
        plan: Some("tiny".into()),
        ttl_s: 3_600,
        ..TokenRequest::default()
    };
    rig.token_of(request)
}

/// A request as Claude Code sends it, to any path.
fn ask(rig: &Rig, method: Method, path: &str, token: &str) -> reqwest::RequestBuilder {
    let request = rig.http.request(method, format!("{}{path}", rig.gateway().url)).bearer_auth(token);
    request
        .header("anthropic-version", "2023-06-01")
        .header("user-agent", "claude-cli/2.1.273 (external, cli)")
}

fn message(rig: &Rig, token: &str) -> reqwest::RequestBuilder {
    let body =
        json!({ "model": MODEL, "max_tokens": 10, "messages": [{ "role": "user", "content": "hello" }] });
    ask(rig, Method::POST, "/v1/messages?beta=true", token).json(&body)
}

async fn sent(request: reqwest::RequestBuilder) -> Answer {
    Answer::read(request.send().await.unwrap()).await.unwrap()
}

/// An upstream that records, behind a gateway.
async fn taped(reply: String) -> (Tape, Rig) {
    let tape = Tape::start(reply).await;
    let rig = Rig::with(Setup { upstream: Upstream::Other(tape.address), ..Setup::default() }).await;
    (tape, rig)
}

const MESSAGE: &str = r#"{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-5","content":[],"usage":{"input_tokens":1,"output_tokens":1}}"#;

#[tokio::test]
async fn a_query_like_beta_true_changes_nothing_of_the_call_and_goes_upstream() {
    let (tape, rig) = taped(json_reply("200 OK", MESSAGE)).await;
    let token = rig.token("alice");
    assert_eq!(sent(message(&rig, &token)).await.status, StatusCode::OK);
    let request = tape.requests().remove(0);
    assert!(request.starts_with("POST /v1/messages?beta=true HTTP/1.1\r\n"), "{request}");
    assert_eq!(rig.usage(&token).await["totalMessages"], 1);
    rig.finish_where(Served::Elsewhere).await;
}

#[tokio::test]
async fn count_tokens_is_free_and_answered_even_when_the_quota_is_spent() {
    let rig = Rig::with(one_message()).await;
    let token = tiny(&rig);
    let body = json!({ "model": MODEL, "messages": [{ "role": "user", "content": "hello" }] });
    let count = || ask(&rig, Method::POST, "/v1/messages/count_tokens?beta=true", &token).json(&body);
    for spent in [false, true] {
        let answer = sent(count()).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        assert!(answer.json()["input_tokens"].as_u64().unwrap() > 0, "{}", answer.text());
        assert_eq!(rig.usage(&token).await["limits"][0]["used"], u32::from(spent));
        let wanted = if spent { StatusCode::TOO_MANY_REQUESTS } else { StatusCode::OK };
        assert_eq!(sent(message(&rig, &token)).await.status, wanted);
    }
    assert_eq!(rig.finish().await.messages(), 1);
}

#[tokio::test]
async fn the_warm_up_is_answered_without_a_body_and_the_connection_goes_on() {
    let rig = Rig::start().await;
    let token = rig.token("alice");
    let mut wire = super::harness::Wire::connect(&rig.gateway().url).await;
    wire.send("HEAD /api/hello HTTP/1.1\r\nhost: gateway\r\n\r\n").await;
    let head = wire.head().await;
    assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
    // were there a body, it would be read as this answer
    wire.send(format!("GET /api/usage HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {token}\r\n\r\n"))
        .await;
    assert!(wire.answer().await.starts_with("HTTP/1.1 200 "));
    assert_eq!(rig.stub.requests().await, 0, "nothing of it goes upstream");
    rig.finish().await;
}

#[tokio::test]
async fn models_are_listed_in_anthropics_form_without_a_redirect() {
    let rig = Rig::with(Setup::default().change(|file| {
        let stub = file["upstreams"].as_array_of_tables_mut().unwrap().get_mut(0).unwrap();
        let models = [MODEL, "claude-3-opus", "gemini-2.0-flash", "*"];
        stub["models"] = toml_edit::value(toml_edit::Array::from_iter(models));
    }))
    .await;
    let token = rig.token("alice");
    // an answer of 3xx would be followed by this client, to another URL
    let answer = ask(&rig, Method::GET, "/v1/models?limit=1000", &token).send().await.unwrap();
    assert!(answer.url().as_str().ends_with("/v1/models?limit=1000"), "{}", answer.url());
    let answer = Answer::read(answer).await.unwrap();
    assert_eq!(answer.status, StatusCode::OK);
    let list = answer.json();
    let data = list["data"].as_array().unwrap();
    let ids: Vec<&str> = data.iter().map(|model| model["id"].as_str().unwrap()).collect();
    assert!(ids.contains(&MODEL) && ids.contains(&"claude-3-opus"), "{ids:?}");
    for model in data {
        assert_eq!(model["display_name"], model["id"]);
        assert!(!model["description"].as_str().unwrap().is_empty(), "{model}");
        assert_eq!(model["type"], "model");
    }
    assert_eq!((&list["has_more"], &list["first_id"]), (&Value::Bool(false), &data[0]["id"]));
    rig.finish().await;
}

#[tokio::test]
async fn unknown_headers_and_fields_and_the_system_array_go_upstream_byte_by_byte() {
    let (tape, rig) = taped(json_reply("200 OK", MESSAGE)).await;
    let token = rig.token("alice");
    // spaces, escapes, an order of keys and numbers that a parser would write otherwise
    let body = "{ \"future_field\" : {\"b\":1.0,\"a\":[ 1e2 , null]},\n \"system\":[{\"type\":\"text\",\"text\":\"x-anthropic-billing-header: cc_version=2.1; \\u00e9\\/\"} , \
                {\"cache_control\":{\"type\":\"ephemeral\",\"ttl\":\"1h\"},\"text\":\"You are…\",\"type\":\"text\"}],\
                \"messages\":[ ],\"model\" :\"claude-sonnet-4-5\",\"max_tokens\":10,\"thinking\":{\"type\":\"adaptive\"} }";
    let request = ask(&rig, Method::POST, "/v1/messages?beta=true", &token)
        .header("content-type", "application/json")
        .header("anthropic-beta", "claude-code-20250219,future-2099-01-01")
        .header("anthropic-dangerous-direct-browser-access", "true")
        .header("anthropic-future-header", "as it is")
        .header("x-claude-code-session-id", "a-session")
        .header("x-claude-code-agent-id", "an-agent")
        .body(body);
    assert_eq!(sent(request).await.status, StatusCode::OK);
    let request = tape.requests().remove(0);
    let (head, got) = request.split_once("\r\n\r\n").unwrap();
    assert_eq!(got, body);
    let head = head.to_ascii_lowercase();
    for line in [
        "anthropic-version: 2023-06-01",
        "anthropic-beta: claude-code-20250219,future-2099-01-01",
        "anthropic-dangerous-direct-browser-access: true",
        "anthropic-future-header: as it is",
        "x-claude-code-session-id: a-session",
        "x-claude-code-agent-id: an-agent",
    ] {
        assert!(head.lines().any(|found| found == line), "{line}: {head}");
    }
    assert!(!request.contains(&token), "the caller's credential stays here");
    rig.finish_where(Served::Elsewhere).await;
}

#[tokio::test]
async fn upstream_errors_come_in_the_upstreams_own_words() {
    for (status, kind) in [
        ("400 Bad Request", "invalid_request_error"),
        ("404 Not Found", "not_found_error"),
        ("413 Payload Too Large", "request_too_large"),
        ("429 Too Many Requests", "rate_limit_error"),
        ("500 Internal Server Error", "api_error"),
        ("529 Overloaded", "overloaded_error"),
    ] {
        let body = format!(
            r#"{{"type":"error", "error":{{"type":"{kind}","message":"prompt is too long: 1 > 0"}},"request_id":"req_1"}}"#
        );
        let (_tape, rig) = taped(json_reply(status, &body)).await;
        let answer = sent(message(&rig, &rig.token("alice"))).await;
        assert_eq!(answer.status.as_str(), &status[..3]);
        assert_eq!(answer.text(), body, "{status}");
        assert_eq!(rig.finish_where(Served::Elsewhere).await.messages(), 0, "{status}");
    }
}

#[tokio::test]
async fn pings_and_comments_pass_as_they_come() {
    let puppet = Puppet::start().await;
    let rig = Rig::with(Setup { upstream: Upstream::Other(puppet.address), ..Setup::default() }).await;
    puppet.say("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n\r\n");
    let pieces = [
        ": a comment\n\n",
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":3,\"output_tokens\":1}}}\n\n",
        "event: ping\ndata: {\"type\": \"ping\"}\n\n",
        ":\n\n",
        "event: ping\ndata: {\"type\": \"ping\"}\n\n",
        "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":2}}\n\n",
        "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    ];
    let body = json!({ "model": MODEL, "max_tokens": 10, "messages": [], "stream": true });
    let token = rig.token("alice");
    let request = ask(&rig, Method::POST, "/v1/messages?beta=true", &token).json(&body);
    let mut response = within("the header", request.send()).await.unwrap();
    for piece in pieces {
        // the upstream says nothing more before this has come whole: nothing may be kept back
        puppet.say(piece);
        let mut seen = Vec::new();
        while seen.len() < piece.len() {
            seen.extend(within("a piece", response.chunk()).await.unwrap().expect("the stream ended"));
        }
        assert_eq!(String::from_utf8(seen).unwrap(), piece);
    }
    puppet.hang_up();
    assert!(within("the end", response.chunk()).await.unwrap().is_none());
    let books = rig.finish_where(Served::Elsewhere).await;
    let row = &books.rows[0];
    assert_eq!((row.input_tokens, row.output_tokens, row.estimated), (3, 2, false), "{row:?}");
}

#[tokio::test]
async fn a_spent_quota_says_whole_seconds_and_that_no_retry_helps() {
    let rig = Rig::with(one_message()).await;
    let token = tiny(&rig);
    assert_eq!(sent(message(&rig, &token)).await.status, StatusCode::OK);
    let refused = sent(message(&rig, &token)).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    let seconds: u64 = refused.header("retry-after").parse().expect("whole seconds");
    assert!(seconds > 0);
    assert_eq!(refused.header("x-should-retry"), "false");
    assert_eq!(refused.header("retry-after-ms"), "");
    assert_eq!(refused.json()["type"], "error");
    assert_eq!(refused.json()["error"]["type"], "rate_limit_error");
    assert_eq!(rig.stub.requests().await, 1);
    rig.finish().await;
}

#[tokio::test]
async fn rate_limit_headers_of_the_shared_login_are_replaced_by_the_users_own() {
    let reply = json_reply("200 OK", MESSAGE).replace(
        "content-type",
        "anthropic-ratelimit-requests-limit: 4000\r\nanthropic-ratelimit-requests-remaining: 3999\r\n\
         anthropic-ratelimit-unified-status: allowed\r\nanthropic-ratelimit-unified-5h-utilization: 0.97\r\n\
         anthropic-organization-id: org\r\ncontent-type",
    );
    let (_tape, rig) = taped(reply).await;
    let answer = sent(message(&rig, &rig.token("alice"))).await;
    assert_eq!(answer.status, StatusCode::OK);
    let ours = |name: &str| answer.header(&format!("anthropic-ratelimit-requests-{name}")).to_owned();
    assert_eq!(
        (ours("limit"), ours("remaining")),
        ("20".to_owned(), "19".to_owned()),
        "the premium limit is the tightest"
    );
    assert!(ours("reset").ends_with('Z'), "{}", ours("reset"));
    let shared = answer.headers.keys().filter(|name| {
        name.as_str().starts_with("anthropic-ratelimit-unified")
            || name.as_str() == "anthropic-organization-id"
    });
    assert_eq!(shared.count(), 0, "{:?}", answer.headers);
    rig.finish_where(Served::Elsewhere).await;
}

#[tokio::test]
async fn both_credentials_at_once_are_fine_when_equal_and_401_when_they_differ() {
    let rig = Rig::start().await;
    let (alice, bob) = (rig.token("alice"), rig.token("bob"));
    assert_eq!(sent(message(&rig, &alice).header("x-api-key", &alice)).await.status, StatusCode::OK);
    let refused = sent(message(&rig, &alice).header("x-api-key", &bob)).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert_eq!(refused.json()["error"]["type"], "authentication_error");
    assert_eq!(rig.usage(&alice).await["totalMessages"], 1);
    assert_eq!(rig.finish().await.messages(), 1);
}

#[tokio::test]
async fn an_api_key_alone_is_a_credential_too() {
    let rig = Rig::start().await;
    let token = rig.token("alice");
    assert_eq!(rig.call(Dialect::Anthropic, MODEL).token(&token).send().await.status, StatusCode::OK);
    assert_eq!(rig.usage(&token).await["totalMessages"], 1);
    rig.finish().await;
}

/// The request classes of `CLAUDE_CODE_GATEWAY_HINT_HEADERS=1`, and whether each is a message.
const CLASSES: [(&str, bool); 5] =
    [("main", true), ("subagent", true), ("workflow", true), ("compaction", false), ("auxiliary", false)];

#[tokio::test]
async fn auxiliary_calls_and_compaction_are_background_up_to_the_cap_and_agents_are_the_users_own() {
    let rig = Rig::with(super::apps::setup("[[apps]]\npreset = \"claude-code\"")).await;
    let token = rig.token("alice");
    let send = async |class: &str, agent: &str| {
        let call = message(&rig, &token).header("x-claude-code-request-class", class);
        let call =
            call.header("x-claude-code-session-id", "a-session").header("x-claude-code-agent-id", agent);
        let answer = sent(call.header("x-claude-code-parent-agent-id", "bob")).await;
        assert_eq!(answer.status, StatusCode::OK, "{class}: {}", answer.text());
    };
    let counted = async || {
        let usage = rig.usage(&token).await;
        (super::apps::used(&usage, "messages"), super::apps::used(&usage, "background"))
    };
    let mut expected = (0, 0);
    for (class, is_message) in CLASSES {
        send(class, class).await;
        if is_message {
            expected.0 += 1;
        } else {
            expected.1 += 1;
        }
        assert_eq!(counted().await, expected, "{class}");
    }
    // a class nobody knows is a message, and so is what comes beyond the cap
    send("free-lunch", "x").await;
    send("auxiliary", "x").await;
    assert_eq!(counted().await, (expected.0 + 1, super::apps::BACKGROUND));
    send("auxiliary", "x").await;
    assert_eq!(counted().await, (expected.0 + 2, super::apps::BACKGROUND));
    let books = rig.finish().await;
    assert!(books.rows.iter().all(|row| row.user.as_deref() == Some("alice")), "ids of agents name nobody");
    assert!(books.rows.iter().any(|row| row.task == "compaction"));
}
