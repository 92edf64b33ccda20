//! Chat apps, end to end: which calls are messages, who speaks for whom, and that a claim gains no more than the
//! configuration gives.

use http::StatusCode;
use toml_edit::DocumentMut;

use super::harness::{Dialect, Rig, SECRET, Served, ServerRig, Setup, Tape, Upstream, json_reply};

pub(super) const MODEL: &str = "gpt-4o-mini";
/// Background calls that the plan `free` gives a month in these tests.
pub(super) const BACKGROUND: u64 = 3;
const MESSAGES: u64 = 100;
const SERVICE_KEY: &str = "a-service-key-for-tests-only";

/// The shipped configuration with a cap on background calls, and these apps.
pub(super) fn setup(apps: &'static str) -> Setup {
    Setup::default().change(move |file| with_apps(file, apps))
}

pub(super) fn with_apps(file: &mut DocumentMut, apps: &str) {
    let more = format!(
        r#"
        [[plans.free.limits]]
        name = "background"
        meter = "background"
        max = {BACKGROUND}
        per = "month"
        {apps}"#
    );
    *file = format!("{file}\n{more}").parse().unwrap();
}

const OPEN_WEBUI: &str = r#"
        [[apps]]
        preset = "open-webui"
        callers = ["chat"]"#;

/// Used of a limit, as the user's own usage shows it.
pub(super) fn used(usage: &serde_json::Value, limit: &str) -> u64 {
    let limits = usage["limits"].as_array().unwrap();
    let limit = limits.iter().find(|shown| shown["name"] == limit).unwrap();
    limit["used"].as_u64().unwrap()
}

#[tokio::test]
async fn background_calls_are_no_messages_up_to_the_cap_and_messages_beyond_it() {
    let rig = Rig::with(setup(OPEN_WEBUI)).await;
    let token = rig.token("alice");
    for number in 1..=BACKGROUND {
        let call = rig.chat(&token, MODEL).header("x-tollgate-task", "title_generation");
        let answer = call.send().await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        assert!(answer.header("ratelimit").starts_with(&format!("\"background\";r={}", BACKGROUND - number)));
    }
    let usage = rig.usage(&token).await;
    assert_eq!((used(&usage, "background"), used(&usage, "messages")), (BACKGROUND, 0));
    assert_eq!(usage["totalMessages"], 0);
    let beyond = rig.chat(&token, MODEL).header("x-tollgate-task", "tags_generation").send().await;
    assert_eq!(beyond.status, StatusCode::OK);
    assert!(beyond.header("ratelimit").starts_with("\"messages\";r=99"), "{}", beyond.header("ratelimit"));
    let usage = rig.usage(&token).await;
    assert_eq!((used(&usage, "background"), used(&usage, "messages")), (BACKGROUND, 1));
    assert_eq!(usage["canSendMessage"], true, "a spent cap is no matter to messages");
    let books = rig.finish().await;
    assert_eq!(books.messages(), 1);
    let tasks: Vec<&str> = books.rows.iter().map(|row| row.task.as_str()).collect();
    assert_eq!(tasks, ["title_generation", "title_generation", "title_generation", ""]);
}

