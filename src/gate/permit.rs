//! The permit: what a request needs to go upstream, and what must end exactly once. Ending it writes the journal before
//! the client gets its last byte, then hands the settle over; dropping it unended does the same with what is known.

use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

use super::settle::Settler;
use crate::clock::Stopwatch;
use crate::quota::{Domain, LimitHold};
use crate::store::entry::Tokens;
use crate::store::{Entry, Outcome};

/// The right to send one metered request upstream. Only [`super::Gate::admit`] makes one.
#[must_use = "a permit holds quota until it is finished"]
pub struct Permit {
    settler: Arc<Settler>,
    open: Option<AdmittedRequest>,
    limits: Arc<[LimitHold]>,
    admitted_at_ms: i64,
}

/// A request in flight.
pub(super) struct AdmittedRequest {
    pub entry: Entry,
    pub domain: Domain,
    pub started: Stopwatch,
    pub answered: bool,
}

/// How a request ended.
#[derive(Clone, Debug)]
pub struct Ending {
    /// Which row of the outcome table.
    pub outcome: Outcome,
    /// Tokens, as far as known.
    pub tokens: Tokens,
    /// Cost in millionths of a US dollar.
    pub cost_micro_usd: u64,
    /// The price used; empty: none known.
    pub price: String,
}

impl Ending {
    /// An ending without tokens or cost.
    pub fn bare(outcome: Outcome) -> Self {
        Self { outcome, tokens: Tokens::default(), cost_micro_usd: 0, price: String::new() }
    }
}

/// An answer that has begun. Noted, the request is charged whatever happens to the gateway.
pub struct FirstByte {
    settler: Arc<Settler>,
    rid: Uuid,
    status: u16,
    at_ms: i64,
}

impl FirstByte {
    /// Writes it into the journal.
    pub fn note(self) {
        self.settler.first_byte(self.rid, self.status, self.at_ms);
    }
}

impl Permit {
    pub(super) fn new(settler: Arc<Settler>, open: AdmittedRequest, limits: Arc<[LimitHold]>) -> Self {
        let admitted_at_ms = open.entry.admitted_at_ms;
        Self { settler, open: Some(open), limits, admitted_at_ms }
    }

    /// The limits that applied, with the numbers that decided: what the rate-limit headers show.
    pub fn limits(&self) -> &[LimitHold] {
        &self.limits
    }

    /// When it was admitted, milliseconds since 1970.
    pub fn admitted_at_ms(&self) -> i64 {
        self.admitted_at_ms
    }

    /// Our own id of the request.
    pub fn id(&self) -> Uuid {
        self.open.as_ref().map_or(Uuid::nil(), |open| open.entry.id)
    }

    /// The row as it stands in the journal's BEGIN.
    #[cfg(test)]
    pub(super) fn entry_for_tests(&self) -> Entry {
        self.open.as_ref().map(|open| open.entry.clone()).expect("the permit is open")
    }

    /// The request goes to this upstream (again, after another could not be reached).
    pub fn dispatched(&mut self, upstream: &str, model: &str) {
        if let Some(open) = &mut self.open {
            upstream.clone_into(&mut open.entry.upstream);
            model.clone_into(&mut open.entry.model_dispatched);
        }
    }

    /// The upstream answered with this status. From a 2xx on the request is charged. What is returned then is to be noted
    /// before the client gets a byte, unless the request has ended by then.
    #[must_use = "an answer that began is charged after a crash only if that was noted"]
    pub fn answered(&mut self, status: u16) -> Option<FirstByte> {
        let open = self.open.as_mut()?;
        let first_byte_ms = open.started.elapsed_ms();
        open.entry.status = status;
        open.entry.first_byte_ms = Some(first_byte_ms);
        open.answered = (200..300).contains(&status);
        open.answered.then(|| FirstByte {
            settler: Arc::clone(&self.settler),
            rid: open.entry.id,
            status,
            at_ms: open.entry.admitted_at_ms.saturating_add_unsigned(first_byte_ms),
        })
    }

    /// Ends the request: into the journal now, into the counters and the ledger soon.
    pub fn finish(mut self, ending: Ending) {
        if let Some(open) = self.open.take() {
            open.end(ending, &self.settler);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(open) = self.open.take() {
            // a panic is ours, whether or not the upstream had answered; a task that is dropped has lost its client
            let crashed = open.answered || std::thread::panicking();
            let outcome = if crashed { Outcome::Crashed } else { Outcome::ClientGone };
            open.end(Ending::bare(outcome), &self.settler);
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("id", &self.id()).finish_non_exhaustive()
    }
}

impl AdmittedRequest {
    fn end(self, ending: Ending, settler: &Settler) {
        let Self { mut entry, domain, started, answered } = self;
        entry.outcome = ending.outcome;
        entry.tokens = ending.tokens;
        entry.cost_micro_usd = ending.cost_micro_usd;
        entry.price = ending.price;
        entry.duration_ms = started.elapsed_ms();
        entry.ended_at_ms = entry.admitted_at_ms.saturating_add_unsigned(entry.duration_ms);
        if !is_charged(ending.outcome, answered) {
            entry.charges.iter_mut().for_each(|charge| charge.amount = 0);
        }
        settler.end(&domain, &entry);
    }
}

/// The outcome table: a message is charged once its upstream answered 2xx, and never otherwise.
fn is_charged(outcome: Outcome, answered: bool) -> bool {
    match outcome {
        Outcome::Ok | Outcome::Cancelled | Outcome::Truncated | Outcome::Crashed => answered,
        Outcome::UpstreamError | Outcome::ClientGone => false,
    }
}
