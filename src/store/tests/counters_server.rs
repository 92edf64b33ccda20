//! Real servers for tests: `redis-server` on free ports in a temporary folder, one or a cluster of six, and a TCP proxy
//! that stalls, cuts and redirects. Each ends with its value. `TOLLGATE_TEST_REDIS_SERVER` and `TOLLGATE_TEST_REDIS_CLI`
//! name other programs: Valkey's, say.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::clock::{Clock, Stopwatch};

/// Time for a server to come up on a busy machine.
const START_MS: u64 = 20_000;

/// The server's program, by name or path.
pub(super) fn server_program() -> String {
    std::env::var("TOLLGATE_TEST_REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned())
}

/// The client's program.
pub(super) fn cli_program() -> String {
    std::env::var("TOLLGATE_TEST_REDIS_CLI").unwrap_or_else(|_| "redis-cli".to_owned())
}

/// A running `redis-server`.
pub(super) struct Server {
    child: Child,
    folder: PathBuf,
    pub port: u16,
    args: Vec<String>,
}

impl Server {
    pub fn start(args: &[&str]) -> Self {
        Self::start_on(free_port(), args)
    }

    pub fn start_on(port: u16, args: &[&str]) -> Self {
        let folder = std::env::temp_dir().join(format!("tollgate-redis-{}", Clock::system().request_id()));
        std::fs::create_dir(&folder).unwrap();
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        let mut server = Self { child: spawn(port, &folder, &args), folder, port, args };
        server.wait();
        server
    }

    /// Kills the process and starts another on the same port and folder.
    pub fn restart(&mut self) {
        self.kill();
        self.child = spawn(self.port, &self.folder, &self.args);
        self.wait();
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// `redis-cli` with these arguments; what it printed.
    pub fn cli(&self, args: &[&str]) -> String {
        cli(self.port, args)
    }

    fn wait(&mut self) {
        let watch = Stopwatch::start();
        while !cli(self.port, &["PING"]).contains("PONG") && !cli(self.port, &["PING"]).contains("NOAUTH") {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "redis-server ended: {ended:?}, see {}", self.folder.display());
            assert!(watch.elapsed_ms() < START_MS, "redis-server did not come up");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // may have been killed by the test
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn spawn(port: u16, folder: &Path, args: &[String]) -> Child {
    let port = port.to_string();
    let folder_arg = folder.to_str().unwrap();
    Command::new(server_program())
        .args(["--port", &port, "--bind", "127.0.0.1", "--dir", folder_arg, "--logfile", "server.log"])
        .args(if args.iter().any(|arg| arg == "--save") { &[][..] } else { &["--save", ""][..] })
        .args(args)
        .stdout(Stdio::null())
        .spawn()
        .expect("`redis-server`, or what TOLLGATE_TEST_REDIS_SERVER names, is needed for this test")
}

fn cli(port: u16, args: &[&str]) -> String {
    let port = port.to_string();
    let output = Command::new(cli_program()).args(["-h", "127.0.0.1", "-p", &port]).args(args).output();
    let output = output.expect("`redis-cli`, or what TOLLGATE_TEST_REDIS_CLI names, is needed for this test");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A port that is free now, and whose cluster bus (10000 above) is free too.
pub(super) fn free_port() -> u16 {
    for _ in 0..1_000 {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        if free < 55_000 && TcpListener::bind((Ipv4Addr::LOCALHOST, free + 10_000)).is_ok() {
            return free;
        }
    }
    panic!("no free port");
}

/// Three primaries with a replica each.
pub(super) struct Cluster {
    pub nodes: Vec<Server>,
}

impl Cluster {
    pub fn start() -> Self {
        let args = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"];
        let nodes: Vec<Server> = (0..6).map(|_| Server::start(&args)).collect();
        let hosts: Vec<String> = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
        let created = Command::new(cli_program())
            .args(["--cluster", "create"])
            .args(&hosts)
            .args(["--cluster-replicas", "1", "--cluster-yes"])
            .output()
            .unwrap();
        assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stdout));
        let watch = Stopwatch::start();
        for node in &nodes {
            while !node.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok") {
                assert!(watch.elapsed_ms() < START_MS, "the cluster did not form");
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        Self { nodes }
    }

    pub fn url(&self) -> String {
        format!("redis-cluster://127.0.0.1:{}", self.nodes[0].port)
    }
}

/// What the proxy does with bytes from the server.
#[derive(Clone, Copy, PartialEq)]
#[repr(u8)]
pub(super) enum Mode {
    Pass = 0,
    /// The server works and its replies are lost: to be followed by a cut, as no real connection goes on after that.
    DropReplies = 1,
    /// Nothing comes through until it passes again, and then all of it.
    Stall = 2,
}

/// A TCP proxy before a server.
pub(super) struct Proxy {
    pub address: SocketAddr,
    target: Arc<Mutex<u16>>,
    mode: Arc<AtomicU8>,
    cut: watch::Sender<u32>,
    task: tokio::task::AbortHandle,
}

impl Proxy {
    pub async fn start(port: u16) -> Self {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (target, mode) = (Arc::new(Mutex::new(port)), Arc::new(AtomicU8::new(0)));
        let (cut, cuts) = watch::channel(0);
        let (to, how) = (target.clone(), mode.clone());
        let accept = async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let port = *to.lock().unwrap();
                tokio::spawn(carry(client, port, how.clone(), cuts.clone()));
            }
        };
        let task = tokio::spawn(accept).abort_handle();
        Self { address, target, mode, cut, task }
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    pub fn set(&self, mode: Mode) {
        self.mode.store(mode as u8, Ordering::SeqCst);
    }

    /// Breaks all connections; new ones go to `port`.
    pub fn redirect(&self, port: u16) {
        *self.target.lock().unwrap() = port;
        self.cut.send_modify(|cuts| *cuts += 1);
    }

    pub fn cut(&self) {
        self.cut.send_modify(|cuts| *cuts += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(mut client: TcpStream, port: u16, mode: Arc<AtomicU8>, mut cuts: watch::Receiver<u32>) {
    // a server that is down refuses: so does the proxy, by closing
    let Ok(mut server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { return };
    let (mut up, mut down) = (vec![0; 65_536], vec![0; 65_536]);
    cuts.mark_unchanged();
    loop {
        tokio::select! {
            _ = cuts.changed() => return,
            read = client.read(&mut up) => match read {
                Ok(1..) => if server.write_all(&up[..read.unwrap()]).await.is_err() { return },
                _ => return,
            },
            read = server.read(&mut down) => match read {
                Ok(count @ 1..) => {
                    while mode.load(Ordering::SeqCst) == Mode::Stall as u8 {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                    let pass = mode.load(Ordering::SeqCst) == Mode::Pass as u8;
                    if pass && client.write_all(&down[..count]).await.is_err() { return }
                }
                _ => return,
            },
        }
    }
}
