//! A PostgreSQL server of the test's own, made by copying a folder that `initdb` filled once, and its streaming replica.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tokio_postgres::SimpleQueryMessage;

use super::super::{Folder, Port, eventually, signal};

/// Who the server runs as: it refuses to run as root, which the tests do.
const USER: &str = "postgres";

/// A running server.
pub struct Postgres {
    process: Option<Child>,
    port: Port,
    folder: Folder,
}

impl Postgres {
    /// Starts one with an empty database.
    pub async fn start() -> Self {
        let folder = Folder::new();
        run(Command::new("cp").args(["-a"]).arg(filled()).arg(folder.path().join("data")));
        Self::start_in(folder).await
    }

    /// Starts one that follows `primary`.
    pub async fn replica_of(primary: &Self) -> Self {
        let folder = Folder::new();
        own(folder.path());
        let (port, data) = (primary.address().port().to_string(), folder.path().join("data"));
        let mut copy = as_server(&program("pg_basebackup"));
        copy.args(["-h", "127.0.0.1", "-U", USER, "-R", "-X", "stream", "-c", "fast", "-p", &port, "-D"]);
        run(copy.arg(data));
        Self::start_in(folder).await
    }

    async fn start_in(folder: Folder) -> Self {
        own(folder.path());
        let mut postgres = Self { process: None, port: Port::free(), folder };
        postgres.start_again().await;
        postgres
    }

    /// Starts it after [`Postgres::stop`] or [`Postgres::kill`].
    pub async fn start_again(&mut self) {
        assert!(self.process.is_none(), "the server still runs");
        let folder = self.folder.path();
        let log = File::options().create(true).append(true).open(folder.join("log")).unwrap();
        let child = as_server(&program("postgres"))
            .arg("-D")
            .arg(folder.join("data"))
            .args(["-p", &self.port.address().port().to_string(), "-c", "listen_addresses=127.0.0.1"])
            .args(["-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "shared_buffers=32MB"])
            .args(["-c", "max_connections=100", "-c", "wal_keep_size=64MB"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        self.process = Some(child.unwrap());
        eventually("PostgreSQL does not answer", async || {
            if let Some(status) = self.process.as_mut().unwrap().try_wait().unwrap() {
                panic!("PostgreSQL ended: {status}: {}", fs::read_to_string(folder.join("log")).unwrap());
            }
            let url = url(self.port.address());
            let connected = tokio_postgres::connect(&url, tokio_postgres::NoTls).await;
            connected.is_ok().then_some(())
        })
        .await;
    }

    /// Stops it in order; sessions are cut.
    pub async fn stop(&mut self) {
        self.end("INT").await;
    }

    /// As if the machine lost power: it comes up by recovery.
    pub async fn kill(&mut self) {
        self.end("QUIT").await;
    }

    async fn end(&mut self, by: &str) {
        let mut child = self.process.take().expect("the server does not run");
        signal(child.id(), by);
        eventually("PostgreSQL does not stop", async || child.try_wait().unwrap()).await;
    }

    /// Makes a replica a primary of its own.
    pub async fn promote(&self) {
        self.execute("SELECT pg_promote()").await;
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// The URL for direct access.
    pub fn url(&self) -> String {
        url(self.address())
    }

    /// Runs statements.
    pub async fn execute(&self, sql: &str) {
        let (client, connection) = tokio_postgres::connect(&self.url(), tokio_postgres::NoTls).await.unwrap();
        let connection = tokio::spawn(connection);
        client.batch_execute(sql).await.unwrap();
        drop(client);
        connection.await.unwrap().unwrap();
    }

    /// The rows of a query, each value as text; NULL is empty.
    pub async fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        let (client, connection) = tokio_postgres::connect(&self.url(), tokio_postgres::NoTls).await.unwrap();
        let connection = tokio::spawn(connection);
        let messages = client.simple_query(sql).await.unwrap();
        drop(client);
        connection.await.unwrap().unwrap();
        let row = |message: &SimpleQueryMessage| match message {
            SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|at| row.get(at).unwrap_or_default().to_owned()).collect())
            }
            _ => None,
        };
        messages.iter().filter_map(row).collect()
    }

    /// The one number that a query gives.
    pub async fn number(&self, sql: &str) -> i64 {
        let (client, connection) = tokio_postgres::connect(&self.url(), tokio_postgres::NoTls).await.unwrap();
        let connection = tokio::spawn(connection);
        let number = client.query_one(sql, &[]).await.unwrap().get(0);
        drop(client);
        connection.await.unwrap().unwrap();
        number
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(mut child) = self.process.take() {
            // ends its own children as well, which SIGKILL would not
            signal(child.id(), "QUIT");
            child.wait().ok();
        }
    }
}

/// The URL of the database behind any address, a proxy's for example.
pub fn url(address: SocketAddr) -> String {
    format!("postgresql://{USER}@{address}/postgres")
}

/// A folder as `initdb` leaves it: made by the first test that needs one, kept for all.
fn filled() -> PathBuf {
    let place = std::env::temp_dir().join("tollgate-it-postgres");
    fs::create_dir_all(&place).unwrap();
    own(&place);
    let lock = File::create(place.join("lock")).unwrap();
    lock.lock().unwrap();
    let (data, ready) = (place.join("data"), place.join("ready"));
    if !ready.exists() {
        fs::remove_dir_all(&data).ok();
        let mut fill = as_server(&program("initdb"));
        fill.args(["-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "-D"]);
        run(fill.arg(&data));
        File::create(ready).unwrap();
    }
    data
}

fn program(name: &str) -> PathBuf {
    let folder = Command::new("pg_config").arg("--bindir").output().expect("`pg_config` is needed");
    Path::new(String::from_utf8(folder.stdout).unwrap().trim()).join(name)
}

/// A program of the server, as the server's user.
fn as_server(program: &Path) -> Command {
    let mut command = super::bound_to_test("QUIT");
    if is_root() {
        command.args(["--reuid", USER, "--regid", USER, "--init-groups"]);
    }
    command.arg(program).current_dir("/");
    command
}

fn own(folder: &Path) {
    if is_root() {
        run(Command::new("chown").args(["-R", USER]).arg(folder));
    }
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout.trim_ascii() == b"0"
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
