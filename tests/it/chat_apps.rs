//! Open WebUI and LibreChat as they really call: their headers and bodies for a message, for the tasks behind it and for
//! the list of models, with the user that they vouch for. Only the text of the prompts is shortened.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use http::StatusCode;
use jsonwebtoken::EncodingKey;
use jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER;
use jsonwebtoken::jwk::Jwk;
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use sha2::Sha256;
use tollgate::clock::Clock;

use super::apps::{BACKGROUND, MODEL, used, with_apps};
use super::harness::{Answer, Rig, Served, Setup, Tape, Upstream, eventually, json_reply, signal};

const FORWARD_SECRET: &str = "a secret of Open WebUI, of at least 32 bytes";
/// The key of Open WebUI's connection, and LibreChat's `apiKey`: they say nothing of the user.
const CONNECTION_KEY: &str = "the-connection";
const ANONYMOUS_MODEL: &str = "gemini-2.0-flash";
const ISSUER: &str = "https://id.example/realms/chat";
const RSA_KEY: &[u8] = include_bytes!("../../src/auth/tests/keys/rsa2048.private.pem");

fn setup(apps: String) -> Setup {
    Setup::default().change(move |file| {
        file["quota"]["anonymous_keys"] = toml_edit::value(toml_edit::Array::from_iter([CONNECTION_KEY]));
        with_apps(file, &apps);
    })
}

fn open_webui() -> Setup {
    let apps = format!("[[apps]]\npreset = \"open-webui\"\nsecret = \"{FORWARD_SECRET}\"\ntrusted = true\n");
    setup(apps)
}

fn librechat(provider: &Provider) -> Setup {
    let url = format!("http://{}/realms/chat/protocol/openid-connect/certs", provider.keys.address);
    let lines =
        format!("jwks_url = \"{url}\"\nissuer = \"{ISSUER}\"\naudience = \"tollgate\"\ntrusted = true\n");
    setup(format!("[[apps]]\npreset = \"librechat\"\n{lines}"))
}

fn now_s() -> i64 {
    Clock::system().now_ms() / 1_000
}

fn jwt(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let signature = URL_SAFE_NO_PAD.encode(sign(message.as_bytes()));
    format!("{message}.{signature}")
}

/// Who is asking, as Open WebUI signs it (`utils/headers.py`), valid from `from_s` on for `life_s` seconds.
fn forwarded(user: &str, role: &str, (from_s, life_s): (i64, i64)) -> String {
    let claims = json!({
        "sub": user, "email": format!("{user}@mail.example"), "name": format!("Name of {user}"), "role": role,
        "iss": "open-webui", "iat": from_s, "exp": from_s + life_s,
    });
    jwt(&json!({ "alg": "HS256", "typ": "JWT" }), &claims, |message| {
        let mut mac = Hmac::<Sha256>::new_from_slice(FORWARD_SECRET.as_bytes()).unwrap();
        mac.update(message);
        mac.finalize().into_bytes().to_vec()
    })
}

/// A request of Open WebUI's backend with the headers of its connection; `{{TASK}}` is empty in a user's turn.
fn from_open_webui(request: RequestBuilder, jwt: Option<&str>, task: &str, message: &str) -> RequestBuilder {
    let request = request
        .header("user-agent", "Python/3.11 aiohttp/3.13.2")
        .header("accept", "*/*")
        .header("accept-encoding", "gzip, deflate")
        .bearer_auth(CONNECTION_KEY)
        .header("x-openwebui-chat-id", "secret-chat")
        .header("x-tollgate-task", task)
        .header("x-tollgate-message-id", message);
    match jwt {
        Some(jwt) => request.header("x-openwebui-user-jwt", jwt),
        None => request,
    }
}

/// The user's turn.
fn turn(stream: bool) -> Value {
    json!({
        "stream": stream, "model": MODEL,
        "messages": [{ "role": "system", "content": "Be brief." }, { "role": "user", "content": "Why is the sky blue?" }],
        "stream_options": { "include_usage": true },
    })
}

