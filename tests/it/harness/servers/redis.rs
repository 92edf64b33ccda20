//! `redis-server` on its own port and folder, alone or as a cluster of six. `TOLLGATE_TEST_REDIS_SERVER` and
//! `TOLLGATE_TEST_REDIS_CLI` name other programs: Valkey's, say.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::super::{Folder, Port, eventually, signal};

/// A program by its name or path, or the one that the environment names instead.
fn program(variable: &str, usual: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| usual.to_owned())
}

fn server_program() -> String {
    program("TOLLGATE_TEST_REDIS_SERVER", "redis-server")
}

fn cli_program() -> String {
    program("TOLLGATE_TEST_REDIS_CLI", "redis-cli")
}

/// A running server.
pub struct Redis {
    process: Option<Child>,
    arguments: Vec<String>,
    port: Port,
    folder: Folder,
}

impl Redis {
    /// Starts one with these arguments more.
    pub async fn start(arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let mut redis = Self { process: None, arguments, port: Port::free(), folder: Folder::new() };
        redis.start_again().await;
        redis
    }

    /// Starts one that follows the server at `primary`.
    pub async fn replica_of(primary: SocketAddr) -> Self {
        let (host, port) = (primary.ip().to_string(), primary.port().to_string());
        let replica = Self::start(&["--replicaof", &format!("{host} {port}")]).await;
        eventually("the replica does not follow", async || {
            replica.cli(&["INFO", "replication"]).contains("master_link_status:up").then_some(())
        })
        .await;
        replica
    }

    /// Starts it after [`Redis::kill`]: same port, and the last snapshot that was saved.
    pub async fn start_again(&mut self) {
        assert!(self.process.is_none(), "the server still runs");
        let port = self.port.address().port().to_string();
        let child = super::bound_to_test("KILL")
            .arg(server_program())
            .args(["--bind", "127.0.0.1", "--save", "", "--logfile", "log"])
            .args(["--port", &port, "--dir"])
            .arg(self.folder.path())
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
        self.process = Some(child.expect("`setpriv` is needed for this test"));
        eventually("the Redis server does not answer", async || {
            if let Some(status) = self.process.as_mut().unwrap().try_wait().unwrap() {
                panic!("`{}` ended: {status}", server_program());
            }
            self.cli(&["PING"]).contains("PONG").then_some(())
        })
        .await;
    }

    /// SIGKILL: what was not saved is lost.
    pub fn kill(&mut self) {
        let mut child = self.process.take().expect("the server does not run");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Sends a signal, such as STOP.
    pub fn signal(&self, name: &str) {
        signal(self.process.as_ref().expect("the server does not run").id(), name);
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// `redis-cli`: what it printed.
    pub fn cli(&self, arguments: &[&str]) -> String {
        let port = self.port.address().port().to_string();
        let mut command = Command::new(cli_program());
        command.args(["-h", "127.0.0.1", "-p", &port]).args(arguments);
        let output = command.output();
        let output =
            output.expect("`redis-cli`, or what TOLLGATE_TEST_REDIS_CLI names, is needed for this test");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// The snapshot file.
    pub fn snapshot(&self) -> PathBuf {
        self.folder.path().join("dump.rdb")
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if let Some(mut child) = self.process.take() {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

/// Three primaries with a replica each.
pub struct Cluster {
    nodes: Vec<Redis>,
    _bus: Vec<Port>,
}

impl Cluster {
    /// Starts one and waits until all nodes agree.
    pub async fn start() -> Self {
        let (mut nodes, mut bus) = (Vec::new(), Vec::new());
        for _ in 0..6 {
            let port = Port::free();
            let number = port.address().port().to_string();
            nodes.push(Redis::start(&["--cluster-enabled", "yes", "--cluster-port", &number]).await);
            bus.push(port);
        }
        let hosts = nodes.iter().map(|node| node.address().to_string());
        let created = Command::new(cli_program())
            .args(["--cluster", "create"])
            .args(hosts)
            .args(["--cluster-replicas", "1", "--cluster-yes"])
            .output()
            .unwrap();
        assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stdout));
        for node in &nodes {
            eventually("the cluster does not form", async || {
                node.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok").then_some(())
            })
            .await;
        }
        Self { nodes, _bus: bus }
    }

    /// Where gateways connect.
    pub fn url(&self) -> String {
        format!("redis-cluster://{}", self.nodes[0].address())
    }
}
