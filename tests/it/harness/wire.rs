//! A bare TCP client, for what no HTTP library would send. Owns the reading of one HTTP/1 answer at a time.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::within;

/// A connection to a gateway.
pub struct Wire(TcpStream);

impl Wire {
    /// Connects to `http://address`.
    pub async fn connect(url: &str) -> Self {
        let address = url.strip_prefix("http://").unwrap();
        Self(within("connect", TcpStream::connect(address)).await.unwrap())
    }

    /// Sends bytes as they are.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        within("send", self.0.write_all(bytes.as_ref())).await.unwrap();
    }

    /// Sends bytes to a peer that may stop reading at any time.
    pub async fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        within("send", self.0.write_all(bytes)).await
    }

    /// The head of an answer, without its body.
    pub async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(within("the head of an answer", self.0.read_u8()).await.unwrap());
        }
        String::from_utf8(head).unwrap()
    }

    /// One answer with a `Content-Length`: head and body as text.
    pub async fn answer(&mut self) -> String {
        let head = self.head().await;
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("content-length").then(|| value.parse().unwrap())
        });
        let mut body = vec![0; length.unwrap_or_else(|| panic!("no `Content-Length`: {head}"))];
        within("the body of an answer", self.0.read_exact(&mut body)).await.unwrap();
        head + &String::from_utf8(body).unwrap()
    }

    /// All that comes until the other side closes.
    pub async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        // a reset is an end as well
        within("the end of the connection", self.0.read_to_end(&mut rest)).await.ok();
        rest
    }
}
