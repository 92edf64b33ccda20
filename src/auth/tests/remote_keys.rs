//! JWKS URLs: rotation, floods, outages and hostile servers, against a tiny server of our own.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::jwks_files::{jwk, jwk_of, set};
use super::setup_errors::rustls_provider;
use super::{
    NOW_S, authenticator_at, clock, encoding_key, forge_with, secret_issuer, signed_by_key, standard, token,
    verdict,
};
use crate::auth::settings::{Algorithm, IssuerSettings, JwksUrl, KeySource};
use crate::auth::{AuthError, Authenticator};
use crate::clock::Clock;

/// What the server does with a request.
#[derive(Clone)]
enum Answer {
    Text { status: &'static str, headers: String, body: String, delay: Duration },
    Endless,
    Drip,
    Close,
}

struct Server {
    url: String,
    hits: Arc<AtomicUsize>,
    answer: Arc<Mutex<Answer>>,
}

impl Server {
    async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        let server = Self { url, hits: Arc::default(), answer: Arc::new(Mutex::new(answer)) };
        let (hits, answer) = (Arc::clone(&server.hits), Arc::clone(&server.answer));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                hits.fetch_add(1, Ordering::SeqCst);
                let answer = answer.lock().unwrap().clone();
                tokio::spawn(serve(stream, answer));
            }
        });
        server
    }

    fn hits(&self) -> usize {
        self.hits.load(Ordering::SeqCst)
    }

    fn set(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }
}

/// Serves one request a connection; a client that goes away early is its own business.
async fn serve(mut stream: tokio::net::TcpStream, answer: Answer) {
    let mut request = [0; 4_096];
    if stream.read(&mut request).await.is_err() {
        return;
    }
    match answer {
        Answer::Text { status, headers, body, delay } => {
            tokio::time::sleep(delay).await;
            let length = body.len();
            let text = format!(
                "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{body}"
            );
            stream.write_all(text.as_bytes()).await.ok();
        }
        Answer::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n").await.ok();
            while stream.write_all(&[b' '; 8_192]).await.is_ok() {}
        }
        Answer::Drip => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n").await.ok();
            while stream.write_all(b" ").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
        Answer::Close => {}
    }
}

fn ok(body: String) -> Answer {
    Answer::Text { status: "200 OK", headers: String::new(), body, delay: Duration::ZERO }
}

fn status(status: &'static str, headers: &str) -> Answer {
    Answer::Text { status, headers: headers.to_owned(), body: "<html>".to_owned(), delay: Duration::ZERO }
}

fn first_key() -> Value {
    jwk_of(Algorithm::Rs256, "rsa2048", &json!({ "kid": "first" }))
}

fn second_key() -> Value {
    jwk_of(Algorithm::Rs256, "rsa2048_other", &json!({ "kid": "second" }))
}

fn first_token(user: &str) -> String {
    let changes = json!({ "sub": user, "exp": NOW_S + 1_000_000 });
    signed_by_key(Algorithm::Rs256, "rsa2048", Some("first"), &changes)
}

fn second_token(user: &str) -> String {
    let changes = json!({ "sub": user, "exp": NOW_S + 1_000_000 });
    signed_by_key(Algorithm::Rs256, "rsa2048_other", Some("second"), &changes)
}

/// An issuer behind the server's URL.
fn issuer(server: &Server) -> IssuerSettings {
    let algorithms = vec![Algorithm::Rs256, Algorithm::Es256];
    IssuerSettings::new("idp", algorithms, KeySource::JwksUrl(JwksUrl::new(&server.url)))
}

/// An authenticator with that issuer alone.
fn behind(server: &Server) -> (Arc<Authenticator>, Clock) {
    rustls_provider();
    let clock = clock();
    (Arc::new(authenticator_at(vec![issuer(server)], clock.clone())), clock)
}

#[tokio::test]
async fn a_new_key_is_taken_after_one_fetch_and_a_removed_one_refused() {
    let server = Server::start(ok(set(&[first_key()]))).await;
    let (authenticator, clock) = behind(&server);
    assert!(verdict(&authenticator, &first_token("a")).await.is_ok());
    assert_eq!(server.hits(), 1);
    let cached = standard(&first_token("a"));
    assert!(authenticator.cached(&cached).is_some());

    // Overlap: many requests with the new key at once all pass, with one fetch.
    server.set(Answer::Text {
        status: "200 OK",
        headers: String::new(),
        body: set(&[first_key(), second_key()]),
        delay: Duration::from_millis(100),
    });
    clock.advance(Duration::from_secs(61));
    let mut requests = tokio::task::JoinSet::new();
    for user in 0..20 {
        let authenticator = Arc::clone(&authenticator);
        requests
            .spawn(async move { verdict(&authenticator, &second_token(&user.to_string())).await.is_ok() });
    }
    assert!(requests.join_all().await.into_iter().all(|good| good));
    assert_eq!(server.hits(), 2);
    assert!(verdict(&authenticator, &first_token("a")).await.is_ok());

    // The old key goes: at the next refresh, even what was verified by it is refused.
    server.set(ok(set(&[second_key()])));
    clock.advance(Duration::from_secs(601));
    assert!(authenticator.cached(&cached).is_some());
    authenticator.refresh_due().await;
    assert_eq!(authenticator.cached(&cached), None);
    assert_eq!(verdict(&authenticator, &first_token("a")).await, Err(AuthError::Signature));
    assert!(verdict(&authenticator, &second_token("a")).await.is_ok());
}

