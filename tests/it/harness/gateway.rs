//! One gateway process: started, asked, stopped, killed, started again on the same folder and ports. Owns the process
//! and its files; what it is asked is the tests' affair.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use serde_json::Value;

use super::{Port, eventually, http_client};

/// Lines of a gateway's log that are shown when a test fails.
const LOG_LINES: usize = 40;

/// What a gateway's configuration must know of its place.
pub struct Home<'a> {
    /// For clients.
    pub clients: SocketAddr,
    /// For `/metrics` and `/health`.
    pub admin: SocketAddr,
    /// Journal and ledger.
    pub data_dir: &'a Path,
}

/// A gateway process.
pub struct Gateway {
    /// `http://127.0.0.1:…` for clients.
    pub url: String,
    /// The same for operators.
    pub admin_url: String,
    /// Its configuration.
    pub config: PathBuf,
    /// What its next start finds in its environment, which is empty otherwise.
    pub environment: Vec<(String, String)>,
    home: PathBuf,
    arguments: Vec<String>,
    process: Option<Child>,
    http: reqwest::Client,
    _ports: [Port; 2],
}

impl Gateway {
    /// Writes the configuration into `home`, starts a gateway on it and waits until it is ready.
    pub async fn start(
        home: &Path,
        config: &(dyn Fn(&Home<'_>) -> String + Sync),
        arguments: Vec<String>,
    ) -> Self {
        std::fs::create_dir_all(home).unwrap();
        let (clients, admin) = (Port::free(), Port::free());
        let place = Home { clients: clients.address(), admin: admin.address(), data_dir: &home.join("data") };
        let file = home.join("tollgate.toml");
        std::fs::write(&file, config(&place)).unwrap();
        let mut gateway = Self {
            url: format!("http://{}", place.clients),
            admin_url: format!("http://{}", place.admin),
            config: file,
            environment: Vec::new(),
            home: home.to_owned(),
            arguments,
            process: None,
            http: http_client(),
            _ports: [clients, admin],
        };
        gateway.start_again().await;
        gateway
    }

    /// Starts it after a stop or a kill: same folder, same ports.
    pub async fn start_again(&mut self) {
        assert!(self.process.is_none(), "the gateway still runs");
        let log = File::options().create(true).append(true).open(self.log_path()).unwrap();
        let child = command(&self.config)
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.process = Some(child);
        let ready = format!("{}/health/ready", self.admin_url);
        let http = self.http.clone();
        eventually("the gateway does not become ready", async || {
            if let Some(status) = self.child().try_wait().unwrap() {
                panic!("the gateway ended at its start: {status}");
            }
            let answer = http.get(&ready).send().await;
            answer.is_ok_and(|answer| answer.status() == 200).then_some(())
        })
        .await;
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("the gateway does not run").id()
    }

    /// SIGKILL: nothing of it runs on.
    pub fn kill(&mut self) {
        let mut child = self.process.take().expect("the gateway does not run");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        signal(self.pid(), "TERM");
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> ExitStatus {
        let status = eventually("the gateway does not end", async || self.child().try_wait().unwrap()).await;
        self.process = None;
        status
    }

    /// SIGTERM, and it must end well.
    pub async fn stop(&mut self) {
        if self.process.is_some() {
            self.terminate();
            let status = self.ended().await;
            assert!(status.success(), "the gateway stopped with {status}");
        }
    }

    /// The sum of a metric of whole numbers over all its labels; 0 if it was never counted.
    pub async fn metric(&self, name: &str) -> u64 {
        self.metric_where(name, "").await
    }

    /// The same over the samples whose labels contain `labels`.
    pub async fn metric_where(&self, name: &str, labels: &str) -> u64 {
        let page = self.http.get(format!("{}/metrics", self.admin_url)).send().await.unwrap();
        let page = page.text().await.unwrap();
        let values = page.lines().filter_map(|line| {
            let (sample, value) = line.rsplit_once(' ')?;
            let sample_name = sample.split('{').next()?;
            (sample_name == name && sample.contains(labels)).then(|| value.parse::<u64>().unwrap())
        });
        values.sum()
    }

    /// Is it ready for requests, and what does `/health/ready` say about it?
    pub async fn ready(&self) -> (bool, Value) {
        let answer = self.http.get(format!("{}/health/ready", self.admin_url)).send().await.unwrap();
        (answer.status() == 200, answer.json().await.unwrap())
    }

    /// SIGTERM, and a start in which this stands in its environment as well.
    pub async fn restart_with(&mut self, name: &str, value: impl std::fmt::Display) {
        self.stop().await;
        self.environment.push((name.to_owned(), value.to_string()));
        self.start_again().await;
    }

    /// The folder of its journal.
    pub fn journal(&self) -> PathBuf {
        self.home.join("data/journal")
    }

    /// Its SQLite ledger.
    pub fn ledger(&self) -> PathBuf {
        self.home.join("data/ledger.sqlite")
    }

    /// All it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap()
    }

    fn log_path(&self) -> PathBuf {
        self.home.join("log")
    }

    fn child(&mut self) -> &mut Child {
        self.process.as_mut().expect("the gateway does not run")
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Some(mut child) = self.process.take() {
            child.kill().ok();
            child.wait().ok();
        }
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(LOG_LINES)..];
            eprintln!("the end of the log of {}:\n{}", self.url, last.join("\n"));
        }
    }
}

/// `tollgate run` on a configuration, with nothing of the test's own environment.
pub fn command(config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.arg("run").arg("-c").arg(config).env_clear().stdin(Stdio::null());
    command
}

/// Sends a signal, by the shell's own `kill`: no crate needed.
pub fn signal(pid: u32, name: &str) {
    let sent = Command::new("sh").args(["-c", r#"kill -s "$0" "$1""#, name, &pid.to_string()]).status();
    assert!(sent.unwrap().success(), "SIG{name} was not sent to {pid}");
}
