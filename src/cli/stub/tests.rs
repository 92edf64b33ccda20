//! The stub's answers in each dialect, called in-process. What needs a real socket is in `wire`.

mod wire;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use http::StatusCode;
use proptest::prelude::*;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;
use crate::clock::Timestamp;

/// Every way to ask for text: path, body that streams (or not) by its second part, where the text stands.
const TEXT_CALLS: [(&str, &str, &str); 5] = [
    ("/v1/chat/completions", r#""messages":[{"role":"user","content":"hello there"}]"#, "chat"),
    ("/v1/completions", r#""prompt":"hello there""#, "completion"),
    ("/v1/responses", r#""input":"hello there""#, "responses"),
    ("/v1/messages", r#""max_tokens":9,"messages":[{"role":"user","content":"hello there"}]"#, "messages"),
    ("/v1beta/models/m1:", r#""contents":[{"parts":[{"text":"hello there"}]}]"#, "gemini"),
];

const TEXT: &str = "I am the stub playing `m1`. You said: hello there";

fn stub() -> Router {
    router(StubSettings { piece_delay: Duration::ZERO, clock: Clock::manual(Timestamp::UNIX_EPOCH) })
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The data of each SSE event.
    fn events(&self) -> Vec<Value> {
        let lines = self.text.lines().filter_map(|line| line.strip_prefix("data: "));
        lines.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
    }
}

async fn call(app: &Router, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = app.clone().oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap();
    Answer { status: parts.status, headers: parts.headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
}

async fn post(app: &Router, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    call(app, "POST", path, headers, body).await
}

/// One of [`TEXT_CALLS`], as JSON or as a stream.
async fn ask(app: &Router, at: usize, stream: bool, headers: &[(&str, &str)], more: &str) -> Answer {
    let (path, prompt, kind) = TEXT_CALLS[at];
    let (path, head) = match (kind, stream) {
        ("gemini", true) => (format!("{path}streamGenerateContent?alt=sse"), String::new()),
        ("gemini", false) => (format!("{path}generateContent"), String::new()),
        (_, stream) => (path.to_owned(), format!(r#""model":"m1","stream":{stream},"#)),
    };
    post(app, &path, headers, &format!("{{{head}{prompt}{more}}}")).await
}

async fn stats(app: &Router) -> Value {
    call(app, "GET", "/stub/stats", &[], "").await.json()
}

fn text_of(kind: &str, body: &Value) -> String {
    let pointer = match kind {
        "chat" => "/choices/0/message/content",
        "completion" => "/choices/0/text",
        "responses" => "/output/0/content/0/text",
        "messages" => "/content/0/text",
        _ => "/candidates/0/content/parts/0/text",
    };
    body.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn piece_of(kind: &str, event: &Value) -> String {
    let pointer = match kind {
        "chat" => "/choices/0/delta/content",
        "messages" => "/delta/text",
        "responses" if event["type"] != "response.output_text.delta" => return String::new(),
        "responses" => "/delta",
        other => return text_of(other, event),
    };
    event.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// (input, output) tokens, wherever the dialect puts them.
fn usage_of(kind: &str, body: &Value) -> (Option<u64>, Option<u64>) {
    let (input, output) = match kind {
        "chat" | "completion" => ("/usage/prompt_tokens", "/usage/completion_tokens"),
        "responses" | "messages" => ("/usage/input_tokens", "/usage/output_tokens"),
        _ => ("/usageMetadata/promptTokenCount", "/usageMetadata/candidatesTokenCount"),
    };
    (body.pointer(input).and_then(Value::as_u64), body.pointer(output).and_then(Value::as_u64))
}

#[tokio::test]
async fn every_dialect_says_the_same_text_and_usage() {
    let app = stub();
    for (at, (path, _, kind)) in TEXT_CALLS.iter().enumerate() {
        let answer = ask(&app, at, false, &[], "").await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
        assert_eq!(text_of(kind, &answer.json()), TEXT, "{path}");
        // "hello there": 11 bytes → 3 tokens; ten words.
        assert_eq!(usage_of(kind, &answer.json()), (Some(3), Some(10)), "{path}");
    }
}

#[tokio::test]
async fn streams_assemble_to_the_same_text_and_end_with_usage() {
    let app = stub();
    for (at, (path, _, kind)) in TEXT_CALLS.iter().enumerate() {
        let more = if at < 2 { r#","stream_options":{"include_usage":true}"# } else { "" };
        let answer = ask(&app, at, true, &[], more).await;
        assert!(answer.headers[CONTENT_TYPE].to_str().unwrap().starts_with("text/event-stream"), "{path}");
        let events = answer.events();
        let text: String = events.iter().map(|event| piece_of(kind, event)).collect();
        assert_eq!(text, TEXT, "{path}");
        let last = match *kind {
            "responses" => events.last().unwrap()["response"].clone(),
            // Input stands in the first event, output in the one before the last.
            "messages" => {
                let input = &events[0]["message"]["usage"]["input_tokens"];
                let output = &events[events.len() - 2]["usage"]["output_tokens"];
                json!({"usage": {"input_tokens": input, "output_tokens": output}})
            }
            _ => events.last().unwrap().clone(),
        };
        assert_eq!(usage_of(kind, &last), (Some(3), Some(10)), "{path}: {last}");
    }
    let served = stats(&app).await["served"].clone();
    assert_eq!(served, json!({"answers": 5, "input_tokens": 15, "output_tokens": 50, "by_model": {"m1": 5}}));
}

#[tokio::test]
async fn openai_streams_have_usage_only_when_asked() {
    let app = stub();
    for at in [0, 1] {
        let answer = ask(&app, at, true, &[], "").await;
        assert!(!answer.text.contains("usage"), "{}", answer.text);
        assert!(answer.text.ends_with("data: [DONE]\n\n"));
    }
}

#[tokio::test]
async fn no_usage_leaves_every_number_out() {
    let app = stub();
    for (at, (path, _, kind)) in TEXT_CALLS.iter().enumerate() {
        for stream in [false, true] {
            let more = if at < 2 { r#","stream_options":{"include_usage":true}"# } else { "" };
            let answer = ask(&app, at, stream, &[("x-stub-no-usage", "1")], more).await;
            let bodies = if stream { answer.events() } else { vec![answer.json()] };
            for body in bodies {
                for place in [&body, &body["response"], &body["message"]] {
                    assert_eq!(usage_of(kind, place), (None, None), "{path}: {body}");
                }
            }
        }
    }
}

#[tokio::test]
async fn pieces_sets_the_number_of_words_and_of_output_tokens() {
    let app = stub();
    for count in ["1", "4", "40"] {
        for (at, (path, _, kind)) in TEXT_CALLS.iter().enumerate() {
            let answer = ask(&app, at, true, &[("x-stub-pieces", count)], "").await;
            let pieces = answer.events().iter().filter(|event| !piece_of(kind, event).is_empty()).count();
            assert_eq!(pieces.to_string(), count, "{path}");
        }
    }
    assert_eq!(stats(&app).await["served"]["output_tokens"], 5 * (1 + 4 + 40));
}

#[tokio::test]
async fn gemini_without_sse_streams_one_json_list() {
    let app = stub();
    let body = r#"{"contents":[{"parts":[{"text":"hello there"}]}]}"#;
    for prefix in ["/v1beta", "/v1"] {
        let answer = post(&app, &format!("{prefix}/models/m1:streamGenerateContent"), &[], body).await;
        let list = answer.json();
        let text: String = list.as_array().unwrap().iter().map(|chunk| text_of("gemini", chunk)).collect();
        assert_eq!(text, TEXT);
    }
}

#[tokio::test]
async fn an_asked_for_status_has_the_dialects_shape() {
    let app = stub();
    let expected: [(usize, &str, Value); 3] = [
        (0, "/error/type", "server_error".into()),
        (3, "/error/type", "overloaded_error".into()),
        (4, "/error/status", "INTERNAL".into()),
    ];
    for (at, pointer, value) in expected {
        for stream in [false, true] {
            let answer = ask(&app, at, stream, &[("x-stub-status", "529")], "").await;
            assert_eq!(answer.status.as_u16(), 529);
            assert_eq!(answer.json().pointer(pointer), Some(&value), "{}", answer.text);
            assert_eq!(
                answer.json().pointer("/error/message"),
                Some(&json!("the stub was asked to answer 529"))
            );
        }
    }
    let stats = stats(&app).await;
    assert_eq!((&stats["failed"], &stats["served"]["answers"]), (&json!(6), &json!(0)));
}

/// Path, headers, body, and what the refusal says.
type Case = (&'static str, &'static [(&'static str, &'static str)], &'static str, &'static str);

#[tokio::test]
async fn a_wrong_request_or_control_is_refused_not_guessed() {
    let app = stub();
    let chat = "/v1/chat/completions";
    let good = r#"{"model":"m1","messages":[]}"#;
    let cases: [Case; 9] = [
        (chat, &[("x-stub-pieces", "0")], good, "`x-stub-pieces`"),
        (chat, &[("x-stub-pieces", "many")], good, "`x-stub-pieces`"),
        (chat, &[("x-stub-status", "200")], good, "`x-stub-status`"),
        (chat, &[("x-stub-delay-ms", "600001")], good, "from 0 to 600000"),
        (chat, &[], "{", "is not JSON"),
        (chat, &[], "[]", "not a JSON object"),
        (chat, &[], r#"{"model":7}"#, "no `model`"),
        ("/v1/embeddings", &[], r#"{"model":"m1"}"#, "no `input`"),
        ("/v1/audio/translations", &[("content-type", "multipart/form-data")], good, "no `boundary`"),
    ];
    for (path, headers, body, says) in cases {
        let answer = post(&app, path, headers, body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{headers:?} {body}");
        assert!(answer.text.contains(says), "{}", answer.text);
    }
    assert_eq!(stats(&app).await["failed"], 9);
    for path in ["/v1/models/m1:predict", "/v1beta/other", "/v1/messages/batches", "/v1/files"] {
        assert_eq!(post(&app, path, &[], good).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn echo_hash_is_of_the_received_bytes() {
    let app = stub();
    let body = r#"{"model":"m1","messages":[{"role":"user","content":"é"}]}"#;
    let answer = post(&app, "/v1/chat/completions", &[("x-stub-echo-hash", "1")], body).await;
    let sha256 = "fb1ca2f4ee29e8c4fc9e433a68145b2dcbbaabc143319ab65a9b84b37688f672";
    assert_eq!(answer.headers["x-stub-body-sha256"], sha256);
    let says = format!("The body is {} bytes, sha256 {sha256}.", body.len());
    assert!(text_of("chat", &answer.json()).contains(&says), "{}", answer.text);
    assert_eq!(stats(&app).await["bodies"], json!([{"model": "m1", "bytes": body.len(), "sha256": sha256}]));
}

#[tokio::test]
async fn a_tool_is_called_once_with_arguments_that_fit_its_schema() {
    let app = stub();
    let schema = json!({
        "type": "object", "required": ["city", "days", "unit"],
        "properties": {
            "city": {"type": "string"}, "days": {"type": "INTEGER"}, "unit": {"enum": ["C", "F"]}, "more": {"type": "array"},
        },
    });
    let arguments = json!({"city": "stub", "days": 1, "unit": "C"});
    let with_schema = |key: &str| json!({"name": "weather", key: schema});
    let nested = json!([{"type": "function", "function": with_schema("parameters")}]);
    let flat = json!([{"type": "function", "name": "weather", "parameters": schema}]);
    let declared = json!([{"functionDeclarations": [with_schema("parametersJsonSchema")]}]);
    let in_snake_case = json!([{"function_declarations": [with_schema("parameters_json_schema")]}]);
    let calls = [
        (0, nested, "/choices/0/message/tool_calls/0/function"),
        (2, flat, "/output/0"),
        (3, json!([with_schema("input_schema")]), "/content/0"),
        (4, declared, "/candidates/0/content/parts/0/functionCall"),
        (4, in_snake_case, "/candidates/0/content/parts/0/functionCall"),
    ];
    for (at, tools, pointer) in calls {
        let more = format!(r#","tools":{tools}"#);
        let tool = [("x-stub-tool", "1")];
        let answer = ask(&app, at, false, &tool, &more).await.json();
        let call = answer.pointer(pointer).unwrap_or_else(|| panic!("{answer}"));
        assert_eq!(call["name"], "weather");
        let given = ["arguments", "input", "args"].iter().find_map(|key| call.get(key)).unwrap();
        let given = given.as_str().map_or_else(|| given.clone(), |text| serde_json::from_str(text).unwrap());
        assert_eq!(given, arguments, "{answer}");
        // Without the control, or once the tool has answered, there is text.
        assert!(ask(&app, at, false, &[], &more).await.text.contains("I am the stub"));
        let streamed = ask(&app, at, true, &tool, &more).await;
        assert!(streamed.text.contains("weather") && !streamed.text.contains("I am the stub"));
    }
    let answered = r#"{"model":"m1","tools":[{"name":"weather","input_schema":{}}],
        "messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":"sun"}]}]}"#;
    let answer = post(&app, "/v1/messages", &[("x-stub-tool", "1")], answered).await;
    assert_eq!(text_of("messages", &answer.json()), "I am the stub playing `m1`. You said: sun");
}

#[tokio::test]
async fn embeddings_counts_and_media_answer_in_their_shapes() {
    let app = stub();
    let embed = |body: &'static str| post(&app, "/v1/embeddings", &[], body);
    let floats = embed(r#"{"model":"m1","input":["a","b"],"dimensions":2}"#).await.json();
    let lengths: Vec<_> = floats["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["embedding"].as_array().unwrap().len())
        .collect();
    assert_eq!(lengths, [2, 2]);
    let ids = embed(r#"{"model":"m1","input":[1,2,3],"encoding_format":"base64"}"#).await.json();
    assert_eq!((ids["data"].as_array().unwrap().len(), &ids["usage"]["prompt_tokens"]), (1, &json!(3)));
    assert_eq!(ids["data"][0]["embedding"].as_str().unwrap().len(), 44, "32 bytes as base64");
    assert_eq!(
        embed(r#"{"model":"m1","input":"a","dimensions":5000}"#).await.status,
        StatusCode::BAD_REQUEST
    );

    let content = r#"{"content":{"parts":[{"text":"four"}]}}"#;
    let one = post(&app, "/v1beta/models/m1:embedContent", &[], content).await.json();
    assert_eq!(one["embedding"]["values"].as_array().unwrap().len(), 8);
    let batch = format!(r#"{{"requests":[{content},{content}]}}"#);
    let many = post(&app, "/v1/models/m1:batchEmbedContents", &[], &batch).await.json();
    assert_eq!(many["embeddings"], json!([one["embedding"], one["embedding"]]));
    let count = r#"{"contents":[{"parts":[{"text":"12345"}]}]}"#;
    assert_eq!(post(&app, "/v1/models/m1:countTokens", &[], count).await.json()["totalTokens"], 2);
    let count = r#"{"model":"m1","messages":[{"role":"user","content":"12345"}]}"#;
    assert_eq!(post(&app, "/v1/messages/count_tokens", &[], count).await.json(), json!({"input_tokens": 2}));

    let image = post(&app, "/v1/images/generations", &[], r#"{"model":"m1","prompt":"cat"}"#).await.json();
    assert!(image["data"][0]["b64_json"].as_str().unwrap().starts_with("iVBORw0KGgo"));
    let speech = call_bytes(&app, r#"{"model":"m1","input":"hi","voice":"alloy"}"#).await;
    assert_eq!(speech, 9 * 1024, "nine words");
}

async fn call_bytes(app: &Router, body: &'static str) -> usize {
    let request = Request::post("/v1/audio/speech").body(Body::from(body)).unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    assert_eq!(response.headers()[CONTENT_TYPE], "audio/mpeg");
    to_bytes(response.into_body(), usize::MAX).await.unwrap().len()
}

#[tokio::test]
async fn a_form_is_read_and_answered() {
    let app = stub();
    let form = |format: &str| {
        let field = |name: &str, value: &str| {
            format!("--xyz\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let file = "--xyz\r\nContent-Disposition: form-data; filename=\"a.wav\"; name=\"file\"\r\n\r\n0123\r\n\r\n--89\r\n";
        format!("{}{file}{}--xyz--\r\n", field("model", "m1"), field("response_format", format))
    };
    let headers = [("content-type", "multipart/form-data; boundary=\"xyz\"")];
    let answer = post(&app, "/v1/audio/transcriptions", &headers, &form("json")).await;
    assert_eq!(answer.json()["text"], "I am the stub playing `m1`. You said: ");
    assert_eq!(answer.json()["usage"]["input_tokens"], 3, "twelve bytes of sound");
    let plain = post(&app, "/v1/audio/translations", &headers, &form("text")).await;
    assert_eq!(plain.headers[CONTENT_TYPE], "text/plain; charset=utf-8");
    let streamed = form("json").replace("response_format", "stream").replace("json", "true");
    let streamed = post(&app, "/v1/audio/transcriptions", &headers, &streamed).await;
    assert_eq!(streamed.events().last().unwrap()["type"], "transcript.text.done");
}

proptest! {
    #[test]
    fn no_form_makes_the_reader_panic(bytes in proptest::collection::vec(prop_oneof![Just(b'-'), Just(b'x'), Just(b'\r'), Just(b'\n'), any::<u8>()], 0..200)) {
        let _ = media::form("multipart/form-data; boundary=x", &bytes);
    }
}
