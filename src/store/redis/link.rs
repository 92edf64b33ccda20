//! One call of a script: breaker, deadline, the right SHA for the process that answers, and another try when it changed.
//!
//! It must not know what scripts do.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use fred::clients::WithOptions;
use fred::error::Error;
use fred::interfaces::{ClientLike, ClusterInterface};
use fred::prelude::{Client, FredResult, Value};
use fred::types::cluster::ClusterRouting;
use fred::types::config::Options;
use fred::types::{ClusterHash, CustomCommand, FromValue};

use super::args::count;
use super::breaker::Breaker;
use super::errors::{fault, is_no_script, is_slot_moving, is_unreachable};
use super::events::Events;
use super::process::Processes;
use super::scripts::Script;
use crate::store::{CountersEvent, StoreError, StoreKind};

/// On the path of a request.
pub(super) const ON_PATH: Duration = Duration::from_millis(100);
/// Loading a cold domain: the ledger was asked just before, so the request waits already.
pub(super) const LOADING: Duration = Duration::from_secs(1);
/// Off the path: ending, renewing, sweeping.
pub(super) const OFF_PATH: Duration = Duration::from_secs(5);
/// How often a call meets another process before it gives up. Each further one takes another fail-over in its 100 ms.
const MAX_PROCESSES: usize = 4;

/// When the client library forgets a call that was given up, after its deadline.
const GIVEN_UP: Duration = Duration::from_secs(1);

/// How often the process goes round all that is ready to run before a call without an answer is given up: the answer
/// takes a turn each through socket, reader and caller. Microseconds where nothing else is to be done.
const LATE_TURNS: usize = 16;

/// Between two tries while a slot moves to another node.
const SLOT_MOVING_PAUSE: Duration = Duration::from_millis(10);

/// The connections of this gateway, and what is known of the processes behind them.
pub(super) struct Link {
    pub(super) client: Client,
    pub(super) processes: Processes,
    pub(super) breaker: Breaker,
    pub(super) events: Arc<Events>,
}

impl Link {
    /// Calls a script within `deadline`. `keys` starts with the domain's.
    pub(super) async fn call<R: FromValue>(
        &self,
        script: Script,
        deadline: Duration,
        keys: Vec<String>,
        args: Vec<Value>,
    ) -> Result<R, StoreError> {
        let operation = script.name();
        self.breaker.check(operation)?;
        let is_moving = AtomicBool::new(false);
        let attempts = pin!(self.attempts(script, deadline, (keys, args), &is_moving));
        match in_time(deadline, attempts).await {
            Some(Ok(answer)) => {
                self.breaker.answered();
                answer.convert().map_err(|error| fault(operation, &error))
            }
            Some(Err(error)) => Err(error),
            None => {
                if !is_moving.load(Ordering::Relaxed) {
                    self.breaker.failed();
                }
                let message = format!("no answer in {} ms", deadline.as_millis());
                // without a connection, or after one call too many, the server counts as away
                if self.breaker.is_open() || !self.client.is_connected() {
                    Err(StoreError::transient(StoreKind::Redis, operation, message))
                } else {
                    Err(StoreError::late(StoreKind::Redis, operation, message))
                }
            }
        }
    }

