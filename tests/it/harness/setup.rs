//! The gateway's configuration for a test: the shipped file with other addresses, so that what is tested is what is
//! shipped. Owns the changes every test needs; a test adds its own.

use std::net::SocketAddr;
use std::time::Duration;

use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, value};

use super::gateway::Home;

/// The secret that signs the tests' tokens.
pub const SECRET: &str = "a secret for tests only, of at least 32 bytes";

/// The key that the gateway has for the stub.
pub const STUB_KEY: &str = "sk-of-the-gateway-itself";

/// A change to the configuration.
type Change = Box<dyn Fn(&mut DocumentMut) + Send + Sync>;

/// What stands behind the gateways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upstream {
    /// The stub.
    Stub,
    /// The stub behind a [`ChaosProxy`](super::ChaosProxy).
    StubBehindChaos,
    /// A server of the test's own.
    Other(SocketAddr),
}

/// What a [`Rig`](super::Rig) is made of.
pub struct Setup {
    /// How many gateways.
    pub gateways: usize,
    /// Where the gateways send requests.
    pub upstream: Upstream,
    /// Where counters and ledger are: URLs of Redis and PostgreSQL; `None`: inside each gateway.
    pub stores: Option<[String; 2]>,
    /// How far the gateways' clocks are ahead of the machine's.
    pub clock_shift: Duration,
    /// Changes to the configuration, made last.
    pub changes: Vec<Change>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            gateways: 1,
            upstream: Upstream::Stub,
            stores: None,
            clock_shift: Duration::ZERO,
            changes: Vec::new(),
        }
    }
}

impl Setup {
    /// With one more change.
    pub fn change(mut self, change: impl Fn(&mut DocumentMut) + Send + Sync + 'static) -> Self {
        self.changes.push(Box::new(change));
        self
    }

    /// What `tollgate run` is started with beside the file.
    pub fn arguments(&self) -> Vec<String> {
        match self.clock_shift.as_secs() {
            0 => Vec::new(),
            ahead_s => vec!["--clock-shift".to_owned(), format!("{ahead_s}s")],
        }
    }

    /// The whole file for one gateway.
    pub fn config(&self, home: &Home<'_>, upstream: SocketAddr) -> String {
        let mut file: DocumentMut = include_str!("../../../config/tollgate.toml").parse().unwrap();
        file["server"]["listen"] = value(home.clients.to_string());
        file["server"]["admin_listen"] = value(home.admin.to_string());
        let mut storage = Table::new();
        storage["data_dir"] = value(home.data_dir.display().to_string());
        if let Some([redis, database]) = &self.stores {
            storage["redis_url"] = value(redis);
            storage["database_url"] = value(database);
        }
        file["storage"] = Item::Table(storage);
        let issuer = file["issuers"].as_array_of_tables_mut().unwrap().get_mut(0).unwrap();
        issuer["secret"] = value(SECRET);
        file["upstreams"] = Item::ArrayOfTables(ArrayOfTables::from_iter([stub_upstream(upstream)]));
        for change in &self.changes {
            change(&mut file);
        }
        file.to_string()
    }
}

/// The stub as an upstream that serves every model in every dialect.
fn stub_upstream(address: SocketAddr) -> Table {
    let text = format!(
        r#"name = "stub"
        base_url = "http://{address}"
        api_key = "{STUB_KEY}"
        models = ["*"]
        serves = {{ openai = "/v1", anthropic = "/v1", gemini = "/v1beta" }}"#
    );
    text.parse::<DocumentMut>().unwrap().as_table().clone()
}
