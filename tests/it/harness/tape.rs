//! An upstream that writes down every byte it gets and answers with bytes of the test's choice: for what must not reach
//! an upstream, and for upstreams that misbehave.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The recording upstream. Each connection takes one request and is closed after the reply.
pub struct Tape {
    /// Where it listens.
    pub address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    serving: JoinHandle<()>,
}

impl Tape {
    /// Starts one that always replies with these bytes.
    pub async fn start(reply: impl Into<Vec<u8>>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let (heard, reply) = (Arc::clone(&requests), reply.into());
        let serving = tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let request = read_request(&mut socket).await;
                if request.is_empty() {
                    continue;
                }
                heard.lock().unwrap().push(request);
                // the gateway may have gone: then nobody is to be told
                socket.write_all(&reply).await.ok();
                socket.shutdown().await.ok();
            }
        });
        Self { address, requests, serving }
    }

    /// From now on nobody answers there.
    pub fn stop(&self) {
        self.serving.abort();
    }

    /// The requests so far, each as text: head and body.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Tape {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A reply with this status and JSON body.
pub fn json_reply(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
}

/// One request, head and body; empty: the other side left.
pub(super) async fn read_request(socket: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let length = socket.read(&mut piece).await.unwrap_or(0);
        bytes.extend_from_slice(&piece[..length]);
        let text = String::from_utf8_lossy(&bytes);
        if length == 0 || text.split_once("\r\n\r\n").is_some_and(|(head, body)| is_whole(head, body)) {
            return text.into_owned();
        }
    }
}

fn is_whole(head: &str, body: &str) -> bool {
    let head = head.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    match length {
        Some(length) => body.len() >= length,
        None => !head.contains("transfer-encoding") || body.ends_with("0\r\n\r\n"),
    }
}
