//! What only Redis has: another process behind the address, lost replies, a dead or slow server, other gateways.

use std::sync::Arc;
use std::time::Duration;

use super::counters_env::*;
use super::counters_server::{Cluster, Mode, Proxy, Server};
use crate::clock::{Clock, Stopwatch};
use crate::quota::Domain;
use crate::store::redis::{RedisCounters, RedisSettings};
use crate::store::timing::Timing;
use crate::store::{Announcement, Counters, CountersEvent, DomainTotals, Reserved, Settled, StoreError};

/// What a call may take beyond its deadline on a busy machine, milliseconds.
const SLACK_MS: u64 = 150;

pub(super) fn settings(url: &str, gateway_id: &str) -> RedisSettings {
    RedisSettings {
        url: url.to_owned(),
        password: None,
        ca: Vec::new(),
        gateway_id: gateway_id.to_owned(),
        clock: Clock::system(),
        timing: Timing::default(),
    }
}

pub(super) async fn gateway(url: &str, id: &str) -> Env {
    let counters = Arc::new(RedisCounters::connect(settings(url, id)).await.unwrap());
    let shifted = counters.clone();
    let advance = Box::new(move |ms| shifted.shift_time(i64::try_from(ms).unwrap()));
    Env { counters, advance, _keep: Box::new(()) }
}

/// A gateway with a server of its own.
pub(super) async fn env() -> Env {
    let server = Server::start(&[]);
    let env = gateway(&server.url(), "gw").await;
    Env { _keep: Box::new(server), ..env }
}

/// A gateway with a cluster of its own.
pub(super) async fn cluster_env() -> Env {
    let cluster = Cluster::start();
    let env = gateway(&cluster.url(), "gw").await;
    Env { _keep: Box::new(cluster), ..env }
}

async fn try_reserve(env: &Env, domain: &Domain) -> Result<Reserved, StoreError> {
    let hold = quota("messages", 5);
    let decided = reserve(&*env.counters, domain, rid(), &[hold], None).await;
    decided.map(|decided| decided.reserved)
}

