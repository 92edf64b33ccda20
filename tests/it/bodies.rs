//! Request bodies: large ones pass unchanged, chunked ones too, and those over the limit are refused while they arrive.

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream;
use http::StatusCode;
use reqwest::Body;
use sha2::{Digest, Sha256};

use super::harness::{Dialect, Rig, Wire, h2c_client};

const MIB: usize = 1 << 20;
const MODEL: &str = "gemini-2.0-flash";

fn hash(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

/// Text of every kind of byte that JSON lets pass, so that a lost or doubled piece changes the hash.
fn long_text(bytes: usize) -> String {
    let mut text = String::with_capacity(bytes + 32);
    for number in 0_u64.. {
        if text.len() >= bytes {
            break;
        }
        text.push_str(&format!("{number} \u{e9}\u{1f600}\t\"\\ "));
    }
    text
}

#[tokio::test]
async fn a_10_mib_prompt_passes_h1_and_h2c_unchanged_in_every_dialect() {
    let rig = Rig::start().await;
    let token = rig.token("alice");
    let text = long_text(10 * MIB);
    let h2c = h2c_client();
    for dialect in Dialect::ALL {
        for (protocol, http) in [("h1", &rig.http), ("h2c", &h2c)] {
            let call = rig.call(dialect, MODEL).token(&token).text(text.clone()).through(http);
            let call = call.header("x-stub-echo-hash", "1");
            let sent = hash(&call.body());
            let answer = call.send().await;
            assert_eq!(answer.status, StatusCode::OK, "{dialect:?} {protocol}: {}", answer.text());
            assert_eq!(answer.header("x-stub-body-sha256"), sent, "{dialect:?} {protocol}");
        }
    }
    rig.finish().await;
}

#[tokio::test]
async fn a_chunked_h1_body_arrives_whole() {
    let rig = Rig::start().await;
    let token = rig.token("alice");
    let call = rig.chat(&token, MODEL).text(long_text(MIB)).header("x-stub-echo-hash", "1");
    let body = call.body();
    let sent = hash(&body);
    // sizes around every boundary that a parser may have
    let sizes = [1, 2, 3, 5, 255, 256, 257, 4095, 4096, 4097, 65_535, 65_536, 65_537].into_iter().cycle();
    let mut rest = Bytes::from(body);
    let pieces: Vec<Bytes> =
        sizes.map_while(|size| (!rest.is_empty()).then(|| rest.split_to(size.min(rest.len())))).collect();
    let chunked = Body::wrap_stream(stream::iter(pieces.into_iter().map(Ok::<_, std::io::Error>)));
    let answer = call.send_bytes(chunked).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert_eq!(answer.header("x-stub-body-sha256"), sent);
    rig.finish().await;
}

#[tokio::test]
async fn a_body_declared_too_long_is_413_before_it_comes() {
    let rig = Rig::start().await;
    let token = rig.token("alice");
    let mut wire = Wire::connect(&rig.gateway().url).await;
    let length = 33 * MIB;
    wire.send(format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{{\"model\""
    ))
    .await;
    let answer = wire.answer().await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("request_too_large"), "{answer}");
    assert_eq!(rig.usage(&token).await["totalMessages"], 0);
    assert!(rig.finish().await.rows.is_empty());
}

#[tokio::test]
async fn a_33_mib_body_is_413_while_it_still_arrives_over_h1() {
    let rig = Rig::start().await;
    let token = rig.token("alice");
    let mut wire = Wire::connect(&rig.gateway().url).await;
    wire.send(format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    ))
    .await;
    let mut chunk = format!("{MIB:x}\r\n").into_bytes();
    chunk.resize(chunk.len() + MIB, b' ');
    chunk.extend_from_slice(b"\r\n");
    for _ in 0..33 {
        // the gateway may close as soon as it has answered
        if wire.try_send(&chunk).await.is_err() {
            break;
        }
    }
    // no last chunk: the body has not ended, and yet there is an answer
    let answer = wire.answer().await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("request_too_large"), "{answer}");
    assert_eq!(rig.stub.requests().await, 0);
    assert!(rig.finish().await.rows.is_empty());
}

#[tokio::test]
async fn a_33_mib_body_is_413_while_it_still_arrives_over_h2c() {
    let rig = Rig::start().await;
    let token = rig.token("alice");
    let piece = Bytes::from(vec![b' '; MIB]);
    let pieces = stream::iter((0..33).map(move |_| Ok::<_, std::io::Error>(piece.clone())));
    let endless = Body::wrap_stream(pieces.chain(stream::pending()));
    let answer = rig.chat(&token, MODEL).through(&h2c_client()).send_bytes(endless).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{}", answer.text());
    assert_eq!(answer.json()["error"]["code"], "request_too_large");
    assert_eq!(rig.stub.requests().await, 0);
    assert!(rig.finish().await.rows.is_empty());
}
