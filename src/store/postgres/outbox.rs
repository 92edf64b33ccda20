//! The outbox of webhooks in PostgreSQL.

use async_trait::async_trait;

use super::PostgresLedger;
use super::pool::PoolLimit;
use super::session::Pg;
use crate::store::audit::Audit;
use crate::store::outbox::{Claim, Message, Outbox, OutboxCounts, Tried};
use crate::store::{StoreError, sql};

#[async_trait]
impl Outbox for PostgresLedger {
    async fn claim(&self, claim: &Claim<'_>) -> Result<Vec<Message>, StoreError> {
        self.run("claim", PoolLimit::Statement, async |client| sql::outbox::claim(&Pg(client), claim).await)
            .await
    }

    async fn tried(&self, tried: &Tried) -> Result<(), StoreError> {
        self.run("tried", PoolLimit::Statement, async |client| sql::outbox::tried(&Pg(client), tried).await)
            .await
    }

    async fn undelivered(&self, state: Option<&str>, max: u32) -> Result<Vec<Message>, StoreError> {
        self.run("undelivered", PoolLimit::Statement, async |client| {
            sql::outbox::undelivered(&Pg(client), state, max).await
        })
        .await
    }

    async fn outbox_counts(&self) -> Result<OutboxCounts, StoreError> {
        self.run("outbox_counts", PoolLimit::Statement, async |client| sql::outbox::counts(&Pg(client)).await)
            .await
    }

    async fn retry(&self, id: Option<&str>, now_ms: i64, audit: Audit<'_>) -> Result<u64, StoreError> {
        self.run("retry", PoolLimit::Statement, async |client| {
            let transaction = client.transaction().await?;
            let retried = sql::outbox::retry(&Pg(&transaction), id, now_ms, &audit).await?;
            transaction.commit().await?;
            Ok(retried)
        })
        .await
    }

    async fn forget_expired(&self, now_ms: i64, max: u32) -> Result<u64, StoreError> {
        self.run("forget_expired", PoolLimit::Statement, async |client| {
            sql::outbox::forget_expired(&Pg(client), now_ms, max).await
        })
        .await
    }
}
