//! Load: callers that keep calling through all gateways while a test breaks things, and what they saw.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinHandle;
use tollgate::clock::{Clock, Stopwatch};

use super::super::{Call, Dialect, Rig, eventually, within};

/// A caller's pause after anything but a whole answer, so that refusals do not become a busy loop.
const BREATH: Duration = Duration::from_millis(20);

/// How the callers call.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Callers; each has one call open at a time, and they go round the users and the gateways.
    pub callers: usize,
    /// Pause of a caller after each whole answer, milliseconds.
    pub pause_ms: u64,
    /// Pause of the stub between two pieces of a stream, milliseconds. Every other answer is a stream of 5 pieces.
    pub piece_delay_ms: u64,
    /// The model.
    pub model: &'static str,
}

impl Default for Pace {
    fn default() -> Self {
        Self { callers: 12, pause_ms: 5, piece_delay_ms: 1, model: "gemini-2.0-flash" }
    }
}

/// What the callers saw.
#[derive(Default)]
pub struct Seen {
    /// Request ids whose answers came whole, status 200.
    pub whole: Mutex<BTreeSet<String>>,
    /// Answers by status.
    statuses: Mutex<BTreeMap<u16, u64>>,
    /// An example of each error status.
    examples: Mutex<BTreeMap<u16, String>>,
    /// Calls that ended without a whole answer.
    broken: AtomicU64,
    slowest_ms: AtomicU64,
}

impl Seen {
    /// Answers with this status.
    pub fn count(&self, status: u16) -> u64 {
        self.statuses.lock().unwrap().get(&status).copied().unwrap_or(0)
    }

    /// Answers of 500 and above.
    pub fn server_errors(&self) -> u64 {
        self.statuses.lock().unwrap().range(500..).map(|(_, count)| count).sum()
    }

    /// One error of each status: for a failed test's message.
    pub fn examples(&self) -> String {
        format!("{:?}", self.examples.lock().unwrap())
    }

    /// Calls that ended without a whole answer.
    pub fn broken(&self) -> u64 {
        self.broken.load(Ordering::Relaxed)
    }

    /// The longest that a whole answer or a refusal took, since the last call of this.
    pub fn take_slowest_ms(&self) -> u64 {
        self.slowest_ms.swap(0, Ordering::Relaxed)
    }

    fn answer(&self, status: u16, took_ms: u64) {
        *self.statuses.lock().unwrap().entry(status).or_default() += 1;
        self.slowest_ms.fetch_max(took_ms, Ordering::Relaxed);
    }
}

/// Running load.
pub struct Load {
    /// What it has seen so far.
    pub seen: Arc<Seen>,
    over: Arc<AtomicBool>,
    callers: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts it over all gateways of the rig.
    pub fn start(rig: &Rig, tokens: &[String], pace: Pace) -> Self {
        let urls: Vec<&str> = rig.gateways.iter().map(|gateway| gateway.url.as_str()).collect();
        Self::over(&rig.http, &urls, tokens, pace)
    }

    /// Starts it over some gateways.
    pub fn over(http: &reqwest::Client, urls: &[&str], tokens: &[String], pace: Pace) -> Self {
        let (seen, over): (Arc<Seen>, Arc<AtomicBool>) = Default::default();
        let callers = (0..pace.callers).map(|number| {
            let caller = Caller {
                http: http.clone(),
                url: urls[number % urls.len()].to_owned(),
                token: tokens[(number / urls.len()) % tokens.len()].clone(),
                number,
                pace,
                seen: Arc::clone(&seen),
                over: Arc::clone(&over),
            };
            tokio::spawn(caller.keep_calling())
        });
        let callers = callers.collect();
        Self { seen, over, callers }
    }

    /// Waits until so many answers came whole.
    pub async fn reach(&self, answers: u64) {
        eventually(&format!("the load does not reach {answers} answers"), async || {
            (self.seen.count(200) >= answers).then_some(())
        })
        .await;
    }

    /// Waits for so many whole answers more.
    pub async fn more(&self, answers: u64) {
        self.reach(self.seen.count(200) + answers).await;
    }

    /// Each caller ends after its open call.
    pub async fn stop(self) -> Arc<Seen> {
        self.over.store(true, Ordering::Release);
        for caller in self.callers {
            within("the end of a caller", caller).await.unwrap();
        }
        self.seen
    }
}

struct Caller {
    http: reqwest::Client,
    url: String,
    token: String,
    number: usize,
    pace: Pace,
    seen: Arc<Seen>,
    over: Arc<AtomicBool>,
}

impl Caller {
    async fn keep_calling(self) {
        let clock = Clock::system();
        for round in 0.. {
            if self.over.load(Ordering::Acquire) {
                return;
            }
            let id = clock.request_id().simple().to_string();
            let dialect = Dialect::ALL[(round + self.number) % 3];
            let call = Call::new(self.http.clone(), &self.url, dialect, self.pace.model, id.clone());
            let call = call.token(&self.token).header("x-stub-pieces", 5);
            let call = call.header("x-stub-piece-delay-ms", self.pace.piece_delay_ms);
            let call = if round % 2 == 0 { call.stream() } else { call };
            let watch = Stopwatch::start();
            let Ok(answer) = call.try_send().await else {
                self.seen.broken.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(BREATH).await;
                continue;
            };
            let status = answer.status.as_u16();
            // before the count: who waits for the count finds the id
            if status == 200 {
                self.seen.whole.lock().unwrap().insert(id);
            } else {
                self.seen.examples.lock().unwrap().entry(status).or_insert_with(|| answer.text());
            }
            self.seen.answer(status, watch.elapsed_ms());
            let pause = if status == 200 { Duration::from_millis(self.pace.pause_ms) } else { BREATH };
            tokio::time::sleep(pause).await;
        }
    }
}