    async fn attempts(
        &self,
        script: Script,
        deadline: Duration,
        (keys, args): (Vec<String>, Vec<Value>),
        is_moving: &AtomicBool,
    ) -> Result<Value, StoreError> {
        let operation = script.name();
        let key = keys.first().cloned().unwrap_or_default();
        // the call's own deadline is for all attempts and is kept by `in_time`; this one only ends what that gave up
        let client = self.within(deadline + GIVEN_UP);
        let mut stale = None;
        let mut processes = 0;
        while processes < MAX_PROCESSES {
            let node = self.processes.node(&key);
            let known = self.processes.get(node.as_ref());
            let process =
                match known.filter(|known| stale.as_ref().is_none_or(|stale| !Arc::ptr_eq(stale, known))) {
                    Some(known) => known,
                    None => self.load(node, stale.as_ref()).await?,
                };
            match evaluate(&client, "EVALSHA", process.hash(script), &keys, &args).await {
                Err(error) if is_no_script(&error) => {
                    processes += 1;
                    stale = Some(process);
                }
                // it is settled in moments; the caller's deadline ends the loop
                Err(error) if is_slot_moving(&error) => {
                    // no process is stale: the same one may serve the slot again
                    stale = None;
                    is_moving.store(true, Ordering::Relaxed);
                    tokio::time::sleep(SLOT_MOVING_PAUSE).await;
                }
                Err(error) => {
                    self.note(&error);
                    return Err(fault(operation, &error));
                }
                Ok(answer) => return Ok(answer),
            }
            if self.processes.is_cluster() {
                self.processes.set_routing(self.client.cached_cluster_state());
            }
        }
        Err(StoreError::transient(
            StoreKind::Redis,
            operation,
            "the server process changes faster than scripts load",
        ))
    }

    /// The client with a deadline for each command. It must not be used for the library's own `eval` and `evalsha`, see
    /// [`evaluate`].
    pub(super) fn within(&self, deadline: Duration) -> WithOptions<Client> {
        self.client.with_options(&Options {
            timeout: Some(deadline),
            max_redirections: Some(0),
            ..Options::default()
        })
    }

    /// Tells the breaker about an error.
    pub(super) fn note(&self, error: &Error) {
        if is_unreachable(error) {
            self.breaker.failed();
        } else {
            self.breaker.answered();
        }
    }

    /// Before a domain is loaded: has the server begun a new term?
    pub(super) async fn recheck(&self, key: &str) -> Result<(), StoreError> {
        let recheck = pin!(self.processes.recheck(self.processes.node(key)));
        match in_time(LOADING, recheck).await {
            Some(Ok(true)) => self.events.send(CountersEvent::Reconnected),
            Some(other) => drop(other?),
            None => {
                return Err(StoreError::late(
                    StoreKind::Redis,
                    "load_scripts",
                    "no answer in a second".to_owned(),
                ));
            }
        }
        Ok(())
    }

    async fn load(
        &self,
        node: Option<fred::types::config::Server>,
        stale: Option<&Arc<super::process::Process>>,
    ) -> Result<Arc<super::process::Process>, StoreError> {
        let (process, is_new) = self.processes.load(node, stale).await?;
        if is_new {
            self.events.send(CountersEvent::Reconnected);
        }
        Ok(process)
    }
}

/// What `work` gives by the deadline. An answer that has come by then and waits for its turn in this process is in time:
/// a gateway that is busy must not take itself for an outage of the server, and decide without it. `work` is pinned by the
/// caller: moved here it would be copied, and it is large.
async fn in_time<T>(deadline: Duration, mut work: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    if let Ok(done) = tokio::time::timeout(deadline, work.as_mut()).await {
        return Some(done);
    }
    for _ in 0..LATE_TURNS {
        tokio::task::yield_now().await;
        let turn = std::future::poll_fn(|context| Poll::Ready(work.as_mut().poll(context)));
        if let Poll::Ready(done) = turn.await {
            return Some(done);
        }
    }
    None
}

/// `EVALSHA` or `EVAL`. The library's own methods for these ignore deadlines and are never pipelined: each would wait for
/// the reply to the one before.
pub(super) async fn evaluate(
    client: &WithOptions<Client>,
    command: &'static str,
    script: &str,
    keys: &[String],
    args: &[Value],
) -> FredResult<Value> {
    let slot = keys.first().map_or(0, |key| ClusterRouting::hash_key(key.as_bytes()));
    let mut all = Vec::with_capacity(2 + keys.len() + args.len());
    all.extend([Value::from(script), count(keys.len())]);
    all.extend(keys.iter().map(|key| Value::from(key.as_str())));
    all.extend_from_slice(args);
    client.custom(CustomCommand::new_static(command, ClusterHash::Custom(slot), false), all).await
}
