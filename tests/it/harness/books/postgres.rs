//! The same books, read from PostgreSQL: several gateways share one ledger.

use tokio_postgres::{NoTls, Row as Line};

use super::{Books, Bucket, Row, Total, charges_of};

const ROWS: &str =
    "SELECT request_id, user_id, outcome, status::bigint, messages, output_tokens, estimated, domain,
    charges::text,
    input_tokens, cached_tokens, upstream, model_requested, model_dispatched, cost_micro_usd, price, task, attempt::bigint FROM message_logs ORDER BY admitted_at_ms, id";
const TOTALS: &str =
    "SELECT domain, scope, owner, limit_name, period, epoch, period_end_ms, used FROM user_usage";
const EPOCHS: &str = "SELECT domain, owner_key, epoch FROM usage_epochs";

impl Books {
    /// Reads the ledger at this URL.
    pub async fn read_postgres(url: &str) -> Self {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
        let connection = tokio::spawn(connection);
        let rows = client.query(ROWS, &[]).await.unwrap().iter().map(row).collect();
        let totals = client.query(TOTALS, &[]).await.unwrap().iter().map(total).collect();
        let epochs = client.query(EPOCHS, &[]).await.unwrap().iter().map(epoch).collect();
        drop(client);
        connection.await.unwrap().unwrap();
        Self { rows, totals, epochs }
    }
}

fn row(line: &Line) -> Row {
    let (domain, charges): (String, String) = (line.get(7), line.get(8));
    Row {
        request_id: line.get(0),
        user: line.get(1),
        outcome: line.get(2),
        status: u16::try_from(line.get::<_, i64>(3)).unwrap(),
        messages: amount(line, 4),
        input_tokens: amount(line, 9),
        output_tokens: amount(line, 5),
        cached_tokens: amount(line, 10),
        upstream: line.get(11),
        model_requested: line.get(12),
        model_dispatched: line.get(13),
        cost_micro_usd: amount(line, 14),
        price: line.get(15),
        estimated: line.get(6),
        task: line.get(16),
        attempt: amount(line, 17),
        charges: charges_of(&domain, &charges),
    }
}

fn total(line: &Line) -> (Bucket, Total) {
    let bucket = Bucket {
        domain: line.get(0),
        scope: line.get(1),
        owner: line.get(2),
        limit: line.get(3),
        period: line.get(4),
        epoch: u32::try_from(line.get::<_, i64>(5)).unwrap(),
    };
    (bucket, Total { period_end_ms: line.get(6), used: amount(line, 7) })
}

fn epoch(line: &Line) -> ((String, String), u32) {
    ((line.get(0), line.get(1)), u32::try_from(line.get::<_, i64>(2)).unwrap())
}

/// A column that is never negative.
fn amount(line: &Line, column: usize) -> u64 {
    u64::try_from(line.get::<_, i64>(column)).unwrap()
}