#[tokio::test]
async fn a_hostile_user_gains_the_cap_and_nothing_more() {
    let rig = Rig::with(setup(OPEN_WEBUI)).await;
    let token = rig.token("mallory");
    let mut answered = 0;
    for _ in 0..MESSAGES + 2 * BACKGROUND {
        let answer = rig.chat(&token, MODEL).header("x-tollgate-task", "title_generation").send().await;
        match answer.status {
            StatusCode::OK => answered += 1,
            StatusCode::TOO_MANY_REQUESTS => {
                assert!(answer.message().starts_with("Message quota exhausted: 100 of 100"));
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!(answered, MESSAGES + BACKGROUND);
    assert_eq!(rig.stub.requests().await, MESSAGES + BACKGROUND, "refused calls stay away from the upstream");
    rig.finish().await;
}

#[tokio::test]
async fn a_class_is_heard_from_the_apps_own_callers_alone() {
    const OTHERS: &str = r#"
        [[apps]]
        preset = "open-webui"
        secret = "a secret of Open WebUI, of at least 32 bytes""#;
    let rig = Rig::with(setup(OTHERS)).await;
    let token = rig.token("alice");
    let call = rig.chat(&token, MODEL).header("x-tollgate-task", "title_generation");
    assert_eq!(call.send().await.status, StatusCode::OK);
    let usage = rig.usage(&token).await;
    assert_eq!((used(&usage, "background"), used(&usage, "messages")), (0, 1));
    rig.finish().await;
}

#[tokio::test]
async fn without_a_cap_in_the_plan_every_call_is_a_message() {
    let rig = Rig::with(Setup::default().change(|file| {
        *file = format!("{file}\n[[apps]]\npreset = \"claude-code\"\n").parse().unwrap();
    }))
    .await;
    let token = rig.token("alice");
    let call = rig.chat(&token, MODEL).header("x-claude-code-request-class", "auxiliary");
    assert_eq!(call.send().await.status, StatusCode::OK);
    assert_eq!(rig.usage(&token).await["totalMessages"], 1);
    let books = rig.finish().await;
    assert_eq!((books.messages(), books.rows[0].task.as_str()), (1, ""));
}

#[tokio::test]
async fn a_service_speaks_for_its_users_from_its_own_address_alone() {
    const SERVICES: &str = r#"
        [[apps]]
        preset = "librechat"
        key = "a-service-key-for-tests-only"
        peers = ["127.0.0.1/32"]

        [[apps]]
        name = "elsewhere"
        key = "a-service-key-of-another-peer"
        peers = ["192.0.2.0/24"]
        user_header = "x-chat-user""#;
    let rig = Rig::with(setup(SERVICES)).await;
    for (user, text) in [("ann", "one"), ("bob", "two"), ("ann", "three")] {
        let call = rig.chat(SERVICE_KEY, MODEL).header("x-tollgate-user", user).text(text);
        assert_eq!(call.send().await.status, StatusCode::OK);
    }
    let nameless = rig.chat(SERVICE_KEY, MODEL).send().await;
    assert_eq!(nameless.status, StatusCode::UNAUTHORIZED, "{}", nameless.text());
    for template in ["{{LIBRECHAT_USER_ID}}", ""] {
        let call = rig.chat(SERVICE_KEY, MODEL).header("x-tollgate-user", template);
        assert_eq!(call.send().await.status, StatusCode::UNAUTHORIZED, "{template}");
    }
    let stranger = rig.chat("a-service-key-of-another-peer", MODEL).header("x-chat-user", "ann");
    // a header says nothing of who opened the connection
    let stranger = stranger.header("x-forwarded-for", "192.0.2.7").send().await;
    assert_eq!(stranger.status, StatusCode::UNAUTHORIZED);
    assert!(stranger.message().contains("not accepted from this address"), "{}", stranger.message());
    assert!(rig.gateway().log().contains("a service key was shown by a peer that is not in `peers`"));
    // without the key the header says nothing
    let carol = rig.token("carol");
    assert_eq!(rig.chat(&carol, MODEL).header("x-tollgate-user", "ann").send().await.status, StatusCode::OK);
    let books = rig.finish().await;
    let users: Vec<_> = books.rows.iter().map(|row| row.user.as_deref().unwrap()).collect();
    assert_eq!(users, ["ann", "bob", "ann", "carol"]);
}

#[tokio::test]
async fn the_signed_user_of_open_webui_is_the_caller_and_a_forged_one_nobody() {
    use tollgate::auth::{Algorithm, IssuerSettings, KeySource, Secret, TokenRequest, sign};
    const SIGNED: &str = r#"
        [[apps]]
        preset = "open-webui"
        secret = "a secret of Open WebUI, of at least 32 bytes""#;
    let rig = Rig::with(setup(SIGNED)).await;
    let token = |secret: &str| {
        let secret = KeySource::Secret(Secret::new(secret));
        let mut issuer = IssuerSettings::new("open-webui", vec![Algorithm::Hs256], secret);
        issuer.issuer = Some("open-webui".to_owned());
        let request = TokenRequest { user: "ann".to_owned(), ttl_s: 300, ..TokenRequest::default() };
        sign(&issuer, &request, tollgate::clock::Clock::system().now_us()).unwrap()
    };
    let signed = token("a secret of Open WebUI, of at least 32 bytes");
    let call = rig.chat("open-webui", MODEL).header("x-openwebui-user-jwt", &signed);
    let answer = call.header("x-tollgate-task", "title_generation").send().await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let forged = token(SECRET);
    let answer = rig.chat("open-webui", MODEL).header("x-openwebui-user-jwt", forged).send().await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    let books = rig.finish().await;
    assert_eq!(books.rows.len(), 1);
    assert_eq!(
        (books.rows[0].user.as_deref(), books.rows[0].task.as_str()),
        (Some("ann"), "title_generation")
    );
}

#[tokio::test]
async fn a_trusted_message_is_charged_once_for_three_attempts() {
    const TRUSTED: &str = r#"
        [[apps]]
        preset = "open-webui"
        callers = ["chat"]
        trusted = true"#;
    let rig = Rig::with(setup(TRUSTED)).await;
    let token = rig.token("alice");
    let send = async |id: &str, model: &str| {
        let answer = rig.chat(&token, model).header("x-tollgate-message-id", id).send().await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        used(&rig.usage(&token).await, "messages")
    };
    for (number, expected) in [1, 1, 1, 2, 2, 2, 3].into_iter().enumerate() {
        assert_eq!(send("m1", MODEL).await, expected, "attempt {number}");
    }
    assert_eq!(send("m2", MODEL).await, 4, "another message");
    assert_eq!(send("m2", "gemini-2.0-flash").await, 5, "another model");
    // an attempt that failed was not charged: the next one is
    let call = rig.chat(&token, MODEL).header("x-tollgate-message-id", "m3");
    assert_eq!(call.header("x-stub-status", 400).send().await.status, StatusCode::BAD_REQUEST);
    assert_eq!(send("m3", MODEL).await, 6);
    assert_eq!(send("m3", MODEL).await, 6);
    // a background call that names the message is no attempt of it
    let call = rig.chat(&token, MODEL).header("x-tollgate-message-id", "m4");
    assert_eq!(call.header("x-tollgate-task", "title_generation").send().await.status, StatusCode::OK);
    assert_eq!(send("m4", MODEL).await, 7);
    let books = rig.finish().await;
    assert_eq!(books.messages(), 7);
    let first: Vec<u64> = books.rows.iter().take(7).map(|row| row.attempt).collect();
    assert_eq!(first, [1, 2, 3, 1, 2, 3, 1]);
}

#[tokio::test]
async fn message_ids_of_an_app_that_is_not_trusted_gain_nothing() {
    let rig = Rig::with(setup(OPEN_WEBUI)).await;
    let token = rig.token("mallory");
    for _ in 0..3 {
        let call = rig.chat(&token, MODEL).header("x-tollgate-message-id", "m1");
        assert_eq!(call.send().await.status, StatusCode::OK);
    }
    assert_eq!(rig.usage(&token).await["totalMessages"], 3);
    let books = rig.finish().await;
    assert!(books.rows.iter().all(|row| row.attempt == 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_racing_repeats_on_two_gateways_two_are_free() {
    const TRUSTED: &str = r#"
        [[apps]]
        preset = "open-webui"
        callers = ["chat"]
        trusted = true"#;
    const RACERS: usize = 12;
    let rig = ServerRig::with(Setup { gateways: 2, ..setup(TRUSTED) }, &[]).await;
    let token = rig.token("alice");
    let call = |number: usize| {
        let call = rig.call_at(number % 2, Dialect::OpenAi, MODEL).token(&token);
        call.header("x-tollgate-message-id", "m1")
    };
    assert_eq!(call(0).send().await.status, StatusCode::OK);
    rig.quiet().await;
    // none of them ends before the last one was decided: no new message with repeats of its own begins
    let racers = (0..RACERS).map(|number| tokio::spawn(call(number).header("x-stub-delay-ms", 2_000).send()));
    for answer in futures_util::future::join_all(racers).await {
        assert_eq!(answer.unwrap().status, StatusCode::OK);
    }
    let books = rig.finish().await;
    assert_eq!(books.messages(), 1 + RACERS as u64 - 2);
    let mut attempts: Vec<u64> =
        books.rows.iter().map(|row| row.attempt).filter(|number| *number > 1).collect();
    attempts.sort_unstable();
    assert_eq!(attempts, [2, 3]);
}

#[tokio::test]
async fn no_header_that_names_a_person_or_a_message_reaches_the_upstream() {
    const SERVICE: &str = r#"
        [[apps]]
        name = "chat-app"
        key = "a-service-key-for-tests-only"
        peers = ["127.0.0.1/32"]
        user_header = "x-chat-person"
        team_header = "x-chat-crew"
        message_id_header = "x-chat-turn"
        task_headers = ["x-claude-code-request-class"]"#;
    let tape = Tape::start(json_reply("200 OK", "{}")).await;
    let setup = Setup { upstream: Upstream::Other(tape.address), ..setup(SERVICE) };
    let rig = Rig::with(setup).await;
    let call = rig
        .chat(SERVICE_KEY, MODEL)
        .header("x-chat-person", "secret-ann")
        .header("x-chat-crew", "secret-crew");
    let call = call.header("x-chat-turn", "secret-turn").header("x-tollgate-user", "secret-tollgate");
    let call =
        call.header("x-openwebui-user-email", "secret-mail").header("x-librechat-user", "secret-libre");
    let call = call.header("x-claude-code-request-class", "main");
    assert_eq!(call.send().await.status, StatusCode::OK);
    let request = tape.requests().remove(0).to_ascii_lowercase();
    assert!(!request.contains("secret") && !request.contains(SERVICE_KEY), "{request}");
    assert!(
        request.contains("x-claude-code-request-class: main"),
        "the client's own headers pass: {request}"
    );
    rig.finish_where(Served::Elsewhere).await;
}