/// What Open WebUI asks a model for behind a turn (`routers/tasks.py`).
fn behind_a_turn() -> [(&'static str, Value); 3] {
    let body = |prompt: &str| json!({ "model": MODEL, "messages": [{ "role": "user", "content": prompt }], "stream": false });
    let mut title =
        body("### Task:\nGenerate a concise, 3-5 word title with an emoji summarizing the chat history.");
    title["max_completion_tokens"] = 1_000.into();
    [
        ("title_generation", title),
        (
            "tags_generation",
            body("### Task:\nGenerate 1-3 broad tags categorizing the main themes of the chat history."),
        ),
        ("follow_up_generation", body("### Task:\nSuggest 3-5 relevant follow-up questions or prompts.")),
    ]
}

fn post(rig: &Rig) -> RequestBuilder {
    rig.http.post(format!("{}/v1/chat/completions", rig.gateway().url))
}

fn get(rig: &Rig, path: &str) -> RequestBuilder {
    rig.http.get(format!("{}{path}", rig.gateway().url))
}

async fn sent(request: RequestBuilder) -> Answer {
    Answer::read(request.send().await.unwrap()).await.unwrap()
}

fn ids(list: &Answer) -> Vec<String> {
    assert_eq!(list.status, StatusCode::OK, "{}", list.text());
    let list = list.json();
    list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_turn_in_open_webui_is_one_message_and_what_it_asks_behind_it_is_background() {
    let rig = Rig::with(open_webui()).await;
    let token = rig.token("ann");
    for turns in 1..=2 {
        let signed = || forwarded("ann", "user", (now_s(), 300));
        let message = format!("message-{turns}");
        let call = from_open_webui(post(&rig), Some(&signed()), "", &message).json(&turn(true));
        let answer = sent(call).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        assert_eq!(answer.header("content-type"), "text/event-stream");
        assert!(answer.text().contains("\"usage\":{"), "it asked for the usage: {}", answer.text());
        for (task, body) in behind_a_turn() {
            let answer = sent(from_open_webui(post(&rig), Some(&signed()), task, &message).json(&body)).await;
            assert_eq!(answer.status, StatusCode::OK, "{task}: {}", answer.text());
            assert!(answer.json()["choices"][0]["message"]["content"].is_string(), "{task}");
        }
        let usage = rig.usage(&token).await;
        // the second turn's tasks find the cap spent: they are messages of their own
        assert_eq!(used(&usage, "background"), BACKGROUND);
        assert_eq!(used(&usage, "messages"), if turns == 1 { 1 } else { 5 });
    }
    let books = rig.finish().await;
    let rows: Vec<_> =
        books.rows.iter().map(|row| (row.user.as_deref().unwrap(), row.task.as_str())).collect();
    assert!(rows.iter().all(|(user, _)| *user == "ann"), "{rows:?}");
    let tasks: Vec<&str> = rows.iter().map(|(_, task)| *task).collect();
    assert_eq!(tasks[..4], ["", "title_generation", "tags_generation", "follow_up_generation"]);
    assert!(tasks[4..].iter().all(|task| task.is_empty()), "{tasks:?}");
}

#[tokio::test]
async fn open_webui_lists_models_for_its_user_and_at_its_start_for_nobody() {
    let rig = Rig::with(open_webui()).await;
    let signed = forwarded("ann", "user", (now_s(), 300));
    let mine = ids(&sent(from_open_webui(get(&rig, "/v1/models"), Some(&signed), "", "")).await);
    assert!(mine.iter().any(|id| id == "claude-3-opus"), "{mine:?}");
    // no user is known: the connection's key counts as none
    let at_start = ids(&sent(from_open_webui(get(&rig, "/v1/models"), None, "", "")).await);
    assert_eq!(at_start, [ANONYMOUS_MODEL]);
    let nobody = sent(from_open_webui(post(&rig), None, "", "m").json(&turn(false))).await;
    assert_eq!(nobody.status, StatusCode::FORBIDDEN, "{}", nobody.text());
    rig.finish().await;
}

#[tokio::test]
async fn open_webuis_signature_is_checked_each_time_and_its_plain_headers_say_nothing() {
    let rig = Rig::with(open_webui()).await;
    let expect = async |jwt: &str, status: StatusCode, why: &str| {
        let call = from_open_webui(post(&rig), Some(jwt), "", "").json(&turn(false));
        let call = call.header("x-openwebui-user-id", "mallory").header("x-openwebui-user-role", "admin");
        let answer = sent(call).await;
        assert_eq!(answer.status, status, "{why}: {}", answer.text());
    };
    expect(&forwarded("ann", "user", (now_s(), 300)), StatusCode::OK, "as it should be").await;
    expect(&forwarded("ann", "user", (now_s() - 900, 300)), StatusCode::UNAUTHORIZED, "ten minutes old")
        .await;
    expect(&forwarded("ann", "user", (now_s(), 3_600)), StatusCode::UNAUTHORIZED, "longer than it signs for")
        .await;
    let signed = forwarded("ann", "user", (now_s(), 300));
    let (head, signature) = signed.rsplit_once('.').unwrap();
    let other = forwarded("bob", "user", (now_s(), 300));
    let grafted = format!("{}.{signature}", other.rsplit_once('.').unwrap().0);
    expect(&grafted, StatusCode::UNAUTHORIZED, "another user under this signature").await;
    expect(&format!("{head}."), StatusCode::UNAUTHORIZED, "no signature").await;
    // the role is a claim like any other: an administrator there is one here
    for (role, status) in [("user", StatusCode::FORBIDDEN), ("admin", StatusCode::OK)] {
        let jwt = forwarded("boss", role, (now_s(), 300));
        let answer = sent(from_open_webui(get(&rig, "/api/analytics?days=1"), Some(&jwt), "", "")).await;
        assert_eq!(answer.status, status, "{role}");
    }
    let books = rig.finish().await;
    assert_eq!(books.rows.len(), 1);
    assert_eq!(books.rows[0].user.as_deref(), Some("ann"));
}

/// An OpenID provider: its keys at a URL, and its users' access tokens.
struct Provider {
    keys: Tape,
    key: EncodingKey,
}

impl Provider {
    async fn start() -> Self {
        let key = EncodingKey::from_rsa_pem(RSA_KEY).unwrap();
        let jwk = Jwk::from_encoding_key(&key, jsonwebtoken::Algorithm::RS256).unwrap();
        let mut jwk = serde_json::to_value(jwk).unwrap();
        (jwk["kid"], jwk["use"]) = ("first".into(), "sig".into());
        let keys = Tape::start(json_reply("200 OK", &json!({ "keys": [jwk] }).to_string())).await;
        Self { keys, key }
    }

    /// An access token in Keycloak's shape, with changes laid over it.
    fn token(&self, user: &str, changes: &Value) -> String {
        let mut claims = json!({
            "exp": now_s() + 300, "iat": now_s(), "jti": "secret-jti", "iss": ISSUER,
            "aud": ["tollgate", "account"], "sub": user, "typ": "Bearer", "azp": "librechat",
            "sid": "secret-session", "scope": "openid profile email offline_access",
            "realm_access": { "roles": ["offline_access", "uma_authorization"] },
            "name": format!("Name of {user}"), "preferred_username": user, "email": format!("{user}@mail.example"),
        });
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let header = json!({ "alg": "RS256", "typ": "JWT", "kid": "first" });
        jwt(&header, &claims, |message| {
            let signer =
                (DEFAULT_PROVIDER.signer_factory)(&jsonwebtoken::Algorithm::RS256, &self.key).unwrap();
            signer.try_sign(message).unwrap()
        })
    }
}

/// A request of LibreChat's server with the headers of `config/librechat.toml` and of a trusted message.
fn from_librechat(request: RequestBuilder, bearer: &str, message: &str) -> RequestBuilder {
    request
        .header("user-agent", "OpenAI/JS 5.11.0")
        .header("accept", "application/json")
        .header("x-stainless-lang", "js")
        .header("x-stainless-retry-count", "0")
        .header("authorization", format!("Bearer {bearer}"))
        .header("x-tollgate-user", "secret-librechat-id")
        .header("x-tollgate-chat-id", "secret-conversation")
        .header("x-tollgate-message-id", message)
}

/// The user's turn in LibreChat, which names its own id of the user in the body.
fn librechat_turn() -> Value {
    let mut body = turn(true);
    body["user"] = "librechat-id-in-the-body".into();
    body
}

fn librechat_title(model: &str) -> Value {
    let prompt = "Provide a concise, 5-word-or-less title for the conversation, using title case conventions. \
                  Only return the title itself.\n\nConversation:\nUser: Why is the sky blue?\nAI: It scatters.";
    json!({ "model": model, "messages": [{ "role": "user", "content": prompt }], "user": "librechat-id-in-the-body" })
}

#[tokio::test]
async fn librechat_users_are_counted_by_the_token_of_their_own_sign_in() {
    let provider = Provider::start().await;
    let rig = Rig::with(librechat(&provider)).await;
    let (ann, bob) = (provider.token("ann", &json!({})), provider.token("bob", &json!({})));
    let chat = async |bearer: &str, message: &str, body: &Value| {
        sent(from_librechat(post(&rig), bearer, message).json(body)).await
    };
    let answer = chat(&ann, "m1", &librechat_turn()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert!(answer.text().ends_with("data: [DONE]\n\n"), "{}", answer.text());
    // the title names the message that it is for, so it is a repeat of what is paid for
    assert_eq!(chat(&ann, "m1", &librechat_title(MODEL)).await.status, StatusCode::OK);
    assert_eq!(chat(&bob, "m1", &librechat_turn()).await.status, StatusCode::OK);
    assert_eq!(chat(&ann, "m2", &librechat_turn()).await.status, StatusCode::OK);
    // an endpoint of its own for titles marks them: then another model may write them
    let titles = from_librechat(post(&rig), &ann, "m2").header("x-tollgate-task", "title");
    assert_eq!(sent(titles.json(&librechat_title(ANONYMOUS_MODEL))).await.status, StatusCode::OK);
    for (user, messages, background) in [("ann", 2, 1), ("bob", 1, 0)] {
        let usage = rig.usage(&rig.token(user)).await;
        assert_eq!((used(&usage, "messages"), used(&usage, "background")), (messages, background), "{user}");
    }
    // what a user sees in the chat page comes by the same token
    let own = sent(from_librechat(get(&rig, "/api/usage"), &ann, "")).await;
    assert_eq!((&own.json()["userId"], &own.json()["totalMessages"]), (&"ann".into(), &2.into()));
    let books = rig.finish().await;
    let rows: Vec<_> = books
        .rows
        .iter()
        .map(|row| (row.user.as_deref().unwrap(), row.task.as_str(), row.attempt, row.messages))
        .collect();
    let wanted =
        [("ann", "", 1, 1), ("ann", "", 2, 0), ("bob", "", 1, 1), ("ann", "", 1, 1), ("ann", "title", 0, 0)];
    assert_eq!(rows, wanted);
}

#[tokio::test]
async fn librechat_lists_the_models_of_the_token_and_an_empty_one_is_nobody() {
    let provider = Provider::start().await;
    let rig = Rig::with(librechat(&provider)).await;
    let list = async |bearer: &str| sent(from_librechat(get(&rig, "/v1/models"), bearer, "")).await;
    let mine = ids(&list(&provider.token("ann", &json!({}))).await);
    assert!(mine.iter().any(|id| id == "claude-3-opus"), "{mine:?}");
    // a user who signed in another way has no token, and the placeholder is empty
    assert_eq!(ids(&list("").await), [ANONYMOUS_MODEL]);
    let nobody = sent(from_librechat(post(&rig), "", "m1").json(&librechat_turn())).await;
    assert_eq!(nobody.status, StatusCode::FORBIDDEN, "{}", nobody.text());
    for (bearer, why) in [
        (provider.token("ann", &json!({ "exp": now_s() - 3_600 })), "expired"),
        (provider.token("ann", &json!({ "aud": "account" })), "for another audience"),
        (provider.token("ann", &json!({ "iss": "https://id.example/realms/other" })), "of another realm"),
        ("{{LIBRECHAT_OPENID_ACCESS_TOKEN}}".to_owned(), "a placeholder that was not filled"),
        ("an-opaque-token".to_owned(), "opaque, as Auth0 gives without an audience"),
    ] {
        let refused = sent(from_librechat(post(&rig), &bearer, "m1").json(&librechat_turn())).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{why}: {}", refused.text());
        assert_eq!(refused.header("x-should-retry"), "false", "{why}");
        assert_eq!(refused.json()["error"]["type"], "authentication_error", "{why}");
    }
    assert!(rig.finish().await.rows.is_empty());
}

#[tokio::test]
async fn a_reload_while_the_identity_provider_is_away_locks_nobody_out() {
    let provider = Provider::start().await;
    let rig = Rig::with(librechat(&provider)).await;
    let ask = async |user: &str| {
        let bearer = provider.token(user, &json!({}));
        sent(from_librechat(post(&rig), &bearer, "m1").json(&librechat_turn())).await
    };
    assert_eq!(ask("ann").await.status, StatusCode::OK);
    provider.keys.stop();
    signal(rig.gateway().pid(), "HUP");
    let reloads = async || rig.gateway().metric_where("tollgate_config_reloads_total", "ok").await;
    eventually("the configuration is not taken over", async || (reloads().await == 1).then_some(())).await;
    for user in ["ann", "bob"] {
        let answer = ask(user).await;
        assert_eq!(answer.status, StatusCode::OK, "{user}: {}", answer.text());
    }
    rig.finish().await;
}

#[tokio::test]
async fn nothing_that_names_the_user_reaches_the_upstream_in_a_header() {
    let reply = json_reply("200 OK", "{}").replace("content-type", "connection: close\r\ncontent-type");
    let tape = Tape::start(reply).await;
    let upstream = Upstream::Other(tape.address);
    let webui = Rig::with(Setup { upstream, ..open_webui() }).await;
    let signed = forwarded("ann", "user", (now_s(), 300));
    let calls = behind_a_turn().into_iter().chain([("", turn(true))]);
    for (task, body) in calls {
        let call = from_open_webui(post(&webui), Some(&signed), task, "secret-message").json(&body);
        let call =
            call.header("x-openwebui-user-email", "ann@mail.example").header("x-openwebui-user-name", "Ann");
        assert_eq!(sent(call).await.status, StatusCode::OK);
    }
    let provider = Provider::start().await;
    let libre = Rig::with(Setup { upstream, ..librechat(&provider) }).await;
    let token = provider.token("ann", &json!({}));
    for body in [librechat_turn(), librechat_title(MODEL)] {
        let call =
            from_librechat(post(&libre), &token, "secret-message").header("cookie", "session=secret-cookie");
        assert_eq!(sent(call.json(&body)).await.status, StatusCode::OK);
    }
    let requests = tape.requests();
    assert_eq!(requests.len(), 6);
    for request in requests {
        let head = request.split_once("\r\n\r\n").unwrap().0.to_ascii_lowercase();
        let tokens = [signed.as_str(), token.as_str()];
        for private in
            ["secret", "mail.example", "openwebui", "x-tollgate", CONNECTION_KEY].into_iter().chain(tokens)
        {
            assert!(!head.contains(&private.to_ascii_lowercase()), "{private}: {head}");
        }
        assert!(head.contains("user-agent: "), "what is the app's own passes: {head}");
    }
    webui.finish_where(Served::Elsewhere).await;
    libre.finish_where(Served::Elsewhere).await;
}
