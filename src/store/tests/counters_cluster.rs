//! What only a cluster has: a promoted replica, slots that move to another node under load. And what a call costs.

use std::time::Duration;

use super::counters_env::*;
use super::counters_redis::gateway;
use super::counters_server::{Cluster, Server};
use crate::clock::Stopwatch;
use crate::quota::Domain;
use crate::store::{DomainTotals, Reserved, Settled};

pub(super) const MAX: u64 = 400;

/// One caller who sends until he is refused, with a ledger that knows every answer. Returns how many were served.
pub(super) async fn serve_all(env: &Env, domain: &Domain, mut meanwhile: impl FnMut(u64)) -> u64 {
    let hold = quota("messages", MAX);
    let holds = std::slice::from_ref(&hold);
    let (mut served, mut loads, mut last) = (0, 0, String::new());
    let watch = Stopwatch::start();
    loop {
        assert!(watch.elapsed_ms() < 20_000, "stuck at {served}: {last}");
        let rid = rid();
        let decided = reserve(&*env.counters, domain, rid, holds, None).await;
        let epochs = decided.as_ref().map_or_else(|_| Vec::new(), |decided| decided.epochs.clone());
        match decided.map(|decided| decided.reserved) {
            Ok(Reserved::Admitted { .. }) => {
                served += 1;
                meanwhile(served);
                // a settle that finds the domain cold is in the ledger all the same
                while let Err(error) = env.settle_once(domain, rid, holds, &epochs).await {
                    assert!(
                        error.transient && watch.elapsed_ms() < 20_000,
                        "{error} {:?}",
                        env.counters.ping().await
                    );
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
            Ok(Reserved::Refused { .. }) => {
                assert!(loads > 0);
                return served;
            }
            Ok(Reserved::Wait(ms)) => tokio::time::sleep(Duration::from_millis(ms)).await,
            Ok(Reserved::Cold) => {
                loads += 1;
                let totals =
                    DomainTotals { buckets: vec![total(&hold, 0, served)], ..DomainTotals::default() };
                if env.counters.rebuild(domain, &totals).await.is_ok() {
                    let _retried_by_the_next_reserve = env.counters.announce(domain, &[]).await;
                }
            }
            Err(error) => {
                assert!(error.transient, "{error}");
                last = error.to_string();
                // it may have landed: released, as a gateway does
                let _expires_otherwise = env.counters.settle(domain, rid, &[]).await;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

impl Env {
    async fn settle_once(
        &self,
        domain: &Domain,
        rid: uuid::Uuid,
        holds: &[crate::quota::Hold],
        epochs: &[u32],
    ) -> Result<Settled, crate::store::StoreError> {
        self.counters.settle(domain, rid, &charges(holds, epochs)).await
    }
}

fn owner_of(cluster: &Cluster, domain: &Domain) -> usize {
    let slot: u16 = slot(cluster, domain).parse().unwrap();
    let owns = |node: &Server| {
        let lines = node.cli(&["CLUSTER", "NODES"]);
        let me = lines.lines().find(|line| line.contains("myself,master")).map(str::to_owned);
        me.is_some_and(|me| {
            me.split(' ').skip(8).filter(|range| !range.starts_with('[')).any(|range| {
                let (first, last) = range.split_once('-').unwrap_or((range, range));
                (first.parse::<u16>().unwrap()..=last.parse().unwrap()).contains(&slot)
            })
        })
    };
    cluster.nodes.iter().position(owns).expect("some node owns the slot")
}

fn slot(cluster: &Cluster, domain: &Domain) -> String {
    cluster.nodes[0].cli(&["CLUSTER", "KEYSLOT", &format!("tg:{{{domain}}}")]).trim().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_promoted_under_load_admits_exactly() {
    let cluster = Cluster::start();
    let env = gateway(&cluster.url(), "gw").await;
    let domain = cold();
    let owner = &cluster.nodes[owner_of(&cluster, &domain)];
    let id = owner.cli(&["CLUSTER", "MYID"]).trim().to_owned();
    let replica = cluster
        .nodes
        .iter()
        .find(|node| {
            let lines = node.cli(&["CLUSTER", "NODES"]);
            lines.lines().any(|line| line.contains("myself,slave") && line.contains(&id))
        })
        .expect("each primary has a replica");
    let served = serve_all(&env, &domain, |served| {
        if served == MAX / 4 {
            assert!(replica.cli(&["CLUSTER", "FAILOVER", "TAKEOVER"]).contains("OK"));
        }
    })
    .await;
    assert_eq!(served, MAX);
    assert!(replica.cli(&["ROLE"]).contains("master"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_moved_under_load_admits_exactly() {
    let cluster = std::sync::Arc::new(Cluster::start());
    let env = gateway(&cluster.url(), "gw").await;
    let domain = cold();
    let slot = slot(&cluster, &domain);
    let from = owner_of(&cluster, &domain);
    let to =
        (0..6).find(|&node| node != from && cluster.nodes[node].cli(&["ROLE"]).contains("master")).unwrap();
    let mut mover = None;
    let served = serve_all(&env, &domain, |served| {
        if served == MAX / 4 {
            let (cluster, slot) = (cluster.clone(), slot.clone());
            mover = Some(std::thread::spawn(move || move_slot(&cluster, (from, to), &slot)));
        }
    })
    .await;
    mover.expect("it was begun").join().unwrap();
    let keys = cluster.nodes[to].cli(&["CLUSTER", "COUNTKEYSINSLOT", &slot]);
    assert!(keys.trim().parse::<u64>().unwrap() > 0);
    assert_eq!(served, MAX);
}

/// Moves a slot as `redis-cli --cluster reshard` does, slowly.
fn move_slot(cluster: &Cluster, (from, to): (usize, usize), slot: &str) {
    let pause = || std::thread::sleep(Duration::from_millis(30));
    let (from, to) = (&cluster.nodes[from], &cluster.nodes[to]);
    let (from_id, to_id) = (from.cli(&["CLUSTER", "MYID"]), to.cli(&["CLUSTER", "MYID"]));
    let (from_id, to_id) = (from_id.trim(), to_id.trim());
    to.cli(&["CLUSTER", "SETSLOT", slot, "IMPORTING", from_id]);
    from.cli(&["CLUSTER", "SETSLOT", slot, "MIGRATING", to_id]);
    pause();
    let port = to.port.to_string();
    loop {
        let keys = from.cli(&["CLUSTER", "GETKEYSINSLOT", slot, "20"]);
        if keys.trim().is_empty() {
            break;
        }
        let mut migrate = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
        migrate.extend(keys.lines());
        assert!(from.cli(&migrate).contains("OK"));
        pause();
    }
    for node in [to, from] {
        assert!(node.cli(&["CLUSTER", "SETSLOT", slot, "NODE", to_id]).contains("OK"));
    }
}

/// Prints the server's processor time for one reserve and its settle with four limits. The bound is ten times the
/// budget of 30 µs: a busy machine passes, a script that grew by an order of magnitude does not.
#[tokio::test]
async fn a_request_costs_the_server_little() {
    const PAIRS: u32 = 20_000;
    let server = Server::start(&[]);
    let env = gateway(&server.url(), "gw").await;
    let holds = [pool(1_000_000), quota("messages", 1_000_000), quota("premium", 1_000_000), open(100)];
    let domain = env.warm().await;
    env.admit(&domain, &holds).await;
    let before = cpu_us(&server);
    let callers = (0..16).map(|_| async {
        for _ in 0..PAIRS / 16 {
            let (rid, admission) = env.admit(&domain, &holds).await;
            env.settle(&domain, rid, &holds, &admission.epochs).await;
        }
    });
    futures_util::future::join_all(callers).await;
    let each = (cpu_us(&server) - before) / f64::from(PAIRS);
    println!("{each:.1} µs of the server for a reserve and its settle");
    assert!(each < 300.0, "{each:.1} µs");
}

fn cpu_us(server: &Server) -> f64 {
    let info = server.cli(&["INFO", "cpu"]);
    let seconds = |name: &str| {
        let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap().trim().parse::<f64>().unwrap()
    };
    (seconds("used_cpu_sys") + seconds("used_cpu_user")) * 1e6
}
