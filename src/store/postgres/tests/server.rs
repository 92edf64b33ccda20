//! A PostgreSQL server for tests: one for all test processes that run at the same time, a database for each test. It
//! starts with the first test and stops itself when no test has used it for a while.
//!
//! Each test process holds a shared lock on `users` as long as it lives. The keeper script, which starts the server,
//! stops it by its process id when it gets that lock for itself. The keeper holds `keeper` as long as it lives, so a
//! folder that a killed one left behind is known.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use sha2::{Digest, Sha256};
use tokio_postgres::SimpleQueryMessage;

use crate::clock::{Clock, Stopwatch};

/// Who the server runs as when the tests run as root, which the server refuses.
const SERVER_USER: &str = "postgres";
/// `initdb` on a busy machine.
const START_TIMEOUT: Duration = Duration::from_mins(1);

/// `$1`: folder, `$2`: the server's programs, `$3`: port.
const KEEPER: &str = r#"
set -e
cd "$1"
exec 8> keeper
flock -n -x 8
"$2/initdb" -D data -U tollgate -A trust -E UTF8 --locale=C --no-sync > initdb.log 2>&1
"$2/postgres" -D data -k "$1" -h 127.0.0.1 -p "$3" -c ssl=on -c ssl_cert_file="$1/server.pem" \
    -c ssl_key_file="$1/server.key" -c fsync=off -c max_connections=300 -c log_min_messages=warning \
    -c shared_buffers=64MB -c log_lock_waits=on > server.log 2>&1 8>&- &
server=$!
until "$2/pg_isready" -q -h "$1" -p "$3" -U tollgate -d postgres; do kill -0 $server; sleep 0.05; done
touch ready
idle=0
while kill -0 $server 2> kill.log; do
    sleep 1
    if flock -n -x users true; then idle=$((idle + 1)); else idle=0; fi
    if [ $idle -ge 15 ]; then
        # No test can begin while the lock is held: it waits, finds nothing ready, and starts a server of its own.
        exec 9< users
        if flock -n -x 9; then rm ready; kill -INT $server; wait $server || true; break; fi
    fi
done
rm -rf "$1"
"#;

/// A database of one's own.
pub(crate) struct Database {
    /// Its name.
    pub name: String,
}

impl Database {
    /// Makes an empty one.
    pub async fn create() -> Self {
        let name = format!("t{}", Clock::system().request_id().simple());
        let database = Self { name };
        psql("postgres", &format!("CREATE DATABASE {}", database.name)).await.unwrap();
        database
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("host={} port={} user=tollgate dbname={}", server().display(), port(), self.name)
    }

    /// The rows of a query, each value as text; NULL is empty.
    pub async fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        let (client, connection) = tokio_postgres::connect(&self.url(), tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        let messages = client.simple_query(sql).await.unwrap();
        let row = |message: &SimpleQueryMessage| match message {
            SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|at| row.get(at).unwrap_or_default().to_owned()).collect())
            }
            _ => None,
        };
        messages.iter().filter_map(row).collect()
    }

    /// Runs statements in it.
    pub async fn execute(&self, sql: &str) -> Result<(), String> {
        psql(&self.name, sql).await
    }
}

async fn psql(database: &str, sql: &str) -> Result<(), String> {
    let config = format!("host={} port={} user=tollgate dbname={database}", server().display(), port());
    let (client, connection) = tokio_postgres::connect(&config, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute(sql).await.map_err(|error| error.as_db_error().unwrap().message().to_owned())
}

/// The running server's port, on 127.0.0.1 and in the name of its socket.
pub(crate) fn port() -> u16 {
    fs::read_to_string(server().join("port")).unwrap().parse().unwrap()
}

/// The folder of the running server: its socket, `ca.pem` (whose certificate for `localhost` it shows) and
/// `other_ca.pem`.
pub(crate) fn server() -> &'static Path {
    static SERVER: OnceLock<(PathBuf, File)> = OnceLock::new();
    &SERVER.get_or_init(start).0
}

fn start() -> (PathBuf, File) {
    // One server for each checkout and user; the path is short because a socket's path may have 107 bytes.
    let checkout = Sha256::digest(format!("{} {}", env!("CARGO_MANIFEST_DIR"), id("-u")));
    let folder = std::env::temp_dir().join(&format!("tollgate-pg-{checkout:x}")[..24]);
    let start = lock_file(&folder.with_extension("lock"));
    start.lock().unwrap();
    if folder.exists() && lock_file(&folder.join("keeper")).try_lock().is_ok() {
        fs::remove_dir_all(&folder).unwrap();
    }
    let waited = Stopwatch::start();
    while waited.elapsed() < START_TIMEOUT {
        if !folder.exists() {
            start_keeper(&folder);
        }
        if folder.join("ready").exists() {
            // Not to be had while the keeper stops the server; gone when it has.
            if let Some(users) =
                File::open(folder.join("users")).ok().filter(|users| users.try_lock_shared().is_ok())
            {
                return (folder, users);
            }
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("no PostgreSQL server after {START_TIMEOUT:?}: look into {}", folder.display());
}

fn start_keeper(folder: &Path) {
    fs::create_dir(folder).unwrap();
    drop(File::create(folder.join("users")).unwrap());
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    fs::write(folder.join("port"), &port).unwrap();
    write_certificates(folder);
    let programs = Command::new("pg_config").arg("--bindir").output().unwrap();
    let programs = String::from_utf8(programs.stdout).unwrap();
    let mut command = Command::new("setsid");
    // It outlives the test that happened to come first.
    command.arg("--fork");
    if id("-u") == "0" {
        let owned = Command::new("chown").args(["-R", SERVER_USER]).arg(folder).status().unwrap();
        assert!(owned.success());
        command.args(["runuser", "-u", SERVER_USER, "--"]);
    }
    command.args(["sh", "-c", KEEPER, "keeper"]).arg(folder).args([programs.trim(), &port]).current_dir("/");
    let (stdin, stdout, stderr) = (Stdio::null(), Stdio::null(), Stdio::null());
    assert!(command.stdin(stdin).stdout(stdout).stderr(stderr).status().unwrap().success());
}

fn write_certificates(folder: &Path) {
    let authority = |file: &str| {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        fs::write(folder.join(file), params.self_signed(&key).unwrap().pem()).unwrap();
        Issuer::new(params, key)
    };
    let (ca, _) = (authority("ca.pem"), authority("other_ca.pem"));
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &ca).unwrap();
    fs::write(folder.join("server.pem"), certificate.pem()).unwrap();
    fs::write(folder.join("server.key"), key.serialize_pem()).unwrap();
    fs::set_permissions(folder.join("server.key"), fs::Permissions::from_mode(0o600)).unwrap();
}

fn lock_file(path: &Path) -> File {
    File::options().create(true).truncate(false).write(true).open(path).unwrap()
}

fn id(which: &str) -> String {
    String::from_utf8(Command::new("id").arg(which).output().unwrap().stdout).unwrap().trim().to_owned()
}
