//! What arrived at the stub and how each answer ended: the other side's books, to hold against the gateway's ledger.
//! Owns the counts and notices a client who left. It must not know what an answer says.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::HeaderMap;
use serde::Serialize;
use serde_json::{Value, json};

/// Different models and paths counted by name: more would let a caller grow the map without end.
const MAX_NAMES: usize = 1_000;

/// Bodies remembered one by one, the newest.
const MAX_BODIES: usize = 64;

/// Headers whose value is shown, so that a test can see which credential reached the upstream.
const CREDENTIAL_HEADERS: [&str; 3] = ["authorization", "x-api-key", "x-goog-api-key"];

/// All counts since the start or the last reset.
#[derive(Debug, Default)]
pub(super) struct Books(Mutex<Counts>);

/// Ends one request in the books. Dropped without a word, the client is gone.
#[derive(Debug)]
pub(super) struct OpenAnswer {
    books: Arc<Books>,
    number: u64,
    /// Requests begun before a reset must not count after it.
    era: u64,
    input_tokens: u64,
    output_tokens: u64,
    model: String,
    answered: bool,
    end: Option<AnswerEnd>,
}

/// How an answer ended, unless its client left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AnswerEnd {
    Completed,
    Failed,
    Cut,
}

#[derive(Debug, Default, Serialize)]
struct Counts {
    #[serde(skip)]
    era: u64,
    #[serde(skip)]
    last_number: u64,
    /// Requests that arrived.
    requests: u64,
    /// Of them, still running.
    open: u64,
    /// Answers whose last byte was handed over.
    completed: u64,
    /// The client left before the end.
    cancelled: u64,
    /// Error answers: asked for by `x-stub-status`, or because the request was wrong.
    failed: u64,
    /// Broken off because of `x-stub-cut-after`.
    cut: u64,
    by_model: BTreeMap<String, u64>,
    by_path: BTreeMap<String, u64>,
    body_bytes: u64,
    bodies: Vec<ReadBody>,
    last_headers: BTreeMap<String, Option<String>>,
    served: Served,
}

#[derive(Debug, Serialize)]
struct ReadBody {
    model: String,
    bytes: usize,
    sha256: Option<String>,
}

/// What a provider would put on its bill: answers of status 2xx, however they ended.
#[derive(Debug, Default, Serialize)]
struct Served {
    answers: u64,
    input_tokens: u64,
    output_tokens: u64,
    by_model: BTreeMap<String, u64>,
}

impl Books {
    /// Counts a request as arrived.
    pub fn begin(self: &Arc<Self>, path: &str, headers: &HeaderMap) -> OpenAnswer {
        let mut counts = self.counts();
        counts.requests += 1;
        counts.open += 1;
        counts.last_number += 1;
        count_name(&mut counts.by_path, path);
        counts.last_headers = headers
            .iter()
            .map(|(name, value)| {
                let shown = || String::from_utf8_lossy(value.as_bytes()).into_owned();
                (name.to_string(), CREDENTIAL_HEADERS.contains(&name.as_str()).then(shown))
            })
            .collect();
        OpenAnswer {
            books: Arc::clone(self),
            number: counts.last_number,
            era: counts.era,
            input_tokens: 0,
            output_tokens: 0,
            model: String::new(),
            answered: false,
            end: None,
        }
    }

    pub fn to_json(&self) -> Value {
        json!(&*self.counts())
    }

    /// Starts again from zero. Numbers go on, so that answers stay distinct.
    pub fn reset(&self) {
        let mut counts = self.counts();
        *counts = Counts { era: counts.era + 1, last_number: counts.last_number, ..Counts::default() };
    }

    /// Counts are plain sums: a panic elsewhere leaves nothing half done in them.
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OpenAnswer {
    /// Which request this is, from 1.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The request is read whole and understood.
    pub fn read(&mut self, model: &str, bytes: usize, sha256: Option<&str>) {
        model.clone_into(&mut self.model);
        let body = ReadBody { model: model.to_owned(), bytes, sha256: sha256.map(str::to_owned) };
        self.with(|counts| {
            count_name(&mut counts.by_model, model);
            counts.body_bytes += bytes as u64;
            if counts.bodies.len() == MAX_BODIES {
                counts.bodies.remove(0);
            }
            counts.bodies.push(body);
        });
    }

    /// The answer is about to begin; its input tokens will be on the bill.
    pub fn promised(&mut self, input_tokens: u64) {
        self.answered = true;
        self.input_tokens = input_tokens;
    }

    /// So many more pieces are handed over.
    pub fn pieces(&mut self, count: usize) {
        self.output_tokens += count as u64;
    }

    pub fn ended(&mut self, end: AnswerEnd) {
        self.end = Some(end);
    }

    fn with(&self, change: impl FnOnce(&mut Counts)) {
        let mut counts = self.books.counts();
        if counts.era == self.era {
            change(&mut counts);
        }
    }
}

impl Drop for OpenAnswer {
    fn drop(&mut self) {
        self.with(|counts| {
            counts.open -= 1;
            match self.end {
                None => counts.cancelled += 1,
                Some(AnswerEnd::Completed) => counts.completed += 1,
                Some(AnswerEnd::Failed) => counts.failed += 1,
                Some(AnswerEnd::Cut) => counts.cut += 1,
            }
            if self.answered {
                counts.served.answers += 1;
                counts.served.input_tokens += self.input_tokens;
                counts.served.output_tokens += self.output_tokens;
                count_name(&mut counts.served.by_model, &self.model);
            }
        });
    }
}

fn count_name(counts: &mut BTreeMap<String, u64>, name: &str) {
    let name = if counts.len() < MAX_NAMES || counts.contains_key(name) { name } else { "other" };
    *counts.entry(name.to_owned()).or_default() += 1;
}
