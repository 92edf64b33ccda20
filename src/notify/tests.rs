//! Delivery, against receivers of its own: what is sent, what comes of each answer, and what is never connected to.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::address::is_public;
use super::deliver::BACKOFF_S;
use super::send::RETRY_AFTER_MAX_MS;
use super::sign::{body, signature};
use super::{Notifier, WebhookSecret, WebhookSettings};
use crate::clock::Clock;
use crate::store::StoreError;
use crate::store::audit::Audit;
use crate::store::outbox::{Attempt, Claim, Message, Outbox, OutboxCounts, Tried};
use crate::telemetry::Metrics;

/// 2026-11-24, in milliseconds since 1970.
const NOW: &str = "2026-11-24T12:00:00Z";
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn message(attempts: u32) -> Message {
    Message {
        id: "msg_1".to_owned(),
        webhook: "ops".to_owned(),
        event: "limit.threshold_reached".to_owned(),
        data: r#"{"userId":"ada"}"#.to_owned(),
        used: 8,
        at_ms: 0,
        state: "pending".to_owned(),
        attempts,
        next_try_at_ms: 0,
        ended_at_ms: None,
        last_status: None,
        last_error: String::new(),
    }
}

/// An outbox of one message, which remembers how the attempt ended.
struct One {
    message: Message,
    tried: Mutex<Vec<Tried>>,
}

#[async_trait]
impl Outbox for One {
    async fn claim(&self, _: &Claim<'_>) -> Result<Vec<Message>, StoreError> {
        Ok(vec![self.message.clone()])
    }

    async fn tried(&self, tried: &Tried) -> Result<(), StoreError> {
        self.tried.lock().unwrap().push(tried.clone());
        Ok(())
    }

    async fn undelivered(&self, _: Option<&str>, _: u32) -> Result<Vec<Message>, StoreError> {
        Ok(Vec::new())
    }

    async fn outbox_counts(&self) -> Result<OutboxCounts, StoreError> {
        Ok(OutboxCounts::default())
    }

    async fn retry(&self, _: Option<&str>, _: i64, _: Audit<'_>) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn forget_expired(&self, _: i64, _: u32) -> Result<u64, StoreError> {
        Ok(0)
    }
}

/// A receiver that answers the first request with these bytes and keeps it; without bytes it never answers.
async fn receiver(answer: Option<&'static str>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let requests = Arc::<Mutex<Vec<String>>>::default();
    let seen = Arc::clone(&requests);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 16 * 1024];
            let mut length = 0;
            // the test's own body is short: it ends the request
            while !request[..length].ends_with(b"}") {
                length += match stream.read(&mut request[length..]).await {
                    Ok(0) | Err(_) => break,
                    Ok(read) => read,
                };
            }
            seen.lock().unwrap().push(String::from_utf8_lossy(&request[..length]).into_owned());
            let Some(answer) = answer else { return std::future::pending().await };
            // a sender that reads no body may be gone before all is written
            drop(stream.write_all(answer.as_bytes()).await);
        }
    });
    (url, requests)
}

fn webhook(url: &str) -> WebhookSettings {
    WebhookSettings {
        name: "ops".to_owned(),
        url: url.to_owned(),
        secrets: vec![WebhookSecret::parse(SECRET).unwrap()],
        timeout_ms: 60_000,
        allow_private: true,
    }
}

/// How one attempt ends: attempt number `attempts` at this webhook.
async fn attempt(webhook: &WebhookSettings, attempts: u32) -> Tried {
    drop(rustls::crypto::ring::default_provider().install_default());
    let outbox = Arc::new(One { message: message(attempts), tried: Mutex::default() });
    let settings = Arc::new(ArcSwap::from_pointee(vec![webhook.clone()]));
    let (metrics, clock) = (Arc::new(Metrics::new().unwrap()), Clock::manual(NOW.parse().unwrap()));
    let notifier = Notifier::new(Arc::clone(&outbox) as Arc<dyn Outbox>, settings, metrics, clock).unwrap();
    notifier.empty(webhook).await;
    let mut tried = outbox.tried.lock().unwrap();
    assert_eq!(tried.len(), 1);
    tried.remove(0)
}

/// The wait until the next attempt, in milliseconds.
fn wait_ms(tried: &Tried) -> i64 {
    match tried.attempt {
        Attempt::Again(at_ms) => at_ms - tried.now_ms,
        ref other => panic!("{other:?}"),
    }
}

