//! The tables' version: which one stands, and how to get to this program's. The steps are `migrations/postgres`.

use std::time::Duration;

use tokio_postgres::Client;

use super::error::Failure;
use super::pool::Connections;

mod embedded {
    refinery::embed_migrations!("migrations/postgres");
}

/// Gateways that start at once upgrade one after the other. Any number that nobody else uses: `tollgate` in ASCII.
const MIGRATION_LOCK: i64 = 0x746f_6c6c_6761_7465;
/// Longest single step, and longest wait for another gateway's: an index on a large ledger.
const MIGRATION_TIMEOUT: Duration = Duration::from_mins(10);

/// Creates or upgrades the tables.
pub(super) async fn migrate(connections: &Connections) -> Result<(), Failure> {
    let mut client = connections.open(MIGRATION_TIMEOUT).await?;
    // The lock is the session's: it is free again when this connection ends, however it ends.
    client.execute("SELECT pg_advisory_lock($1)", &[&MIGRATION_LOCK]).await?;
    refuse_newer(&client).await?;
    embedded::migrations::runner().run_async(&mut client).await.map_err(|error| failure(&error))?;
    verify(&client).await
}

/// Fails unless the tables are those of this program.
pub(super) async fn verify(client: &Client) -> Result<(), Failure> {
    refuse_newer(client).await?;
    let (found, wanted) = (applied(client).await?, newest());
    if found == wanted {
        return Ok(());
    }
    let message =
        format!("the tables have version {found}, this program needs {wanted}: run `tollgate migrate`");
    Err(Failure::Stays(message))
}

/// Fails if a newer program has upgraded the tables: this one might misread them.
async fn refuse_newer(client: &Client) -> Result<(), Failure> {
    let (found, known) = (applied(client).await?, newest());
    if found <= known {
        return Ok(());
    }
    let message =
        format!("the tables have version {found}, this program knows {known}: use a newer `tollgate`");
    Err(Failure::Stays(message))
}

/// The version that stands; 0 if there are no tables yet.
async fn applied(client: &Client) -> Result<i64, Failure> {
    let exists = "SELECT to_regclass('refinery_schema_history') IS NOT NULL";
    if !client.query_one(exists, &[]).await?.try_get::<_, bool>(0)? {
        return Ok(0);
    }
    let version = "SELECT coalesce(max(version), 0)::bigint FROM refinery_schema_history";
    Ok(client.query_one(version, &[]).await?.try_get(0)?)
}

fn newest() -> i64 {
    let runner = embedded::migrations::runner();
    runner.get_migrations().iter().map(|step| i64::from(step.version())).max().unwrap_or(0)
}

/// The server's reason, which tells whether it passes, if there is one.
fn failure(error: &refinery::Error) -> Failure {
    let message = format!("the tables could not be upgraded: {error}");
    let cause = match error.kind() {
        refinery::error::Kind::Connection(_, cause) => cause.downcast_ref::<tokio_postgres::Error>(),
        _ => None,
    };
    if cause.is_some_and(super::error::passes) { Failure::Passes(message) } else { Failure::Stays(message) }
}
