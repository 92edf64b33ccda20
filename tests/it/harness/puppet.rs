//! An upstream that says what the test tells it to, when the test tells it to. Owns the connections; it must not know what
//! it is made to say.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::tape::read_request;

/// The upstream. It takes one request at a time; each connection is closed after its answer.
pub struct Puppet {
    /// Where it listens.
    pub address: SocketAddr,
    strings: mpsc::UnboundedSender<Option<Vec<u8>>>,
    serving: JoinHandle<()>,
}

impl Puppet {
    /// Starts one.
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (strings, mut pulled) = mpsc::unbounded_channel::<Option<Vec<u8>>>();
        let serving = tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                if read_request(&mut socket).await.is_empty() {
                    continue;
                }
                while let Some(Some(bytes)) = pulled.recv().await {
                    // the gateway may have gone: the test sees that elsewhere
                    socket.write_all(&bytes).await.ok();
                }
                socket.shutdown().await.ok();
            }
        });
        Self { address, strings, serving }
    }

    /// Says this to the request that is open, or to the next.
    pub fn say(&self, bytes: impl Into<Vec<u8>>) {
        self.strings.send(Some(bytes.into())).unwrap();
    }

    /// Ends the answer and its connection.
    pub fn hang_up(&self) {
        self.strings.send(None).unwrap();
    }
}

impl Drop for Puppet {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