#[tokio::test]
async fn an_unchanged_set_keeps_verified_tokens() {
    let server = Server::start(ok(set(&[first_key()]))).await;
    let (authenticator, clock) = behind(&server);
    let credential = standard(&first_token("a"));
    authenticator.authenticate(&credential).await.unwrap();
    clock.advance(Duration::from_secs(601));
    authenticator.refresh_due().await;
    assert_eq!(server.hits(), 2);
    assert!(authenticator.cached(&credential).is_some());
    authenticator.refresh_due().await;
    assert_eq!(server.hits(), 2);
}

#[tokio::test]
async fn made_up_key_ids_do_not_become_requests() {
    let server = Server::start(ok(set(&[first_key()]))).await;
    let (authenticator, clock) = behind(&server);
    authenticator.refresh_due().await;
    assert_eq!(server.hits(), 1);
    // The signature is never looked at: one good one serves all forgeries.
    let forged = |kid: &str| {
        let header = json!({ "alg": "ES256", "kid": kid }).to_string();
        let key = encoding_key(Algorithm::Es256, "p256");
        forge_with(Algorithm::Es256, &key, &header, &super::claims(&json!({})).to_string())
    };
    for minute in 0..3 {
        let mut requests = tokio::task::JoinSet::new();
        for number in 0..100 {
            let (authenticator, token) = (Arc::clone(&authenticator), forged(&format!("{minute}-{number}")));
            requests.spawn(async move { verdict(&authenticator, &token).await });
        }
        for verdict in requests.join_all().await {
            assert_eq!(verdict, Err(AuthError::Signature));
        }
        assert_eq!(server.hits(), 1 + minute, "minute {minute}");
        assert!(verdict(&authenticator, &first_token("good")).await.is_ok());
        clock.advance(Duration::from_secs(61));
    }

    // A key id that a fresh set did not have is not asked for again, minute after minute.
    assert_eq!(verdict(&authenticator, &forged("again")).await, Err(AuthError::Signature));
    let hits = server.hits();
    for _ in 0..5 {
        clock.advance(Duration::from_secs(61));
        assert_eq!(verdict(&authenticator, &forged("again")).await, Err(AuthError::Signature));
    }
    assert_eq!(server.hits(), hits);
}

#[tokio::test]
async fn a_server_that_is_down_at_start_means_503_until_it_is_up() {
    let server = Server::start(Answer::Close).await;
    let (authenticator, clock) = behind(&server);
    assert_eq!(authenticator.without_keys(), ["idp"]);
    for _ in 0..5 {
        assert_eq!(verdict(&authenticator, &first_token("a")).await, Err(AuthError::KeysUnavailable));
    }
    let hits = server.hits();
    assert!((1..=2).contains(&hits), "{hits} (the client may repeat a request that was cut off at once)");

    server.set(ok(set(&[first_key()])));
    assert_eq!(verdict(&authenticator, &first_token("a")).await, Err(AuthError::KeysUnavailable));
    clock.advance(Duration::from_secs(5));
    assert!(verdict(&authenticator, &first_token("a")).await.is_ok());
    assert!(authenticator.without_keys().is_empty());
}

#[tokio::test]
async fn a_missing_server_does_not_stop_other_issuers() {
    let server = Server::start(Answer::Close).await;
    rustls_provider();
    let issuer =
        IssuerSettings::new("idp", vec![Algorithm::Rs256], KeySource::JwksUrl(JwksUrl::new(&server.url)));
    let authenticator = authenticator_at(vec![issuer, secret_issuer()], clock());
    assert!(verdict(&authenticator, &token(&json!({}))).await.is_ok());
    assert_eq!(server.hits(), 0);
}

