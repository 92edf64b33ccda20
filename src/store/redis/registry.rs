//! Which gateways live, and the news that all of them must hear: the heartbeat and the subscription.
//!
//! It must not know numbers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fred::clients::SubscriberClient;
use fred::interfaces::{ClientLike, EventInterface};
use fred::prelude::FredResult;
use fred::types::{ClusterHash, CustomCommand};
use tokio::sync::broadcast::error::RecvError;

use super::args::text;
use super::events::Events;
use super::link::{Link, ON_PATH, evaluate};
use super::scripts::HEARTBEAT;
use crate::clock::Stopwatch;
use crate::quota::Domain;
use crate::store::CountersEvent;

/// The registry: a sorted set of gateways by the server's time of their last heartbeat.
const REGISTRY_KEY: &str = "tg:gateways";
/// The channel on which loaded domains are named.
pub(super) const CHANNEL: &str = "tg:rebuilt";
/// Between two heartbeats.
const HEARTBEAT_EVERY: Duration = Duration::from_millis(500);
/// Between two while the breaker is open.
const PROBE_EVERY: Duration = Duration::from_millis(100);
/// A gateway that was not heard of for this long is waited for no more.
const GONE_MS: u64 = 10_000;

/// Gateways as this one sees them. The view outlives the server's registry, which a flush empties.
#[derive(Debug, Default)]
pub(super) struct Gateways(Mutex<HashMap<String, Stopwatch>>);

impl Gateways {
    /// All that were heard of lately, blank-separated.
    pub(super) fn live(&self) -> String {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut live: Vec<&str> = seen.keys().map(String::as_str).collect();
        live.sort_unstable();
        live.join(" ")
    }

    fn heard(&self, ids: Vec<String>) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for id in ids {
            seen.insert(id, Stopwatch::start());
        }
        seen.retain(|_, last| last.elapsed_ms() < GONE_MS);
    }
}

/// One heartbeat: registers this gateway (an empty id only asks) and updates the view.
pub(super) async fn heartbeat(link: &Link, gateways: &Gateways, id: &str) -> FredResult<()> {
    let (keys, args) = ([REGISTRY_KEY.to_owned()], [id.into(), text(GONE_MS)]);
    let live = evaluate(&link.within(ON_PATH), "EVAL", HEARTBEAT, &keys, &args).await?;
    gateways.heard(live.convert()?);
    Ok(())
}

/// Takes this gateway out of the registry.
pub(super) async fn leave(link: &Link, id: &str) -> FredResult<()> {
    let command = CustomCommand::new_static("ZREM", ClusterHash::FirstKey, false);
    let _known: i64 = link.within(ON_PATH).custom(command, vec![REGISTRY_KEY, id]).await?;
    Ok(())
}

/// Heartbeats for ever. They also find out that a server answers again.
pub(super) async fn beat(link: Arc<Link>, gateways: Arc<Gateways>, id: String) {
    loop {
        let pause = if link.breaker.is_open() { PROBE_EVERY } else { HEARTBEAT_EVERY };
        tokio::time::sleep(pause).await;
        match heartbeat(&link, &gateways, &id).await {
            Ok(()) => link.breaker.close(),
            Err(error) => link.note(&error),
        }
    }
}

/// Has each process asked again whenever a connection is new, for ever.
pub(super) async fn doubt(link: Arc<Link>) {
    let mut reconnects = link.client.reconnect_rx();
    while !matches!(reconnects.recv().await, Err(RecvError::Closed)) {
        link.processes.doubt();
    }
}

/// Passes on which domains were loaded, for ever. Whenever news may have been missed, `Reconnected` asks for everything.
pub(super) async fn listen(subscriber: SubscriberClient, events: Arc<Events>) {
    let mut messages = subscriber.message_rx();
    let mut reconnects = subscriber.reconnect_rx();
    loop {
        let event = tokio::select! {
            message = messages.recv() => match message {
                Ok(message) => message.value.into_string().map(|domain| CountersEvent::Rebuilt(Domain::from_text(&domain))),
                Err(RecvError::Lagged(_)) => Some(CountersEvent::Reconnected),
                Err(RecvError::Closed) => return,
            },
            reconnect = reconnects.recv() => match reconnect {
                Ok(_) | Err(RecvError::Lagged(_)) => {
                    // a connection that is new has no subscription until it is asked for again
                    if let Err(error) = subscriber.resubscribe_all().await {
                        tracing::warn!(%error, "redis: cannot subscribe");
                    }
                    Some(CountersEvent::Reconnected)
                }
                Err(RecvError::Closed) => return,
            },
        };
        if let Some(event) = event {
            events.send(event);
        }
    }
}
