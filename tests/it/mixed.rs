//! A thousand calls of every kind at once, a fifth of them given up at random points: what is charged is what the upstream
//! answered, no message twice and none lost, nothing held, and `tollgate verify` finds nothing.
//!
//! A client leaves either before the upstream has answered (the stub is told never to) or after it has the answer's
//! header. In between, no gateway can know whether the upstream's answer was on its way.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use toml_edit::value;

use super::harness::{Books, Rig, ServerRig, Setup, eventually, h2c_client, within};

const MODEL: &str = "gemini-2.0-flash";
/// Longer than any test lives.
const NEVER_MS: u32 = 600_000;
/// Each sends far fewer messages than the plan has.
const USERS: usize = 40;
/// On a busy machine the counters may be late: the gateway says so, and a client asks again.
const PUT_OFF: StatusCode = StatusCode::SERVICE_UNAVAILABLE;
/// Calls at once.
const AT_ONCE: usize = 32;

/// A linear congruential generator (Knuth's MMIX): a run can be repeated by its seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// How a client behaves.
#[derive(Clone, Copy, Debug)]
enum Patience {
    Whole,
    /// Leaves so long after asking; the upstream never answers.
    BeforeTheAnswer(Duration),
    /// Leaves after so many pieces of the body.
    After(u64),
}

/// Path, body and whether it is counted.
struct Kind {
    path: String,
    body: Body,
    counted: bool,
}

enum Body {
    Json(Value),
    Audio,
}

fn kinds() -> Vec<Kind> {
    let counted = |path: &str, body| Kind { path: path.to_owned(), body: Body::Json(body), counted: true };
    let chat = |stream: bool| json!({ "model": MODEL, "messages": [{ "role": "user", "content": "hello" }], "stream": stream });
    let responses = |stream: bool| json!({ "model": MODEL, "input": "hello", "stream": stream });
    let messages = |stream: bool| {
        let mut body = chat(stream);
        body["max_tokens"] = 100.into();
        body
    };
    let contents = json!({ "contents": [{ "role": "user", "parts": [{ "text": "hello" }] }] });
    let gemini = |version: &str, verb: &str| format!("/{version}/models/{MODEL}:{verb}");
    let count = json!({ "model": MODEL, "messages": [{ "role": "user", "content": "hello" }] });
    vec![
        counted("/v1/chat/completions", chat(false)),
        counted("/v1/chat/completions", chat(true)),
        counted("/v1/completions", json!({ "model": MODEL, "prompt": "hello" })),
        counted("/v1/responses", responses(false)),
        counted("/v1/responses", responses(true)),
        counted("/v1/embeddings", json!({ "model": MODEL, "input": ["a", "b"] })),
        Kind { path: "/v1/audio/transcriptions".to_owned(), body: Body::Audio, counted: true },
        counted("/v1/audio/speech", json!({ "model": MODEL, "input": "hello", "voice": "alloy" })),
        counted("/v1/images/generations", json!({ "model": MODEL, "prompt": "a gate" })),
        counted("/v1/messages?beta=true", messages(false)),
        counted("/v1/messages", messages(true)),
        counted(&gemini("v1beta", "generateContent"), contents.clone()),
        counted(&gemini("v1", "generateContent"), contents.clone()),
        counted(&gemini("v1beta", "streamGenerateContent?alt=sse"), contents.clone()),
        counted(&gemini("v1beta", "streamGenerateContent"), contents.clone()),
        counted(&gemini("v1beta", "embedContent"), json!({ "content": { "parts": [{ "text": "hello" }] } })),
        Kind { path: "/v1/messages/count_tokens".to_owned(), body: Body::Json(count), counted: false },
        Kind { path: gemini("v1beta", "countTokens"), body: Body::Json(contents), counted: false },
    ]
}

const BOUNDARY: &str = "a-boundary";

fn with_body(request: RequestBuilder, body: &Body) -> RequestBuilder {
    match body {
        Body::Json(body) => request.header("content-type", "application/json").body(body.to_string()),
        Body::Audio => {
            let part = |head: &str, body: &str| {
                format!("--{BOUNDARY}\r\ncontent-disposition: form-data; {head}\r\n\r\n{body}\r\n")
            };
            let form = part("name=\"model\"", MODEL)
                + &part("name=\"file\"; filename=\"a.wav\"", "RIFF, or so")
                + &format!("--{BOUNDARY}--\r\n");
            request.header("content-type", format!("multipart/form-data; boundary={BOUNDARY}")).body(form)
        }
    }
}