/// Until the counters answer again after a fault; bounded.
async fn recovered(env: &Env, domain: &Domain) -> Reserved {
    let watch = Stopwatch::start();
    loop {
        match try_reserve(env, domain).await {
            Ok(Reserved::Wait(ms)) => tokio::time::sleep(Duration::from_millis(ms)).await,
            Ok(reserved) => return reserved,
            Err(error) => {
                assert!(error.transient, "{error}");
                assert!(watch.elapsed_ms() < 10_000, "not recovered: {error}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

#[tokio::test]
async fn flushed_scripts_are_loaded_again_and_the_domain_stays_warm() {
    let server = Server::start(&[]);
    let env = gateway(&server.url(), "gw").await;
    let domain = env.warm().await;
    env.admit(&domain, &[quota("messages", 5)]).await;
    server.cli(&["SCRIPT", "FLUSH"]);
    let (_, admission) = env.admit(&domain, &[quota("messages", 5)]).await;
    assert_eq!(admission.standings[0].held, 2);
}

/// One thread runs all: while it sleeps, the reply lies unread and the deadline passes.
#[tokio::test]
async fn an_answer_that_waits_for_its_turn_in_a_busy_gateway_is_in_time() {
    let server = Server::start(&[]);
    let env = gateway(&server.url(), "gw").await;
    let domain = env.warm().await;
    for _ in 0..5 {
        let call = try_reserve(&env, &domain);
        let busy = async {
            // the call is written in these turns
            for _ in 0..8 {
                tokio::task::yield_now().await;
            }
            std::thread::sleep(Duration::from_millis(300));
        };
        let (reserved, ()) = tokio::join!(call, busy);
        assert!(matches!(reserved, Ok(Reserved::Admitted { .. })), "{reserved:?}");
        env.counters.forget(&domain).await.unwrap();
        env.load(&domain, &DomainTotals::default()).await;
    }
}

#[tokio::test]
async fn a_flushed_or_evicted_domain_is_cold() {
    let server = Server::start(&[]);
    let env = gateway(&server.url(), "gw").await;
    let (flushed, evicted) = (env.warm().await, env.warm().await);
    server.cli(&["DEL", &format!("tg:{{{evicted}}}")]);
    assert_eq!(try_reserve(&env, &evicted).await.unwrap(), Reserved::Cold);
    assert!(matches!(try_reserve(&env, &flushed).await.unwrap(), Reserved::Admitted { .. }));
    server.cli(&["FLUSHALL"]);
    assert_eq!(try_reserve(&env, &flushed).await.unwrap(), Reserved::Cold);
}

#[tokio::test]
async fn a_restart_from_an_old_snapshot_is_cold_although_the_numbers_are_there() {
    let mut server = Server::start(&["--save", "3600 1"]);
    let env = gateway(&server.url(), "gw").await;
    let domain = env.warm().await;
    let (rid, _) = env.admit(&domain, &[quota("messages", 5)]).await;
    server.cli(&["SAVE"]);
    env.settle(&domain, rid, &[quota("messages", 5)], &[0]).await;
    server.restart();
    assert!(
        server.cli(&["HGETALL", &format!("tg:{{{domain}}}")]).contains("messages"),
        "the snapshot was loaded"
    );
    assert_eq!(recovered(&env, &domain).await, Reserved::Cold);
    let mut news = Vec::new();
    while let Ok(event) = tokio::time::timeout(Duration::from_secs(1), env.counters.next_event()).await {
        news.push(event);
    }
    assert!(news.contains(&CountersEvent::Reconnected), "{news:?}");
    // the tombstone of the old process does not swallow what the ledger did not have yet
    let ended = Announcement::Ended { rid, charges: charges(&[quota("messages", 5)], &[0]) };
    assert!(env.counters.rebuild(&domain, &DomainTotals::default()).await.unwrap());
    env.counters.announce(&domain, &[ended]).await.unwrap();
    assert_eq!(env.numbers(&domain, &quota("messages", 5).bucket, 0).await, (1, 0));
}

#[tokio::test]
async fn a_promoted_replica_is_cold_also_for_a_gateway_that_did_not_notice() {
    let (primary, replica) = (Server::start(&[]), Server::start(&[]));
    let proxy = Proxy::start(primary.port).await;
    let env = gateway(&proxy.url(), "gw").await;
    let domain = env.warm().await;
    replica.cli(&["REPLICAOF", "127.0.0.1", &primary.port.to_string()]);
    let watch = Stopwatch::start();
    while replica.cli(&["EXISTS", &format!("tg:{{{domain}}}")]).trim() != "1" {
        assert!(watch.elapsed_ms() < 20_000, "no replication");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    replica.cli(&["REPLICAOF", "NO", "ONE"]);
    // acknowledged by the primary only: lost by the promotion
    env.admit(&domain, &[quota("messages", 5)]).await;
    proxy.redirect(replica.port);
    assert_eq!(recovered(&env, &domain).await, Reserved::Cold);
}

#[tokio::test]
async fn a_lost_reply_is_repeated_and_holds_once() {
    let server = Server::start(&[]);
    let proxy = Proxy::start(server.port).await;
    let env = gateway(&proxy.url(), "gw").await;
    let domain = env.warm().await;
    let holds = [quota("messages", 5)];
    proxy.set(Mode::DropReplies);
    let id = rid();
    let counters = env.counters.clone();
    let (of, what) = (domain.clone(), holds.clone());
    let call = tokio::spawn(async move { counters.settle(&of, id, &charges(&what, &[0])).await });
    let watch = Stopwatch::start();
    // the server has done it; nobody was told
    while !server.cli(&["HGETALL", &format!("tg:{{{domain}}}")]).contains("u|") {
        assert!(watch.elapsed_ms() < 4_000);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    proxy.set(Mode::Pass);
    proxy.cut();
    assert_eq!(call.await.unwrap().unwrap(), Settled::Duplicate, "the client sent it again");
    assert_eq!(env.numbers(&domain, &holds[0].bucket, 0).await, (1, 0));
    // a reserve that timed out and is asked again
    proxy.set(Mode::DropReplies);
    let id = rid();
    assert!(reserve(&*env.counters, &domain, id, &holds, None).await.unwrap_err().transient);
    proxy.set(Mode::Pass);
    proxy.cut();
    let watch = Stopwatch::start();
    let again = loop {
        match reserve(&*env.counters, &domain, id, &holds, None).await {
            Ok(again) => break again.admitted(),
            Err(error) => assert!(error.transient && watch.elapsed_ms() < 10_000, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!((again.standings[0].used, again.standings[0].held), (1, 1));
}

#[tokio::test]
async fn a_dead_server_costs_little_and_then_nothing_and_comes_back() {
    let mut server = Server::start(&[]);
    let env = gateway(&server.url(), "gw").await;
    let domain = env.warm().await;
    server.kill();
    let mut took_ms = Vec::new();
    for _ in 0..20 {
        let watch = Stopwatch::start();
        assert!(try_reserve(&env, &domain).await.unwrap_err().transient);
        took_ms.push(watch.elapsed_ms());
    }
    assert!(took_ms.iter().all(|&ms| ms < 100 + SLACK_MS), "{took_ms:?}");
    assert!(took_ms[5..].iter().all(|&ms| ms < 20), "the breaker is open: {took_ms:?}");
    let watch = Stopwatch::start();
    assert!(env.counters.settle(&domain, rid(), &[]).await.unwrap_err().transient);
    assert!(watch.elapsed_ms() < 20);
    server.restart();
    assert_eq!(recovered(&env, &domain).await, Reserved::Cold);
}

#[tokio::test]
async fn a_server_that_hangs_costs_little_and_then_nothing_and_comes_back() {
    let server = Server::start(&[]);
    let proxy = Proxy::start(server.port).await;
    let env = gateway(&proxy.url(), "gw").await;
    let domain = env.warm().await;
    proxy.set(Mode::Stall);
    let watch = Stopwatch::start();
    for _ in 0..100 {
        let one = Stopwatch::start();
        assert!(try_reserve(&env, &domain).await.unwrap_err().transient);
        assert!(one.elapsed_ms() < 100 + SLACK_MS, "{}", one.elapsed_ms());
    }
    assert!(watch.elapsed_ms() < 1_000, "{}", watch.elapsed_ms());
    proxy.set(Mode::Pass);
    assert!(
        matches!(recovered(&env, &domain).await, Reserved::Admitted { .. }),
        "the same process: still warm"
    );
}

#[tokio::test]
async fn out_of_memory_admits_nothing_and_still_settles() {
    let server = Server::start(&["--maxmemory-policy", "noeviction"]);
    let env = gateway(&server.url(), "gw").await;
    let domain = env.warm().await;
    let holds = [quota("messages", 5)];
    let (rid, _) = env.admit(&domain, &holds).await;
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let error = try_reserve(&env, &domain).await.unwrap_err();
    assert!(error.transient && error.message.contains("OOM"), "{error}");
    assert!(env.counters.renew(&domain, &[rid], LEASE_MS).await.unwrap().is_empty());
    assert_eq!(env.settle(&domain, rid, &holds, &[0]).await, Settled::Done);
    server.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(env.numbers(&domain, &holds[0].bucket, 0).await, (1, 0));
}

#[tokio::test]
async fn a_loaded_domain_waits_until_every_live_gateway_has_announced() {
    let server = Server::start(&[]);
    let (one, two) = (gateway(&server.url(), "one").await, gateway(&server.url(), "two").await);
    // until each has heard of the other
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    let domain = cold();
    let flying = rid();
    assert!(one.counters.rebuild(&domain, &DomainTotals::default()).await.unwrap());
    one.counters.announce(&domain, &[]).await.unwrap();
    assert!(matches!(try_reserve(&one, &domain).await.unwrap(), Reserved::Wait(1..=20)));
    let news = tokio::time::timeout(Duration::from_secs(5), two.counters.next_event()).await.unwrap();
    assert_eq!(news, CountersEvent::Rebuilt(domain.clone()));
    let holds = taken(&[quota("messages", 5)], &[0]);
    let held = Announcement::Held { rid: flying, holds, lease_ms: LEASE_MS };
    two.counters.announce(&domain, &[held]).await.unwrap();
    let admission = one.reserve(&domain, rid(), &[quota("messages", 5)]).await.admitted();
    assert_eq!(admission.standings[0].held, 2);
    assert_eq!(two.settle(&domain, flying, &[quota("messages", 5)], &[0]).await, Settled::Done);
}

#[tokio::test]
async fn a_gateway_that_hangs_costs_two_seconds_and_one_that_left_nothing() {
    let server = Server::start(&[]);
    let one = gateway(&server.url(), "one").await;
    let hung = RedisCounters::connect(settings(&server.url(), "hung")).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    let domain = cold();
    let watch = Stopwatch::start();
    one.load(&domain, &DomainTotals::default()).await;
    assert!(matches!(recovered(&one, &domain).await, Reserved::Admitted { .. }));
    let waited_ms = watch.elapsed_ms();
    assert!((1_800..2_000 + SLACK_MS * 4).contains(&waited_ms), "{waited_ms}");
    hung.close().await.unwrap();
    assert!(!server.cli(&["ZRANGE", "tg:gateways", "0", "-1"]).contains("hung"));
}

#[tokio::test]
async fn the_servers_time_decides_not_the_gateways() {
    let server = Server::start(&[]);
    let wrong = Clock::shifted(Duration::from_hours(2));
    let late = RedisCounters::connect(RedisSettings { clock: wrong, ..settings(&server.url(), "late") })
        .await
        .unwrap();
    let late = Env { counters: Arc::new(late), advance: Box::new(|_| ()), _keep: Box::new(()) };
    let domain = late.warm().await;
    let holds = [quota("messages", 1)];
    let (rid, admission) = late.admit(&domain, &holds).await;
    assert!((admission.now_ms() - Clock::system().now_ms()).abs() < 5_000);
    late.counters.sweep().await.unwrap();
    assert_eq!(late.settle(&domain, rid, &holds, &[0]).await, Settled::Done, "the lease was not cut short");
}

#[tokio::test]
async fn passwords_are_needed_and_never_shown() {
    let server = Server::start(&["--requirepass", "open-sesame-7"]);
    for password in [None, Some("wrong-canary-3".to_owned())] {
        let settings = RedisSettings { password, ..settings(&server.url(), "gw") };
        let shown = format!("{settings:?}");
        let error = RedisCounters::connect(settings).await.err().expect("refused");
        let text = format!("{shown} {error} {error:?}");
        assert!(!text.contains("canary") && !text.contains("sesame"), "{text}");
    }
    let settings =
        RedisSettings { password: Some("open-sesame-7".to_owned()), ..settings(&server.url(), "gw") };
    let counters = RedisCounters::connect(settings).await.unwrap();
    assert_eq!(counters.dump(&cold()).await.unwrap(), None, "the loader's connection has the password too");
}

#[tokio::test]
async fn a_server_that_may_lose_counters_is_named() {
    let server = Server::start(&["--maxmemory-policy", "allkeys-lru"]);
    let counters = RedisCounters::connect(settings(&server.url(), "gw")).await.unwrap();
    let warnings = counters.check_server().await.unwrap();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].contains("`allkeys-lru`") && warnings[1].contains("persistence"), "{warnings:?}");
    server.cli(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    server.cli(&["CONFIG", "SET", "appendonly", "yes"]);
    assert_eq!(counters.check_server().await.unwrap(), Vec::<String>::new());
}
