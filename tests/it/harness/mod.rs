//! What every test stands on: a [`Rig`] of a stub model server, one or more real gateway processes and clients, and the
//! check of conservation at the end. Owns the parts' life; it must not know what a test wants to prove.

mod books;
mod call;
mod chaos;
mod folder;
mod gateway;
mod ports;
mod puppet;
mod servers;
mod setup;
mod stub;
mod tape;
mod wait;
mod wire;

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde_json::Value;
use tollgate::auth::{Algorithm, IssuerSettings, KeySource, Secret, TokenRequest, sign};
use tollgate::clock::Clock;

pub use books::{Books, Served};
pub use call::{Answer, Call, Dialect};
pub use chaos::{ChaosProxy, Weather};
pub use folder::Folder;
pub use gateway::{Gateway, command, signal};
pub use ports::Port;
pub use puppet::Puppet;
pub use servers::{Load, Pace, Postgres, Redis, Seen, ServerRig, fault, number_from};
pub use setup::{SECRET, STUB_KEY, Setup, Upstream};
pub use stub::Stub;
pub use tape::{Tape, json_reply};
pub use wait::{LONGEST, eventually, within};
pub use wire::Wire;

/// Life of the tokens that tests use, in seconds.
const TTL_S: u32 = 3_600;

/// Everything one test needs. Ends with [`Rig::finish`], or all its processes are killed when it is dropped.
pub struct Rig {
    /// The model server behind the gateways.
    pub stub: Stub,
    /// Stands between gateways and stub, if the setup asks for it.
    proxy: Option<ChaosProxy>,
    /// The gateways, in order.
    pub gateways: Vec<Gateway>,
    /// HTTP/1.1 clients share its connections.
    pub http: reqwest::Client,
    clock: Clock,
    people: Mutex<BTreeMap<String, String>>,
    // the last to go: processes still write into it
    _folder: Folder,
}

impl Rig {
    /// One gateway with embedded stores and the shipped plans.
    pub async fn start() -> Self {
        Self::with(Setup::default()).await
    }

    /// What `setup` says.
    pub async fn with(setup: Setup) -> Self {
        let folder = Folder::new();
        let stub = Stub::start().await;
        let (proxy, upstream) = match setup.upstream {
            Upstream::Stub => (None, stub.address),
            Upstream::StubBehindChaos => {
                let proxy = ChaosProxy::before(stub.address).await;
                let address = proxy.address;
                (Some(proxy), address)
            }
            Upstream::Other(address) => (None, address),
        };
        let mut gateways = Vec::new();
        for number in 0..setup.gateways {
            let home = folder.path().join(format!("gateway-{number}"));
            let config = |ports: &gateway::Home<'_>| setup.config(ports, upstream);
            gateways.push(Gateway::start(&home, &config, setup.arguments()).await);
        }
        Self {
            stub,
            proxy,
            gateways,
            http: http_client(),
            clock: Clock::shifted(setup.clock_shift),
            people: Mutex::default(),
            _folder: folder,
        }
    }

    /// The proxy before the stub.
    pub fn proxy(&self) -> &ChaosProxy {
        self.proxy.as_ref().expect("the setup has `Upstream::StubBehindChaos`")
    }

    /// The first gateway.
    pub fn gateway(&self) -> &Gateway {
        &self.gateways[0]
    }

    /// The same, to stop it or start it again.
    pub fn gateway_mut(&mut self) -> &mut Gateway {
        &mut self.gateways[0]
    }

    /// A token of `user` on the default plan. The user's usage is held against the ledger when the test ends.
    pub fn token(&self, user: &str) -> String {
        self.token_of(TokenRequest { user: user.to_owned(), ttl_s: TTL_S, ..TokenRequest::default() })
    }

    /// A token of an administrator.
    pub fn admin_token(&self) -> String {
        self.token_of(TokenRequest {
            user: "root".to_owned(),
            role: Some("admin".to_owned()),
            ttl_s: TTL_S,
            ..TokenRequest::default()
        })
    }

    /// Any token.
    pub fn token_of(&self, request: TokenRequest) -> String {
        let token = sign(&issuer(), &request, self.clock.now_us()).unwrap();
        self.people.lock().unwrap().insert(request.user, token.clone());
        token
    }

