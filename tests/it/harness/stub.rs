//! The stub model server in the test's own process, and its books.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tollgate::cli::stub::{StubSettings, serve};

use super::http_client;

/// A running stub.
pub struct Stub {
    /// Where it listens.
    pub address: SocketAddr,
    http: reqwest::Client,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Stub {
    /// Starts one. Streams have no pause between their pieces unless a call asks for it.
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let settings = StubSettings { piece_delay: Duration::ZERO, ..StubSettings::default() };
        let serving = tokio::spawn(serve(listener, settings, std::future::pending()));
        Self { address, http: http_client(), serving }
    }

    /// What arrived and how it ended, so far.
    pub async fn stats(&self) -> Value {
        let url = format!("http://{}/stub/stats", self.address);
        self.http.get(url).send().await.unwrap().json().await.unwrap()
    }

    /// Calls that arrived.
    pub async fn requests(&self) -> u64 {
        self.stats().await["requests"].as_u64().unwrap()
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