#[tokio::test]
async fn bad_answers_keep_the_last_good_keys_until_the_stale_limit() {
    let elsewhere = Server::start(ok(set(&[second_key()]))).await;
    let location = format!("location: {}\r\n", elsewhere.url);
    let server = Server::start(ok(set(&[first_key()]))).await;
    let (authenticator, clock) = behind(&server);
    authenticator.refresh_due().await;
    let bad = [
        status("500 Internal Server Error", ""),
        status("200 OK", ""),
        status("404 Not Found", ""),
        status("302 Found", &location),
        status("307 Temporary Redirect", &location),
        status("301 Moved", "location: http://169.254.169.254/latest/meta-data\r\n"),
        ok(r#"{"keys":[]}"#.to_owned()),
        ok(set(&[json!({ "kty": "oct", "kid": "first", "k": "AAAA" })])),
        ok(set(&[jwk_of(Algorithm::Rs256, "rsa1024", &json!({ "kid": "first" }))])),
        Answer::Endless,
        Answer::Close,
    ];
    for (place, answer) in bad.into_iter().enumerate() {
        server.set(answer);
        clock.advance(Duration::from_secs(601));
        let hits = server.hits();
        authenticator.refresh_due().await;
        assert!(server.hits() > hits, "answer {place} was not asked for");
        assert!(verdict(&authenticator, &first_token("a")).await.is_ok(), "answer {place}");
        // A key that we cannot look for is not the caller's fault.
        let unknown = verdict(&authenticator, &second_token("a")).await;
        assert_eq!(unknown, Err(AuthError::KeysUnavailable), "answer {place}");
    }
    assert_eq!(elsewhere.hits(), 0, "a redirect was followed");

    let credential = standard(&first_token("a"));
    assert!(authenticator.cached(&credential).is_some());
    clock.advance(Duration::from_hours(24));
    assert_eq!(authenticator.cached(&credential), None);
    assert_eq!(verdict(&authenticator, &first_token("a")).await, Err(AuthError::KeysUnavailable));
    assert_eq!(authenticator.without_keys(), ["idp"]);
}

#[tokio::test]
async fn a_reload_goes_on_with_the_last_good_keys_of_a_server_that_is_away() {
    let server = Server::start(ok(set(&[first_key()]))).await;
    let (before, clock) = behind(&server);
    before.refresh_due().await;
    server.set(Answer::Close);
    let more_algorithms = IssuerSettings {
        algorithms: vec![Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa],
        ..issuer(&server)
    };
    for issuer in [issuer(&server), more_algorithms] {
        server.set(Answer::Close);
        let after = authenticator_at(vec![issuer], clock.clone());
        after.take_over_keys(&before);
        let hits = server.hits();
        after.refresh_due().await;
        assert!(server.hits() > hits, "a reload asks for new keys at once");
        assert!(verdict(&after, &first_token("a")).await.is_ok());
        // what is there by now is taken, though its text may be the same
        server.set(ok(set(&[first_key(), second_key()])));
        clock.advance(Duration::from_secs(601));
        after.refresh_due().await;
        assert!(verdict(&after, &second_token("a")).await.is_ok());
    }
    server.set(Answer::Close);
    let late = authenticator_at(vec![issuer(&server)], clock.clone());
    clock.advance(Duration::from_hours(24));
    late.take_over_keys(&before);
    assert_eq!(
        verdict(&late, &first_token("a")).await,
        Err(AuthError::KeysUnavailable),
        "keys grow old all the same"
    );
}

#[tokio::test]
async fn a_slow_server_is_given_five_seconds() {
    let server = Server::start(Answer::Drip).await;
    let (authenticator, _clock) = behind(&server);
    let watch = crate::clock::Stopwatch::start();
    assert_eq!(verdict(&authenticator, &first_token("a")).await, Err(AuthError::KeysUnavailable));
    assert!((4_500..7_000).contains(&watch.elapsed_ms()), "{} ms", watch.elapsed_ms());
}

#[tokio::test]
async fn a_client_that_leaves_does_not_take_the_fetch_with_it() {
    let answer = Answer::Text {
        status: "200 OK",
        headers: String::new(),
        body: set(&[first_key()]),
        delay: Duration::from_millis(300),
    };
    let server = Server::start(answer).await;
    let (authenticator, _clock) = behind(&server);
    let token = first_token("a");
    let left = tokio::time::timeout(Duration::from_millis(100), verdict(&authenticator, &token)).await;
    assert!(left.is_err(), "the answer came too soon to leave");
    // The second request waits for the fetch that the first began.
    assert!(verdict(&authenticator, &token).await.is_ok());
    assert_eq!(server.hits(), 1);
}

#[tokio::test]
async fn keys_and_addresses_in_a_header_are_never_used() {
    let attacker = Server::start(ok(set(&[second_key()]))).await;
    let server = Server::start(ok(set(&[first_key()]))).await;
    let (authenticator, _clock) = behind(&server);
    let attackers_key = encoding_key(Algorithm::Rs256, "rsa2048_other");
    for kid in ["first", "second"] {
        let header = json!({
            "alg": "RS256",
            "kid": kid,
            "jwk": second_key(),
            "jku": attacker.url,
            "x5u": attacker.url,
            "x5c": ["AAAA"],
        });
        let payload = super::claims(&json!({ "iss": attacker.url })).to_string();
        let token = forge_with(Algorithm::Rs256, &attackers_key, &header.to_string(), &payload);
        assert_eq!(verdict(&authenticator, &token).await, Err(AuthError::Signature));
    }
    assert_eq!(attacker.hits(), 0);
}

#[tokio::test]
async fn keys_come_in_the_background_for_as_long_as_they_are_wanted() {
    let server = Server::start(ok(set(&[first_key(), jwk(Algorithm::Es256, &json!({ "kid": "e" }))]))).await;
    let (authenticator, _clock) = behind(&server);
    let task = tokio::spawn(authenticator.keep_fresh());
    let keys_came = async {
        while !authenticator.without_keys().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), keys_came).await.unwrap();
    assert_eq!(server.hits(), 1);
    drop(authenticator);
    tokio::time::timeout(Duration::from_secs(10), task).await.unwrap().unwrap();
}
