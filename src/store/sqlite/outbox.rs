//! The outbox of webhooks in SQLite.

use async_trait::async_trait;

use super::SqliteLedger;
use super::session::{Lite, at_once};
use crate::store::audit::Audit;
use crate::store::outbox::{Claim, Message, Outbox, OutboxCounts, Tried};
use crate::store::{StoreError, sql};

#[async_trait]
impl Outbox for SqliteLedger {
    async fn claim(&self, claim: &Claim<'_>) -> Result<Vec<Message>, StoreError> {
        let (webhook, Claim { now_ms, lease_ms, max, .. }) = (claim.webhook.to_owned(), *claim);
        self.change("claim", move |session| {
            at_once(sql::outbox::claim(session, &Claim { webhook: &webhook, now_ms, lease_ms, max }))
        })
        .await
    }

    async fn tried(&self, tried: &Tried) -> Result<(), StoreError> {
        let tried = tried.clone();
        self.change("tried", move |session| at_once(sql::outbox::tried(session, &tried))).await
    }

    async fn undelivered(&self, state: Option<&str>, max: u32) -> Result<Vec<Message>, StoreError> {
        let state = state.map(str::to_owned);
        self.read("undelivered", move |db| {
            at_once(sql::outbox::undelivered(&Lite(db), state.as_deref(), max))
        })
        .await
    }

    async fn outbox_counts(&self) -> Result<OutboxCounts, StoreError> {
        self.read("outbox_counts", |db| at_once(sql::outbox::counts(&Lite(db)))).await
    }

    async fn retry(&self, id: Option<&str>, now_ms: i64, audit: Audit<'_>) -> Result<u64, StoreError> {
        let (id, texts) = (id.map(str::to_owned), audit.texts());
        self.change("retry", move |session| {
            at_once(sql::outbox::retry(session, id.as_deref(), now_ms, &Audit::of(&texts)))
        })
        .await
    }

    async fn forget_expired(&self, now_ms: i64, max: u32) -> Result<u64, StoreError> {
        self.change("forget_expired", move |session| {
            at_once(sql::outbox::forget_expired(session, now_ms, max))
        })
        .await
    }
}
