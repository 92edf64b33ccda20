//! A batch turned by ninety degrees: one array a column, as the ingest statement unnests them. And the binary form of an
//! id, which the driver knows only with a feature that nothing else needs.

use std::borrow::Cow;

use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, accepts, to_sql_checked};
use uuid::Uuid;

use crate::store::entry::Entry;
use crate::store::row::Row;

type BoxedError = Box<dyn std::error::Error + Sync + Send>;

/// An id as PostgreSQL's `uuid`: its 16 bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Id(pub Uuid);

impl ToSql for Id {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, BoxedError> {
        out.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }

    accepts!(UUID);
    to_sql_checked!();
}

impl<'a> FromSql<'a> for Id {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, BoxedError> {
        Ok(Self(Uuid::from_slice(raw)?))
    }

    accepts!(UUID);
}

macro_rules! columns {
    ($($name:ident: $kind:ty = $sql:literal,)*) => {
        /// The arrays, in the order of [`COLUMNS`].
        #[derive(Debug, Default)]
        pub(super) struct Columns<'a> {
            $($name: Vec<$kind>,)*
        }

        /// Each column's name and the type of its array.
        pub(super) const COLUMNS: &[(&str, &str)] = &[$((stringify!($name), $sql),)*];

        impl Columns<'_> {
            /// For the statement.
            pub fn parameters(&self) -> Vec<&(dyn ToSql + Sync)> {
                vec![$(&self.$name,)*]
            }
        }
    };
}

columns! {
    month: Cow<'a, str> = "text",
    day: Cow<'a, str> = "text",
    id: Id = "uuid",
    request_id: Cow<'a, str> = "text",
    admitted_at_ms: i64 = "bigint",
    ended_at_ms: i64 = "bigint",
    domain: Cow<'a, str> = "text",
    user_id: Option<Cow<'a, str>> = "text",
    team_id: Option<Cow<'a, str>> = "text",
    plan: Cow<'a, str> = "text",
    dialect: Cow<'a, str> = "text",
    endpoint: Cow<'a, str> = "text",
    upstream: Cow<'a, str> = "text",
    model_requested: Cow<'a, str> = "text",
    model_dispatched: Cow<'a, str> = "text",
    model_groups: String = "text",
    stream: bool = "boolean",
    outcome: &'static str = "text",
    status: i32 = "integer",
    messages: i64 = "bigint",
    premium: bool = "boolean",
    input_tokens: i64 = "bigint",
    output_tokens: i64 = "bigint",
    cached_tokens: i64 = "bigint",
    reasoning_tokens: i64 = "bigint",
    estimated: bool = "boolean",
    charges: String = "text",
    cost_micro_usd: i64 = "bigint",
    price: Cow<'a, str> = "text",
    task: Cow<'a, str> = "text",
    attempt: i32 = "integer",
    message_hash: Cow<'a, str> = "text",
    first_byte_ms: Option<i64> = "bigint",
    duration_ms: i64 = "bigint",
    degraded: bool = "boolean",
}

impl<'a> Columns<'a> {
    /// Turns a batch.
    pub fn new(batch: &'a [Entry]) -> Self {
        let mut columns = Self::default();
        for row in batch.iter().map(Row::from) {
            columns.push(row);
        }
        columns
    }

    /// The months of the rows, one for each row.
    pub fn months(&self) -> impl Iterator<Item = &str> {
        self.month.iter().map(AsRef::as_ref)
    }

    fn push(&mut self, row: Row<'a>) {
        self.charges.push(row.charges_json());
        self.month.push(row.month);
        self.day.push(row.day);
        self.id.push(Id(row.id));
        self.request_id.push(row.request_id);
        self.admitted_at_ms.push(row.admitted_at_ms);
        self.ended_at_ms.push(row.ended_at_ms);
        self.domain.push(row.domain);
        self.user_id.push(row.user);
        self.team_id.push(row.team);
        self.plan.push(row.plan);
        self.dialect.push(row.dialect);
        self.endpoint.push(row.endpoint);
        self.upstream.push(row.upstream);
        self.model_requested.push(row.model_requested);
        self.model_dispatched.push(row.model_dispatched);
        self.model_groups.push(row.groups);
        self.stream.push(row.stream);
        self.outcome.push(row.outcome);
        self.status.push(row.status);
        self.messages.push(row.messages);
        self.premium.push(row.premium);
        self.input_tokens.push(row.input_tokens);
        self.output_tokens.push(row.output_tokens);
        self.cached_tokens.push(row.cached_tokens);
        self.reasoning_tokens.push(row.reasoning_tokens);
        self.estimated.push(row.estimated);
        self.cost_micro_usd.push(row.cost_micro_usd);
        self.price.push(row.price);
        self.task.push(row.task);
        self.attempt.push(row.attempt);
        self.message_hash.push(row.message_hash);
        self.first_byte_ms.push(row.first_byte_ms);
        self.duration_ms.push(row.duration_ms);
        self.degraded.push(row.degraded);
    }
}