/// The example of the specification's own libraries.
#[test]
fn a_signature_is_the_one_of_the_specification() {
    let secret = WebhookSecret::parse(SECRET).unwrap();
    let (id, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", r#"{"test": 2432232314}"#);
    let one = signature(std::slice::from_ref(&secret), id, 1_614_265_330, body).unwrap();
    assert_eq!(one, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    let other = WebhookSecret::parse("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").unwrap();
    let both = signature(&[other, secret], id, 1_614_265_330, body).unwrap();
    assert!(both.ends_with(&format!(" {one}")) && both.split(' ').count() == 2, "{both}");
}

#[test]
fn secrets_are_read_strictly_and_never_shown() {
    for wrong in ["", "whsec_", "whsec_c2hvcnQ=", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_!"] {
        assert_eq!(WebhookSecret::parse(wrong), None, "{wrong}");
    }
    assert_eq!(format!("{:?}", WebhookSecret::parse(SECRET).unwrap()), "WebhookSecret([redacted])");
}

#[test]
fn a_body_carries_type_time_and_data() {
    assert_eq!(
        body(&message(1)).unwrap(),
        r#"{"data":{"used":8,"userId":"ada"},"timestamp":"1970-01-01T00:00:00Z","type":"limit.threshold_reached"}"#
    );
    let broken = Message { data: "[]".to_owned(), ..message(1) };
    assert!(body(&broken).is_err());
}

#[tokio::test]
async fn a_2xx_delivers() {
    let (url, requests) = receiver(Some("HTTP/1.1 204 No Content\r\n\r\n")).await;
    let tried = attempt(&webhook(&url), 1).await;
    assert_eq!((tried.attempt, tried.status), (Attempt::Delivered, Some(204)));
    let requests = requests.lock().unwrap();
    let request = requests[0].to_lowercase();
    assert!(requests.len() == 1 && request.starts_with("post /hook http/1.1"), "{request}");
    for header in ["webhook-id: msg_1", "webhook-timestamp: 1795521600", "webhook-signature: v1,"] {
        assert!(request.contains(header), "{header}: {request}");
    }
}

#[tokio::test]
async fn a_failure_waits_longer_each_time_and_then_dies() {
    let (url, _) = receiver(Some("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n")).await;
    for (attempts, wait_s) in (1..).zip(BACKOFF_S) {
        let tried = attempt(&webhook(&url), attempts).await;
        let wait_ms = wait_ms(&tried);
        assert!((wait_s * 1_000..=wait_s * 1_200).contains(&wait_ms), "attempt {attempts}: {wait_ms} ms");
    }
    let last = attempt(&webhook(&url), 10).await;
    assert_eq!((last.attempt, last.status), (Attempt::Dead, Some(503)));
}

/// The next attempt is never before the time that the receiver named, and never put off for good.
#[tokio::test]
async fn a_busy_receiver_says_when_to_come_again() {
    let backoff_ms = BACKOFF_S[0] * 1_000;
    let hour_ms = 3_600_000;
    for (status, after, at_least_ms) in [
        ("429 Busy", "3600", hour_ms),
        ("503 Busy", " 3600 ", hour_ms),
        ("503 Busy", "Tue, 24 Nov 2026 13:00:00 GMT", hour_ms),
        ("429 Busy", "Tuesday, 24-Nov-26 13:00:00 GMT", hour_ms),
        ("429 Busy", "Tue Nov 24 13:00:00 2026", hour_ms),
        ("429 Busy", "9999999999999999999999", RETRY_AFTER_MAX_MS),
        ("503 Busy", "Sun, 24 Nov 2199 12:00:00 GMT", RETRY_AFTER_MAX_MS),
        // shorter than our own wait, past, unreadable, or of an answer that does not speak of being busy
        ("429 Busy", "1", backoff_ms),
        ("429 Busy", "0", backoff_ms),
        ("503 Busy", "Tue, 24 Nov 2026 11:00:00 GMT", backoff_ms),
        ("429 Busy", "soon", backoff_ms),
        ("429 Busy", "-3600", backoff_ms),
        ("429 Busy", "", backoff_ms),
        ("500 Broken", "3600", backoff_ms),
    ] {
        let answer = format!("HTTP/1.1 {status}\r\nretry-after: {after}\r\ncontent-length: 0\r\n\r\n");
        let (url, _) = receiver(Some(answer.leak())).await;
        let wait_ms = wait_ms(&attempt(&webhook(&url), 1).await);
        assert!((at_least_ms..=at_least_ms / 5 * 6).contains(&wait_ms), "{status}, {after}: {wait_ms} ms");
    }
    // our own longer wait stays, and the last attempt stays the last
    let asks = "HTTP/1.1 503 Busy\r\nretry-after: 3600\r\ncontent-length: 0\r\n\r\n";
    let (url, _) = receiver(Some(asks)).await;
    assert!(wait_ms(&attempt(&webhook(&url), 9).await) >= BACKOFF_S[8] * 1_000);
    assert_eq!(attempt(&webhook(&url), 10).await.attempt, Attempt::Dead);
}

#[tokio::test]
async fn gone_is_final() {
    let (url, _) = receiver(Some("HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n")).await;
    let tried = attempt(&webhook(&url), 1).await;
    assert_eq!((tried.attempt, tried.status), (Attempt::Dead, Some(410)));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (target, followed) = receiver(Some("HTTP/1.1 200 OK\r\n\r\n")).await;
    let answer = format!("HTTP/1.1 307 Moved\r\nlocation: {target}\r\ncontent-length: 0\r\n\r\n");
    let (url, _) = receiver(Some(answer.leak())).await;
    let tried = attempt(&webhook(&url), 1).await;
    assert_eq!(tried.status, Some(307));
    assert!(wait_ms(&tried) > 0 && followed.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_receiver_that_never_answers_is_left() {
    let (url, _) = receiver(None).await;
    let tried = attempt(&WebhookSettings { timeout_ms: 50, ..webhook(&url) }, 1).await;
    assert!(wait_ms(&tried) > 0 && tried.status.is_none());
    assert!(!tried.error.is_empty() && !tried.error.contains("/hook"), "{}", tried.error);
}

#[tokio::test]
async fn the_answers_body_is_not_waited_for() {
    let huge = "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\nand so on";
    let (url, _) = receiver(Some(huge)).await;
    assert_eq!(attempt(&webhook(&url), 1).await.attempt, Attempt::Delivered);
}

#[tokio::test]
async fn a_private_receiver_is_not_connected_to() {
    let (url, requests) = receiver(Some("HTTP/1.1 200 OK\r\n\r\n")).await;
    let port = url.trim_end_matches("/hook").rsplit(':').next().unwrap().to_owned();
    // every form of writing 127.0.0.1, a name that leads there, and IPv6 in which it hides
    let hosts = [
        "127.0.0.1",
        "127.1",
        "0x7f000001",
        "2130706433",
        "0177.0.0.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
    ];
    for host in hosts {
        let url = format!("http://{host}:{port}/hook");
        let tried = attempt(&WebhookSettings { allow_private: false, ..webhook(&url) }, 1).await;
        assert!(
            wait_ms(&tried) > 0 && tried.error.contains("inside a private network"),
            "{host}: {}",
            tried.error
        );
    }
    assert!(requests.lock().unwrap().is_empty());
}

#[test]
fn only_the_public_internet_is_public() {
    let inside = "0.0.0.0 10.1.2.3 100.64.0.1 127.0.0.1 169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.1 192.0.2.1
        192.168.1.1 198.18.0.1 198.51.100.1 203.0.113.1 224.0.0.1 240.0.0.1 255.255.255.255 :: ::1 ::ffff:10.0.0.1
        ::ffff:169.254.169.254 ::127.0.0.1 64:ff9b::a00:1 100::1 2001::1 2001:db8::1 2002:7f00:1:: 3fff::1 fc00::1
        fd00:ec2::254 fe80::1 fec0::1 ff02::1";
    for address in inside.split_whitespace() {
        assert!(!is_public(address.parse::<IpAddr>().unwrap()), "{address}");
    }
    let outside =
        "1.1.1.1 172.15.255.255 172.32.0.1 100.63.0.1 192.0.1.1 2606:4700::1111 2a00:1450::1 ::ffff:1.1.1.1";
    for address in outside.split_whitespace() {
        assert!(is_public(address.parse::<IpAddr>().unwrap()), "{address}");
    }
}
