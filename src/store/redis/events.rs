//! News for this gateway, until it asks for them.
//!
//! It must not know where they come from.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc;

use crate::store::CountersEvent;

/// News that wait for the gateway. More become one `Reconnected`, which asks for everything.
const MAX_EVENTS: usize = 1_024;

/// News for this gateway.
pub(super) struct Events {
    sender: mpsc::Sender<CountersEvent>,
    receiver: tokio::sync::Mutex<mpsc::Receiver<CountersEvent>>,
    missed: AtomicBool,
}

impl Default for Events {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel(MAX_EVENTS);
        Self { sender, receiver: tokio::sync::Mutex::new(receiver), missed: AtomicBool::new(false) }
    }
}

impl Events {
    pub(super) fn send(&self, event: CountersEvent) {
        if self.sender.try_send(event).is_err() {
            // the receiver is never closed, so the queue is full
            self.missed.store(true, Ordering::SeqCst);
        }
    }

    pub(super) async fn next(&self) -> CountersEvent {
        let event = self.receiver.lock().await.recv().await;
        if self.missed.swap(false, Ordering::SeqCst) {
            return CountersEvent::Reconnected;
        }
        match event {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }
}
