//! Gateways that share one Redis and one PostgreSQL, each behind a chaos proxy, and the check at the end: counters, ledger
//! and upstream agree to the unit, and every gateway's own `verify` says so.

use std::ops::{Deref, DerefMut};

use serde_json::Value;
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, value};

use super::postgres::url;
use super::{Cluster, Postgres, Redis};
use crate::harness::{Books, ChaosProxy, Rig, Seen, Served, Setup};

/// The shortest lease that the configuration takes, in seconds: tests wait for its end.
const LEASE_S: u32 = 10;

/// The gateways and their servers. The gateways go first when it is dropped.
pub struct ServerRig {
    rig: Rig,
    /// Between the gateways and Redis.
    pub redis_proxy: ChaosProxy,
    /// Between the gateways and PostgreSQL.
    pub postgres_proxy: ChaosProxy,
    /// The counters' server.
    pub redis: Redis,
    /// The ledger's server.
    pub postgres: Postgres,
    _cluster: Option<Cluster>,
}

impl ServerRig {
    /// So many gateways on one pair of servers.
    pub async fn start(gateways: usize) -> Self {
        Self::with(Setup { gateways, ..Setup::default() }, &[]).await
    }

    /// What `setup` says; Redis with these arguments more.
    pub async fn with(setup: Setup, redis_arguments: &[&str]) -> Self {
        Self::on(setup, Redis::start(redis_arguments).await, None, Postgres::start().await).await
    }

    /// Gateways on a Redis Cluster. No proxy stands before it: its nodes name each other by their own addresses.
    pub async fn on_cluster(setup: Setup) -> Self {
        let cluster = Cluster::start().await;
        Self::on(setup, Redis::start(&[]).await, Some(cluster), Postgres::start().await).await
    }

    /// One gateway that reads analytics and history from a streaming replica of its ledger, and that replica.
    pub async fn with_replica() -> (Self, Postgres) {
        let postgres = Postgres::start().await;
        let replica = Postgres::replica_of(&postgres).await;
        let url = replica.url();
        let setup = Setup::default().change(move |file| {
            file["storage"]["database_replica_url"] = value(url.as_str());
        });
        (Self::on(setup, Redis::start(&[]).await, None, postgres).await, replica)
    }

    async fn on(setup: Setup, redis: Redis, cluster: Option<Cluster>, postgres: Postgres) -> Self {
        let redis_proxy = ChaosProxy::before(redis.address()).await;
        let postgres_proxy = ChaosProxy::before(postgres.address()).await;
        let redis_url =
            cluster.as_ref().map_or_else(|| format!("redis://{}", redis_proxy.address), Cluster::url);
        let stores = Some([redis_url, url(postgres_proxy.address)]);
        let setup = Setup { stores, ..setup }.change(|file| {
            file["quota"]["lease"] = value(format!("{LEASE_S}s"));
        });
        let rig = Rig::with(setup).await;
        Self { rig, redis_proxy, postgres_proxy, redis, postgres, _cluster: cluster }
    }

    /// `POST /api/verify` of gateway `number`.
    pub async fn verify(&self, number: usize) -> Value {
        let url = format!("{}/api/verify", self.gateways[number].url);
        let answer = self.http.post(url).bearer_auth(self.admin_token()).send().await.unwrap();
        assert_eq!(answer.status(), 200, "`/api/verify`");
        answer.json().await.unwrap()
    }

    /// The sum of a metric over all gateways.
    pub async fn metric(&self, name: &str) -> u64 {
        let mut sum = 0;
        for gateway in &self.gateways {
            sum += gateway.metric(name).await;
        }
        sum
    }

    /// Ends the test: every figure must agree to the unit.
    pub async fn finish(self) -> Books {
        self.finish_where(Served::Exactly).await
    }

    /// The same, where it may be open whether the upstream served a message that was not charged.
    pub async fn finish_where(mut self, served: Served) -> Books {
        self.quiet().await;
        // what one gateway settles late, another may still show as held
        let mut last = Value::Null;
        let clean = tokio::time::timeout(crate::harness::LONGEST, async {
            for number in 0..self.gateways.len() {
                loop {
                    let usages = self.usages_at(number).await;
                    last = self.verify(number).await;
                    if last["clean"] == true && last["inFlight"] == 0 {
                        assert!(!usages.is_empty(), "the test has users");
                        break;
                    }
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            }
        });
        assert!(clean.await.is_ok(), "counters and ledger differ: {last}");
        let mut usages = Vec::new();
        for number in 0..self.gateways.len() {
            usages.push(self.usages_at(number).await);
        }
        let stats = self.stub.stats().await;
        self.rig.stop().await;
        let books = Books::read_postgres(&self.postgres.url()).await;
        for usages in &usages {
            books.check(usages, &stats, served);
        }
        books
    }
}

impl Deref for ServerRig {
    type Target = Rig;

    fn deref(&self) -> &Rig {
        &self.rig
    }
}

impl DerefMut for ServerRig {
    fn deref_mut(&mut self) -> &mut Rig {
        &mut self.rig
    }
}

impl Books {
    /// Every answer that came whole stands in the ledger once, charged.
    pub fn check_whole(&self, seen: &Seen) -> u64 {
        let charged: std::collections::BTreeMap<&str, u64> =
            self.rows.iter().map(|row| (row.request_id.as_str(), row.messages)).collect();
        let whole = seen.whole.lock().unwrap();
        let lost: Vec<_> = whole.iter().filter(|id| charged.get(id.as_str()) != Some(&1)).collect();
        assert!(lost.is_empty(), "answered and not charged: {lost:?}");
        whole.len() as u64
    }
}

impl Setup {
    /// With a plan of this name that has one limit a month for all models.
    pub fn plan(self, name: &'static str, max: i64) -> Self {
        self.change(move |file| {
            let text = format!(
                r#"models = ["*"]
                [[limits]]
                name = "messages"
                meter = "messages"
                max = {max}
                per = "month""#
            );
            let mut plan = text.parse::<DocumentMut>().unwrap().as_table().clone();
            let limits: ArrayOfTables = plan["limits"].as_array_of_tables().unwrap().clone();
            plan["limits"] = Item::ArrayOfTables(limits);
            let plans: &mut Table = file["plans"].as_table_mut().unwrap();
            plans[name] = Item::Table(plan);
        })
    }
}
