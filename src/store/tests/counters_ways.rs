//! The ways to a server: TLS with an authority of one's own, a password, Sentinel; and a primary that comes back after it
//! was a replica.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use super::counters_cluster::{MAX, serve_all};
use super::counters_env::*;
use super::counters_redis::{gateway, settings};
use super::counters_server::{Proxy, Server, cli_program, free_port, server_program};
use crate::clock::{Clock, Stopwatch};
use crate::quota::Domain;
use crate::store::redis::{RedisCounters, RedisSettings};
use crate::store::{DomainTotals, StoreError};

/// Time for servers to agree on a busy machine.
const AGREE_MS: u64 = 30_000;

/// A folder that ends with its value.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("tollgate-ways-{}", Clock::system().request_id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // the system's temporary folder is emptied by others too
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A Sentinel that watches one primary under the name `counters`.
struct Sentinel {
    child: Child,
    port: u16,
    _folder: Folder,
}

impl Sentinel {
    fn of(primary: &Server) -> Self {
        let (folder, port) = (Folder::new(), free_port());
        let lines = [
            format!("port {port}"),
            "bind 127.0.0.1".to_owned(),
            format!("dir {}", folder.0.display()),
            format!("sentinel monitor counters 127.0.0.1 {} 1", primary.port),
            "sentinel down-after-milliseconds counters 500".to_owned(),
            "sentinel failover-timeout counters 4000".to_owned(),
        ];
        let file = folder.write("sentinel.conf", &(lines.join("\n") + "\n"));
        let child = Command::new(server_program()).args([&file, "--sentinel"]).stdout(Stdio::null()).spawn();
        Self { child: child.expect("the server's program is needed for this test"), port, _folder: folder }
    }

