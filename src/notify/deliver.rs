//! The task of a gateway that empties the outbox: claims what is due, sends it, notes how it went. A slow receiver holds up
//! only its own messages.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::send::{Failed, Sender};
use super::settings::WebhookSettings;
use crate::clock::Clock;
use crate::store::StoreError;
use crate::store::outbox::{Attempt, Claim, Message, Outbox, Tried};
use crate::telemetry::Metrics;

/// How often the outbox is looked at: an alert that is a second late is not late.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Messages of one webhook that are on their way at once.
const BATCH: u32 = 8;
/// Beyond the time-out, until another gateway may take a message: two clocks may differ, and the store be slow.
const LEASE_MARGIN_MS: i64 = 10_000;
/// How often the gauges are read and old messages deleted, in looks.
const HOUSEKEEPING_LOOKS: u32 = 15;
/// Messages deleted at once, so that no transaction is long.
const FORGET_MAX: u32 = 1_000;
/// How long the messages on their way may take at a stop: they are sent again otherwise.
const STOP_WAIT: Duration = Duration::from_secs(5);
/// Longest reason that is kept, in bytes.
const REASON_BYTES_MAX: usize = 500;

/// Waits between attempts, in seconds: the schedule that the specification suggests, some three days in all.
pub(super) const BACKOFF_S: [i64; 9] =
    [5, 5 * 60, 30 * 60, 2 * 3_600, 5 * 3_600, 10 * 3_600, 14 * 3_600, 20 * 3_600, 24 * 3_600];
/// A wait is longer by up to this part of itself, so that what failed together does not come back together.
const JITTER_PERCENT: i64 = 20;

/// The notifier of one gateway.
pub struct Notifier {
    outbox: Arc<dyn Outbox>,
    webhooks: Arc<ArcSwap<Vec<WebhookSettings>>>,
    sender: Sender,
    metrics: Arc<Metrics>,
    clock: Clock,
}

impl Notifier {
    /// Fails where no HTTP client can be built: a machine without CA certificates.
    pub fn new(
        outbox: Arc<dyn Outbox>,
        webhooks: Arc<ArcSwap<Vec<WebhookSettings>>>,
        metrics: Arc<Metrics>,
        clock: Clock,
    ) -> Result<Self, String> {
        let sender = Sender::new().map_err(|error| error.to_string())?;
        Ok(Self { outbox, webhooks, sender, metrics, clock })
    }

    /// Works until `stopped`; then lets what is on its way come to an end, for some seconds.
    pub async fn run(self, mut stopped: watch::Receiver<bool>) {
        let notifier = Arc::new(self);
        let mut busy: HashSet<String> = HashSet::new();
        let mut batches: JoinSet<String> = JoinSet::new();
        let mut looks = 0_u32;
        while !*stopped.borrow() {
            for webhook in notifier.webhooks.load().iter() {
                notifier.metrics.expect_webhook(&webhook.name);
                if !busy.insert(webhook.name.clone()) {
                    continue;
                }
                let (notifier, webhook) = (Arc::clone(&notifier), webhook.clone());
                batches.spawn(async move {
                    notifier.empty(&webhook).await;
                    webhook.name
                });
            }
            if looks.is_multiple_of(HOUSEKEEPING_LOOKS) {
                notifier.keep_house().await;
            }
            looks = looks.wrapping_add(1);
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                // a sender that is gone stops it too
                _ = stopped.changed() => break,
            }
            while let Some(done) = batches.try_join_next() {
                match done {
                    Ok(name) => drop(busy.remove(&name)),
                    Err(error) => {
                        tracing::error!(%error, "a task that delivers webhooks broke off");
                        // whose it was is not known: a second task beside one that runs claims other messages
                        busy.clear();
                    }
                }
            }
        }
        let rest = async { while batches.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_WAIT, rest).await.is_err() {
            tracing::warn!("webhooks on their way are sent again later, with the same ids");
        }
    }

    /// One batch of one webhook.
    pub(super) async fn empty(&self, webhook: &WebhookSettings) {
        let timeout_ms = i64::try_from(webhook.timeout_ms).unwrap_or(i64::MAX - LEASE_MARGIN_MS);
        let claim = Claim {
            webhook: &webhook.name,
            now_ms: self.clock.now_ms(),
            lease_ms: timeout_ms.saturating_add(LEASE_MARGIN_MS),
            max: BATCH,
        };
        let due = match self.outbox.claim(&claim).await {
            Ok(due) => due,
            Err(error) => return complain(&error),
        };
        let all = due.iter().map(|message| self.deliver(webhook, message));
        futures_util::future::join_all(all).await;
    }

    async fn deliver(&self, webhook: &WebhookSettings, message: &Message) {
        let sent = self.sender.send(webhook, message, self.clock.now_ms()).await;
        let now_ms = self.clock.now_ms();
        let (attempt, status, reason) = match sent {
            Ok(status) => (Attempt::Delivered, Some(status), String::new()),
            Err(Failed { status, reason, is_final, retry_after_ms }) => {
                let asked_ms = retry_after_ms.unwrap_or(0);
                let wait_ms = if is_final { None } else { self.wait_ms(message.attempts, asked_ms) };
                let attempt = wait_ms.map_or(Attempt::Dead, |ms| Attempt::Again(now_ms.saturating_add(ms)));
                (attempt, status, reason)
            }
        };
        let (name, id) = (&webhook.name, &message.id);
        let result = match attempt {
            Attempt::Delivered => "delivered",
            Attempt::Again(_) => {
                tracing::warn!(webhook = name, id, reason, "a webhook was not delivered");
                "failed"
            }
            Attempt::Dead => {
                let hint = "a webhook is given up: `tollgate webhooks retry` sends it again";
                tracing::error!(webhook = name, id, reason, "{hint}");
                "dead"
            }
        };
        self.metrics.webhook(name, result);
        let error = reason[..reason.floor_char_boundary(REASON_BYTES_MAX)].to_owned();
        let tried = Tried { id: id.clone(), attempts: message.attempts, now_ms, attempt, status, error };
        if let Err(error) = self.outbox.tried(&tried).await {
            // its lease ends, and it is sent once more: receivers know it by its id
            complain(&error);
        }
    }

    /// How long to wait after the attempt of this number, at least as long as the receiver asked for; `None`: it was the
    /// last.
    fn wait_ms(&self, attempts: u32, asked_ms: i64) -> Option<i64> {
        let index = usize::try_from(attempts.saturating_sub(1)).ok()?;
        let wait_ms = asked_ms.max(BACKOFF_S.get(index)? * 1_000);
        // the last bytes of an id are random
        let [.., high, low] = *self.clock.request_id().as_bytes();
        let random = i64::from(u16::from_be_bytes([high, low]));
        Some(wait_ms + wait_ms * JITTER_PERCENT * random / (100 * i64::from(u16::MAX)))
    }

    async fn keep_house(&self) {
        match self.outbox.outbox_counts().await {
            Ok(counts) => self.metrics.webhooks_open(counts.pending, counts.dead),
            Err(error) => complain(&error),
        }
        if let Err(error) = self.outbox.forget_expired(self.clock.now_ms(), FORGET_MAX).await {
            complain(&error);
        }
    }
}

fn complain(error: &StoreError) {
    tracing::warn!(%error, "the outbox of webhooks does not answer");
}
