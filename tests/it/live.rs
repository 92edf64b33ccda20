//! The usage stream: figures at once and after each change, silence for who has seen them, heartbeats in it.

use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::Value;

use super::harness::{LONGEST, Rig};

const MODEL: &str = "gemini-2.0-flash";

/// A stream that is read event by event.
struct Events {
    answer: reqwest::Response,
    text: String,
}

impl Events {
    async fn open(rig: &Rig, token: &str, seen: Option<&str>) -> Self {
        let request = rig.http.get(format!("{}/api/usage/stream", rig.gateway().url)).bearer_auth(token);
        let request = match seen {
            Some(id) => request.header("last-event-id", id),
            None => request,
        };
        let answer = request.timeout(LONGEST).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()[CONTENT_TYPE], "text/event-stream");
        Self { answer, text: String::new() }
    }

    /// The next block of the stream: an event or a comment.
    async fn next(&mut self) -> String {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let rest = self.text.split_off(end + 2);
                return std::mem::replace(&mut self.text, rest);
            }
            let chunk = self.answer.chunk().await.unwrap().expect("the stream has ended");
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The next event that shows `messages`; those before it show a request in flight. Returns its id.
    async fn until(&mut self, messages: u64) -> String {
        loop {
            let block = self.next().await;
            let field = |name: &str| {
                block.lines().find_map(|line| line.strip_prefix(name)).map(|text| text.trim().to_owned())
            };
            let Some(data) = field("data:") else { continue };
            assert_eq!(field("event:").as_deref(), Some("usage"));
            let usage: Value = serde_json::from_str(&data).unwrap();
            if usage["totalMessages"] == messages && usage["limits"][0]["held"] == 0 {
                return field("id:").expect("an event without an id");
            }
        }
    }
}

#[tokio::test]
async fn a_stream_shows_usage_at_once_and_after_each_message() {
    let rig = Rig::start().await;
    let token = rig.token("alice");
    let mut events = Events::open(&rig, &token, None).await;
    let mut ids = vec![events.until(0).await];
    for messages in 1..=3 {
        assert_eq!(rig.chat(&token, MODEL).send().await.status, StatusCode::OK);
        ids.push(events.until(messages).await);
    }
    let all = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), all, "unlike figures have unlike ids");
    drop(events);
    rig.finish().await;
}

#[tokio::test]
async fn who_comes_back_with_the_last_id_is_sent_heartbeats_until_something_changes() {
    let rig = Rig::start().await;
    let token = rig.token("alice");
    let seen = Events::open(&rig, &token, None).await.until(0).await;
    let mut events = Events::open(&rig, &token, Some(&seen)).await;
    let block = events.next().await;
    assert!(block.starts_with(':'), "nothing has changed, so only a comment may come: {block}");
    assert_eq!(rig.chat(&token, MODEL).send().await.status, StatusCode::OK);
    let seen = events.until(1).await;
    drop(events);
    // what was missed is sent at once
    assert_eq!(rig.chat(&token, MODEL).send().await.status, StatusCode::OK);
    Events::open(&rig, &token, Some(&seen)).await.until(2).await;
    rig.finish().await;
}

#[tokio::test]
async fn a_stream_is_for_who_is_signed_in() {
    let rig = Rig::start().await;
    let url = format!("{}/api/usage/stream", rig.gateway().url);
    assert_eq!(rig.http.get(&url).send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    let expired = rig.expired_token("alice");
    assert_eq!(
        rig.http.get(&url).bearer_auth(expired).send().await.unwrap().status(),
        StatusCode::UNAUTHORIZED
    );
    rig.finish().await;
}