    /// A token that ran out an hour ago.
    pub fn expired_token(&self, user: &str) -> String {
        let request = TokenRequest { user: user.to_owned(), ttl_s: 1, ..TokenRequest::default() };
        let an_hour_us = 3_600 * 1_000_000;
        sign(&issuer(), &request, self.clock.now_us() - an_hour_us).unwrap()
    }

    /// A call of the first gateway; nothing is sent yet.
    pub fn call(&self, dialect: Dialect, model: &str) -> Call {
        self.call_at(0, dialect, model)
    }

    /// A call of gateway `number`.
    pub fn call_at(&self, number: usize, dialect: Dialect, model: &str) -> Call {
        let id = self.clock.request_id().simple().to_string();
        Call::new(self.http.clone(), &self.gateways[number].url, dialect, model, id)
    }

    /// An OpenAI chat call with a credential: what most tests send.
    pub fn chat(&self, token: &str, model: &str) -> Call {
        self.call(Dialect::OpenAi, model).token(token)
    }

    /// `GET /api/usage` of the first gateway; must answer 200.
    pub async fn usage(&self, token: &str) -> Value {
        self.usage_at(0, token).await
    }

    /// `GET /api/usage` of gateway `number`; must answer 200.
    pub async fn usage_at(&self, number: usize, token: &str) -> Value {
        let url = format!("{}/api/usage", self.gateways[number].url);
        let answer = self.http.get(url).bearer_auth(token).send().await.unwrap();
        assert_eq!(answer.status(), 200, "`/api/usage`");
        answer.json().await.unwrap()
    }

    /// Waits until nothing is in flight anywhere: no request, no hold, no record on its way to the ledger.
    pub async fn quiet(&self) {
        eventually("the stub has answers open", async || {
            (self.stub.stats().await["open"] == 0).then_some(())
        })
        .await;
        for gateway in &self.gateways {
            let zero = ["in_flight_requests", "holds_open", "journal_pending_events"];
            for name in zero.map(|name| format!("tollgate_{name}")) {
                eventually(&format!("`{name}` is not 0"), async || {
                    (gateway.metric(&name).await == 0).then_some(())
                })
                .await;
            }
        }
    }

    /// Ends the test: every figure must agree to the unit, and every gateway stop with exit code 0.
    pub async fn finish(self) -> Books {
        self.finish_where(Served::Exactly).await
    }

    /// The same, where a kill or a client that left makes it open whether the upstream served a message that was not
    /// charged.
    pub async fn finish_where(mut self, served: Served) -> Books {
        self.quiet().await;
        let usages = self.usages_at(0).await;
        let stats = self.stub.stats().await;
        self.stop().await;
        let books = Books::read(self.gateways.iter().map(Gateway::ledger));
        books.check(&usages, &stats, served);
        books
    }
}

impl Rig {
    /// What gateway `number` shows each user.
    async fn usages_at(&self, number: usize) -> BTreeMap<String, Value> {
        let people = self.people.lock().unwrap().clone();
        let mut usages = BTreeMap::new();
        for (user, token) in people {
            usages.insert(user, self.usage_at(number, &token).await);
        }
        usages
    }

    async fn stop(&mut self) {
        for gateway in &mut self.gateways {
            gateway.stop().await;
        }
    }
}

/// The issuer as the gateway's configuration describes it.
fn issuer() -> IssuerSettings {
    IssuerSettings::new("chat", vec![Algorithm::Hs256], KeySource::Secret(Secret::new(SECRET)))
}

/// A client with limits, and without the proxy that the environment may name.
pub fn http_client() -> reqwest::Client {
    client_builder().build().unwrap()
}

/// A client that speaks HTTP/2 without TLS from its first byte.
pub fn h2c_client() -> reqwest::Client {
    client_builder().http2_prior_knowledge().build().unwrap()
}

fn client_builder() -> reqwest::ClientBuilder {
    install_crypto();
    reqwest::Client::builder().no_proxy().timeout(wait::LONGEST)
}

fn install_crypto() {
    // several tests share a process under `cargo test`: all but the first find it there
    drop(rustls::crypto::ring::default_provider().install_default());
}