    fn url(&self) -> String {
        format!("redis-sentinel://127.0.0.1:{}?sentinelServiceName=counters", self.port)
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        // it may have ended by itself
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let watch = Stopwatch::start();
    while !is_so() {
        assert!(watch.elapsed_ms() < AGREE_MS, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn cli_at(port: u16, args: &[&str]) -> String {
    let output =
        Command::new(cli_program()).args(["-h", "127.0.0.1", "-p", &port.to_string()]).args(args).output();
    String::from_utf8_lossy(&output.unwrap().stdout).into_owned()
}

async fn connect(settings: RedisSettings) -> Result<Arc<RedisCounters>, StoreError> {
    RedisCounters::connect(settings).await.map(Arc::new)
}

#[tokio::test]
async fn a_server_with_tls_and_a_password_is_reached_only_with_its_authority_and_the_password() {
    let folder = Folder::new();
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let certificate = folder.write("server.pem", &key.cert.pem());
    let secret = folder.write("server.key", &key.signing_key.serialize_pem());
    let tls_port = free_port();
    let tls = [("--tls-port", tls_port.to_string()), ("--tls-cert-file", certificate.clone())];
    let mut arguments: Vec<&str> = tls.iter().flat_map(|(name, value)| [*name, value.as_str()]).collect();
    arguments.extend(["--tls-key-file", &secret, "--tls-ca-cert-file", &certificate]);
    arguments.extend(["--tls-auth-clients", "no", "--requirepass", "a-password-of-the-counters"]);
    let _server = Server::start(&arguments);
    let right = RedisSettings {
        password: Some("a-password-of-the-counters".to_owned()),
        ca: vec![key.cert.der().to_vec()],
        ..settings(&format!("rediss://localhost:{tls_port}"), "gw")
    };
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    for wrong in [
        RedisSettings { ca: Vec::new(), ..right.clone() },
        RedisSettings { ca: vec![other.cert.der().to_vec()], ..right.clone() },
        RedisSettings { password: Some("another".to_owned()), ..right.clone() },
        RedisSettings { password: None, ..right.clone() },
    ] {
        let shown = format!("{} authorities, password: {}", wrong.ca.len(), wrong.password.is_some());
        let tried = tokio::time::timeout(Duration::from_secs(5), connect(wrong)).await;
        // a server that cannot be reached is tried for as long as the caller waits
        assert!(!matches!(tried, Ok(Ok(_))), "connected with {shown}");
    }
    let counters = connect(right).await.unwrap();
    let env = Env { counters, advance: Box::new(|_| ()), _keep: Box::new(()) };
    let domain = env.warm().await;
    let (rid, admission) = env.admit(&domain, &[quota("messages", 1)]).await;
    env.settle(&domain, rid, &[quota("messages", 1)], &admission.epochs).await;
    env.refuse(&domain, &[quota("messages", 1)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fail_over_by_sentinel_under_load_admits_exactly() {
    let mut primary = Server::start(&[]);
    let replica = Server::start(&["--replicaof", &format!("127.0.0.1 {}", primary.port)]);
    until("the replica does not follow", || replica.cli(&["INFO", "replication"]).contains("link_status:up"));
    let sentinel = Sentinel::of(&primary);
    until("sentinel does not know the replica", || {
        cli_at(sentinel.port, &["SENTINEL", "REPLICAS", "counters"]).contains(&replica.port.to_string())
    });
    let env = gateway(&sentinel.url(), "gw").await;
    let served = serve_all(&env, &cold(), |served| {
        if served == MAX / 4 {
            primary.kill();
        }
    })
    .await;
    assert_eq!(served, MAX);
    assert!(replica.cli(&["ROLE"]).contains("master"));
}

async fn used(env: &Env, domain: &Domain) -> Option<u64> {
    let mut hold = [quota("messages", 10).into()];
    let read = env.counters.read(domain, &mut hold).await;
    read.ok().map(|read| read.map_or(u64::MAX, |_| hold[0].standing.used))
}

/// `first` → `second` → `first`, whose process lived on: what the second never got must not be taken for the truth.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_comes_back_as_one_has_cold_domains() {
    let first = Server::start(&[]);
    let second = Server::start(&["--replicaof", &format!("127.0.0.1 {}", first.port)]);
    until("the replica does not follow", || second.cli(&["INFO", "replication"]).contains("link_status:up"));
    let proxy = Proxy::start(first.port).await;
    let env = gateway(&proxy.url(), "gw").await;
    let holds = [quota("messages", 10)];
    let domain = env.warm().await;
    let take = async || {
        let (rid, admission) = env.admit(&domain, &holds).await;
        env.settle(&domain, rid, &holds, &admission.epochs).await;
    };
    for _ in 0..3 {
        take().await;
    }
    until("the replica lags", || lag(&first) == 0);
    // from here on the second gets nothing
    assert!(second.cli(&["REPLICAOF", "NO", "ONE"]).contains("OK"));
    for _ in 0..4 {
        take().await;
    }
    proxy.redirect(second.port);
    assert!(first.cli(&["REPLICAOF", "127.0.0.1", &second.port.to_string()]).contains("OK"));
    until("the first does not follow", || first.cli(&["INFO", "replication"]).contains("link_status:up"));
    assert!(first.cli(&["REPLICAOF", "NO", "ONE"]).contains("OK"));
    proxy.redirect(first.port);
    let watch = Stopwatch::start();
    let seen = loop {
        assert!(watch.elapsed_ms() < AGREE_MS, "not reached again");
        match used(&env, &domain).await {
            Some(used) => break used,
            None => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    assert_eq!(seen, u64::MAX, "a count of an earlier term was taken for the truth: 7 were used");
    let totals = DomainTotals { buckets: vec![total(&holds[0], 0, 7)], ..DomainTotals::default() };
    env.load(&domain, &totals).await;
    assert_eq!(used(&env, &domain).await, Some(7));
}

/// How many bytes its replica has not acknowledged.
fn lag(primary: &Server) -> u64 {
    let info = primary.cli(&["INFO", "replication"]);
    let offset = |from: &str, end: char| -> Option<u64> {
        let at = info.split(from).nth(1)?;
        at.split(end).next()?.trim().parse().ok()
    };
    let (Some(own), Some(acknowledged)) = (offset("master_repl_offset:", '\n'), offset(",offset=", ','))
    else {
        return u64::MAX;
    };
    own - acknowledged
}
