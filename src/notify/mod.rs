//! Alerts by webhook: takes the ledger's outbox to the receivers, signed to the Standard Webhooks specification 1.0
//! (<https://github.com/standard-webhooks/standard-webhooks>). Owns addresses, signatures, retries. It must not know how
//! a threshold is found, nor which database keeps the outbox.
//!
//! Delivery is at least once: a gateway that dies in mid-delivery leaves the message to the next, with the same id.

mod address;
mod deliver;
mod send;
mod settings;
mod sign;

pub use deliver::Notifier;
pub use settings::{WebhookSecret, WebhookSettings};

#[cfg(test)]
mod tests;