/// Asks until the call is not put off.
async fn answered(request: RequestBuilder) -> Response {
    loop {
        let answer = request.try_clone().unwrap().send().await.unwrap();
        if answer.status() != PUT_OFF {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Sends it and behaves so. True: a whole answer came.
async fn one(request: RequestBuilder, patience: Patience) -> bool {
    if let Patience::BeforeTheAnswer(after) = patience {
        if let Ok(answer) = tokio::time::timeout(after, request.send()).await {
            assert_eq!(answer.unwrap().status(), PUT_OFF, "the stub was told not to answer");
        }
        return false;
    }
    let mut response = within("an answer that is not put off", answered(request)).await;
    assert_eq!(response.status(), StatusCode::OK, "{}", response.url());
    let mut left = match patience {
        Patience::After(pieces) => pieces,
        _ => u64::MAX,
    };
    while left > 0 {
        if within("a piece", response.chunk()).await.unwrap().is_none() {
            return true;
        }
        left -= 1;
    }
    false
}

/// The ids of counted calls whose answer came whole, and how many counted calls saw an answer at all.
struct Outcome {
    whole: Vec<String>,
    answered: u64,
}

async fn run(rig: &Rig, calls: usize) -> Outcome {
    let (kinds, h2c) = (kinds(), h2c_client());
    let mut dice = Dice(20_261_124);
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = Vec::new();
    for number in 0..calls {
        let kind = &kinds[number % kinds.len()];
        let patience = match (dice.roll(5), dice.roll(3)) {
            (0, 0) => Patience::BeforeTheAnswer(Duration::from_millis(dice.roll(50))),
            (0, 1) => Patience::After(0),
            (0, _) => Patience::After(dice.roll(8)),
            _ => Patience::Whole,
        };
        let token = rig.token(&format!("user-{}", number % USERS));
        let id = format!("mixed-{number}");
        let http = if dice.roll(2) == 0 { &rig.http } else { &h2c };
        let request = http.post(format!("{}{}", rig.gateway().url, kind.path));
        let request = request.bearer_auth(token).header("x-request-id", &id);
        let request = request.header("x-stub-pieces", 1 + dice.roll(20));
        let request = request.header("x-stub-piece-delay-ms", dice.roll(3));
        let request = match patience {
            Patience::BeforeTheAnswer(_) => request.header("x-stub-delay-ms", NEVER_MS),
            Patience::Whole | Patience::After(_) => request,
        };
        let request = with_body(request, &kind.body);
        let (places, counted) = (Arc::clone(&places), kind.counted);
        running.push(tokio::spawn(async move {
            let _place = places.acquire().await.unwrap();
            let whole = one(request, patience).await;
            let answered = counted && !matches!(patience, Patience::BeforeTheAnswer(_));
            ((whole && counted).then_some(id), answered)
        }));
    }
    let mut outcome = Outcome { whole: Vec::new(), answered: 0 };
    for call in running {
        let (whole, answered) = call.await.unwrap();
        outcome.whole.extend(whole);
        outcome.answered += u64::from(answered);
    }
    outcome
}

/// `tollgate verify` on the gateway's host finds no difference once all is settled.
async fn verify(rig: &Rig) {
    eventually("`tollgate verify` finds differences", async || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
        command.arg("verify").arg("-c").arg(&rig.gateway().config).env_clear().stdin(Stdio::null());
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.success() && said.starts_with("0 differences in ")).then_some(())
    })
    .await;
}

/// `finish` has held ledger, totals, usage API and upstream against each other, held units among them.
fn check(books: &Books, outcome: &Outcome, calls: usize) {
    assert!(outcome.whole.len() > calls / 2 && outcome.whole.len() < calls, "a fifth leaves");
    assert_eq!(books.messages(), outcome.answered, "messages charged, and answers that clients saw begin");
    for id in &outcome.whole {
        let row = books.row(id);
        assert_eq!((row.messages, row.status), (1, 200), "{row:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_mixed_calls_with_a_fifth_given_up_are_charged_as_the_upstream_answered_them() {
    let rig = Rig::start().await;
    let outcome = run(&rig, 1_000).await;
    rig.quiet().await;
    verify(&rig).await;
    check(&rig.finish().await, &outcome, 1_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drained_answers_are_charged_the_same_and_none_is_estimated() {
    let rig = Rig::with(Setup::default().change(|file| {
        let stub = file["upstreams"].as_array_of_tables_mut().unwrap().get_mut(0).unwrap();
        stub["on_disconnect"] = value("drain");
    }))
    .await;
    let outcome = run(&rig, 300).await;
    rig.quiet().await;
    verify(&rig).await;
    let stats = rig.stub.stats().await;
    let books = rig.finish().await;
    check(&books, &outcome, 300);
    // what was left unread was read by the gateway: tokens are the upstream's own
    let charged = books.rows.iter().filter(|row| row.messages == 1);
    let cut: Vec<_> = charged.filter(|row| row.outcome == "cancelled" && row.estimated).collect();
    assert!(cut.is_empty(), "{cut:?}");
    assert_eq!(stats["served"]["answers"], outcome.answered);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_mixed_calls_agree_on_redis_and_postgres() {
    let rig = ServerRig::start(1).await;
    let outcome = run(&rig, 1_000).await;
    rig.quiet().await;
    verify(&rig).await;
    check(&rig.finish().await, &outcome, 1_000);
}
