//! What only a real socket shows: pieces that arrive one by one, broken connections, clients that leave, large bodies.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use super::*;
use crate::clock::Stopwatch;

/// The longest a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(10);

struct Served {
    address: std::net::SocketAddr,
    /// Dropped with the test: the server stops.
    _stop: oneshot::Sender<()>,
}

async fn serve_stub(piece_delay: Duration) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let settings = StubSettings { piece_delay, ..StubSettings::default() };
    tokio::spawn(serve(listener, settings, async {
        let _ = stopped.await;
    }));
    Served { address, _stop: stop }
}

impl Served {
    async fn send(&self, headers: &str, body: &str) -> TcpStream {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        let request = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: stub\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        socket.write_all(request.as_bytes()).await.unwrap();
        socket
    }

    async fn stats(&self) -> Value {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        socket
            .write_all(b"GET /stub/stats HTTP/1.1\r\nHost: stub\r\nConnection: close\r\n\r\n")
            .await
            .unwrap();
        let text = read_all(&mut socket).await;
        serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap()
    }

    async fn until(&self, key: &str, value: u64) -> Value {
        let watch = Stopwatch::start();
        loop {
            let stats = self.stats().await;
            if stats[key] == value {
                return stats;
            }
            assert!(watch.elapsed() < PATIENCE, "`{key}` never became {value}: {stats}");
            sleep(Duration::from_millis(10)).await;
        }
    }
}

const STREAM: &str = r#"{"model":"m1","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
const WHOLE: &str = r#"{"model":"m1","messages":[{"role":"user","content":"hi"}]}"#;

async fn read_all(socket: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    timeout(PATIENCE, socket.read_to_end(&mut bytes)).await.unwrap().unwrap();
    String::from_utf8(bytes).unwrap()
}

async fn read_until(socket: &mut TcpStream, needle: &str) -> String {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while !text.contains(needle) {
        let count = timeout(PATIENCE, socket.read(&mut buffer)).await.unwrap().unwrap();
        assert!(count > 0, "the stream ended without `{needle}`: {text}");
        text += std::str::from_utf8(&buffer[..count]).unwrap();
    }
    text
}

#[tokio::test]
async fn the_first_piece_is_there_before_the_second_is_made() {
    let served = serve_stub(Duration::from_mins(1)).await;
    let mut socket = served.send("", STREAM).await;
    let text = read_until(&mut socket, r#""content":"I ""#).await;
    assert!(!text.contains("am "), "{text}");
    assert_eq!(served.stats().await["open"], 1);
}

#[tokio::test]
async fn a_client_that_leaves_in_mid_stream_is_cancelled() {
    let served = serve_stub(Duration::from_millis(20)).await;
    let mut socket = served.send("x-stub-pieces: 100000\r\n", STREAM).await;
    read_until(&mut socket, r#""content":"am ""#).await;
    drop(socket);
    let stats = served.until("cancelled", 1).await;
    assert_eq!((&stats["open"], &stats["completed"]), (&json!(0), &json!(0)));
    let output = stats["served"]["output_tokens"].as_u64().unwrap();
    assert!((2..1_000).contains(&output), "only what was sent is on the bill: {output}");
}

#[tokio::test]
async fn a_client_that_leaves_before_the_first_byte_is_not_on_the_bill() {
    let served = serve_stub(Duration::ZERO).await;
    let socket = served.send("x-stub-delay-ms: 600000\r\n", WHOLE).await;
    served.until("open", 1).await;
    drop(socket);
    let stats = served.until("cancelled", 1).await;
    assert_eq!(stats["served"]["answers"], 0);
}

#[tokio::test]
async fn a_cut_stream_has_its_pieces_and_no_end() {
    let served = serve_stub(Duration::ZERO).await;
    let mut socket = served.send("x-stub-cut-after: 2\r\n", STREAM).await;
    let text = read_all(&mut socket).await;
    assert!(text.contains(r#""content":"am ""#) && !text.contains(r#""content":"the ""#), "{text}");
    assert!(!text.contains("[DONE]") && !text.ends_with("0\r\n\r\n"), "{text}");
    let stats = served.until("cut", 1).await;
    assert_eq!(stats["served"]["output_tokens"], 2);
}

#[tokio::test]
async fn a_cut_json_answer_is_shorter_than_its_length() {
    let served = serve_stub(Duration::ZERO).await;
    let mut socket = served.send("x-stub-cut-after: 1\r\n", WHOLE).await;
    let text = read_all(&mut socket).await;
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    assert_eq!(body.len(), length.parse::<usize>().unwrap() / 2);
    served.until("cut", 1).await;
}

#[tokio::test]
async fn stats_show_credentials_and_nothing_else_of_the_headers() {
    let served = serve_stub(Duration::ZERO).await;
    let mut socket = served.send("Authorization: Bearer k1\r\nX-Tint: red\r\n", WHOLE).await;
    read_all(&mut socket).await;
    let stats = served.stats().await;
    assert_eq!(stats["last_headers"]["authorization"], "Bearer k1");
    assert_eq!(stats["last_headers"]["x-tint"], Value::Null);
    assert!(stats["last_headers"].as_object().unwrap().contains_key("x-tint"));
    assert_eq!(stats["by_path"], json!({"/v1/chat/completions": 1}));
}

#[tokio::test]
async fn a_request_from_before_a_reset_does_not_count_after_it() {
    let served = serve_stub(Duration::ZERO).await;
    let socket = served.send("x-stub-delay-ms: 600000\r\n", WHOLE).await;
    served.until("open", 1).await;
    let mut reset = TcpStream::connect(served.address).await.unwrap();
    reset.write_all(b"DELETE /stub/stats HTTP/1.1\r\nHost: stub\r\nConnection: close\r\n\r\n").await.unwrap();
    assert!(read_all(&mut reset).await.starts_with("HTTP/1.1 204"));
    drop(socket);
    // A second request goes the same way, so that the first had its time.
    drop(served.send("x-stub-delay-ms: 600000\r\n", WHOLE).await);
    let stats = served.until("cancelled", 1).await;
    sleep(Duration::from_millis(50)).await;
    assert_eq!((&stats["requests"], &served.stats().await["cancelled"]), (&json!(1), &json!(1)));
}

#[tokio::test]
async fn a_body_of_64_mib_is_taken_whole() {
    let served = serve_stub(Duration::ZERO).await;
    let text = "x".repeat(64 << 20);
    let body = format!(r#"{{"model":"m1","messages":[{{"role":"user","content":"{text}"}}]}}"#);
    let mut socket = served.send("", &body).await;
    assert!(read_all(&mut socket).await.starts_with("HTTP/1.1 200"));
    assert_eq!(served.stats().await["body_bytes"], body.len());
}
