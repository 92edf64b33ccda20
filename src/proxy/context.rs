//! What one request carries from phase to phase: a few facts and one stage.

use std::sync::Arc;

use bytes::Bytes;

use super::attempts::Attempts;
use super::replay::Handover;
use crate::clock::Stopwatch;
use crate::dialect::{AnswerReader, Ask, Dialect, Route, rewrite};
use crate::gate::Permit;
use crate::snapshot::ConfigSnapshot;
use crate::telemetry::{InFlight, Labels};

/// The context of one request.
pub struct Context {
    /// Since the header was read.
    pub started: Stopwatch,
    /// The `x-request-id` that the client sees.
    pub request_id: String,
    /// The origin whose scripts may read the answer.
    pub origin: Option<String>,
    /// The dialect to answer in, once the path has told.
    pub dialect: Dialect,
    /// Metric labels, filled in as they become known.
    pub labels: Labels,
    /// Where the request stands.
    pub stage: Stage,
    /// Counts the request as in flight, from its header to its end. The last field: it goes when all else has ended.
    pub in_flight: Option<InFlight>,
}

/// Where a request stands.
pub enum Stage {
    /// Nothing is decided.
    Arrived,
    /// We have answered, or are answering, ourselves; the metric outcome, if the request counts as one.
    Answered(Option<&'static str>),
    /// It goes upstream.
    Forwarding(Box<Forward>),
}

/// A request on its way upstream and back.
pub struct Forward {
    /// The call.
    pub route: Route,
    /// What it asks for.
    pub ask: Ask,
    /// The model that is meant: the name asked for, or what an alias stands for. Quota goes by it.
    pub model: String,
    /// Where it goes, and with which model.
    pub attempts: Attempts,
    /// The body as the caller sent it, while another upstream may still be asked.
    pub raw: Bytes,
    /// The hold; `None` for calls that are not counted, and after it was finished.
    pub permit: Option<Permit>,
    /// The configuration that the request goes by, from its header to its end.
    pub config: Arc<ConfigSnapshot>,
    /// What the wrapper of the client's session and the phases share.
    pub handover: Arc<Handover>,
    /// Length of the body that is sent.
    pub body_bytes: usize,
    /// Did we ask for usage that the client did not ask for?
    pub usage_added: bool,
    /// The gateway's own time before the request was sent.
    pub before_upstream: std::time::Duration,
    /// Since the request was sent.
    pub sent: Option<Stopwatch>,
    /// From sending to the answer's header.
    pub upstream_wait: Option<std::time::Duration>,
    /// Did the upstream answer 2xx?
    pub is_2xx: bool,
    /// The answer.
    pub answer: Answer,
}

/// The upstream's answer, as far as it has come.
pub enum Answer {
    /// No header yet.
    None,
    /// 2xx: bytes pass, and are read.
    Passing(Box<AnswerReader>),
    /// Another status: the body is kept and cleaned before it passes.
    Error {
        /// What has come so far.
        kept: Vec<u8>,
        /// Given instead of the upstream's words, where these may show our key.
        instead: Option<Bytes>,
    },
    /// It has ended and stands in the journal.
    Ended,
}

impl Context {
    /// The context of a request whose header has just been read.
    pub fn new() -> Self {
        Self {
            started: Stopwatch::start(),
            request_id: String::new(),
            origin: None,
            dialect: Dialect::OpenAi,
            labels: Labels::default(),
            stage: Stage::Arrived,
            in_flight: None,
        }
    }

    /// The forwarding stage, if the request has reached it.
    pub fn forward(&mut self) -> Option<&mut Forward> {
        match &mut self.stage {
            Stage::Forwarding(forward) => Some(forward),
            Stage::Arrived | Stage::Answered(_) => None,
        }
    }
}

impl Forward {
    /// Offers the body as the upstream gets it that the request is at.
    pub fn offer_body(&mut self) {
        let model = Some(self.attempts.model.as_str());
        let rewritten = rewrite(&self.route, &self.ask, &self.raw, model, self.usage_added);
        let body = rewritten.map_or_else(|| self.raw.clone(), Bytes::from);
        self.body_bytes = body.len();
        self.handover.set_body(Some(body));
    }
}
