//! The ledger as it stands on disk once the gateways have stopped, and the check of conservation: rows, running totals,
//! the usage API and the upstream must agree to the unit (invariants I4, I8, I9, I10).

mod postgres;

use std::collections::BTreeMap;
use std::path::PathBuf;

use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use tollgate::clock::Timestamp;

/// How the upstream's count stands to the ledger's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Served {
    /// Each message that was served is charged.
    Exactly,
    /// A message may have been served and not charged: its first byte never came to the gateway.
    OrMore,
    /// The test has an upstream of its own and counts there.
    Elsewhere,
}

/// A row of `message_logs`.
#[derive(Clone, Debug)]
pub struct Row {
    pub request_id: String,
    pub user: Option<String>,
    pub outcome: String,
    pub status: u16,
    /// 1: a charged message.
    pub messages: u64,
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub cached_tokens: u64,
    pub upstream: String,
    pub model_requested: String,
    pub model_dispatched: String,
    pub cost_micro_usd: u64,
    /// `input/output/cached`; empty: none known.
    pub price: String,
    pub estimated: bool,
    /// What a background call was for; empty: a message.
    pub task: String,
    /// Which attempt of its message; 0: none was named.
    pub attempt: u64,
    charges: BTreeMap<Bucket, u64>,
}

/// Where an amount is counted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Bucket {
    domain: String,
    scope: String,
    owner: String,
    limit: String,
    period: String,
    epoch: u32,
}

/// A line of `user_usage`.
struct Total {
    period_end_ms: i64,
    used: u64,
}

/// Everything a ledger says.
pub struct Books {
    /// Every request that was admitted.
    pub rows: Vec<Row>,
    totals: BTreeMap<Bucket, Total>,
    /// The epoch that an owner of a domain is in; 0 where nothing stands.
    epochs: BTreeMap<(String, String), u32>,
}

impl Books {
    /// Reads the ledgers of stopped gateways.
    pub fn read(ledgers: impl IntoIterator<Item = PathBuf>) -> Self {
        let mut books = Self { rows: Vec::new(), totals: BTreeMap::new(), epochs: BTreeMap::new() };
        for path in ledgers {
            let db = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
            check_roll_ups(&db);
            books.rows.extend(rows(&db));
            books.totals.extend(totals(&db));
            books.epochs.extend(epochs(&db));
        }
        books
    }

    /// The rows of a request id.
    pub fn of_request(&self, id: &str) -> Vec<&Row> {
        self.rows.iter().filter(|row| row.request_id == id).collect()
    }

    /// The only row of a request id.
    pub fn row(&self, id: &str) -> &Row {
        let rows = self.of_request(id);
        assert_eq!(rows.len(), 1, "rows of {id}: {rows:?}");
        rows[0]
    }

    /// Charged messages.
    pub fn messages(&self) -> u64 {
        self.rows.iter().map(|row| row.messages).sum()
    }

    /// Answers that are no messages of a user's: background calls and repeats whose upstream answered 2xx.
    fn beside(&self) -> u64 {
        let answered = |row: &&Row| !matches!(row.outcome.as_str(), "upstream_error" | "client_gone");
        let beside =
            |row: &&Row| (!row.task.is_empty() || row.attempt > 1) && (200..300).contains(&row.status);
        self.rows.iter().filter(answered).filter(beside).count() as u64
    }

    /// The running totals are the fold of the rows, and no request stands twice.
    pub fn check_fold(&self) {
        let mut fold: BTreeMap<&Bucket, u64> = BTreeMap::new();
        let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
        for row in &self.rows {
            *seen.entry(&row.request_id).or_default() += 1;
            for (bucket, amount) in &row.charges {
                *fold.entry(bucket).or_default() += amount;
            }
        }
        let doubled: Vec<_> = seen.iter().filter(|(_, rows)| **rows > 1).collect();
        assert!(doubled.is_empty(), "requests with more than one row: {doubled:?}");
        fold.retain(|_, amount| *amount > 0);
        let totals: BTreeMap<&Bucket, u64> = self
            .totals
            .iter()
            .filter(|(_, total)| total.used > 0)
            .map(|(bucket, total)| (bucket, total.used))
            .collect();
        assert_eq!(totals, fold, "`user_usage` is not the fold of `message_logs`");
    }

    /// All of it: `usages` is what `/api/usage` said for each user when all was quiet, `stub` the upstream's books.
    pub fn check(&self, usages: &BTreeMap<String, Value>, stub: &Value, served: Served) {
        self.check_fold();
        for (user, usage) in usages {
            for limit in usage["limits"].as_array().unwrap() {
                self.check_limit(user, limit);
            }
        }
        let answers = stub["served"]["answers"].as_u64().unwrap();
        match served {
            Served::Exactly => {
                let served = self.messages() + self.beside();
                assert_eq!(
                    served, answers,
                    "messages charged and background calls, and what the upstream served"
                );
            }
            Served::OrMore => {
                let messages = self.messages() + self.beside();
                assert!(messages <= answers, "{messages} messages charged, {answers} served");
            }
            Served::Elsewhere => {}
        }
    }

    fn check_limit(&self, user: &str, limit: &Value) {
        // short windows and requests in flight are not in the ledger
        let Some(resets_at) = limit["resetsAt"].as_str() else { return };
        let ends_ms = resets_at.parse::<Timestamp>().unwrap().as_millisecond();
        let name = limit["name"].as_str().unwrap();
        let is_shown = |(bucket, total): &(&Bucket, &Total)| {
            let is_theirs = bucket.scope == "team" || bucket.owner == user;
            let owner_key = format!("{}|{}", bucket.scope, bucket.owner);
            let epoch = self.epochs.get(&(bucket.domain.clone(), owner_key)).copied().unwrap_or(0);
            is_theirs && bucket.limit == name && bucket.epoch == epoch && total.period_end_ms == ends_ms
        };
        let used: u64 = self.totals.iter().filter(is_shown).map(|(_, total)| total.used).sum();
        let shown = (limit["used"].as_u64(), limit["held"].as_u64());
        assert_eq!(shown, (Some(used), Some(0)), "used and held of `{name}` of `{user}`: {limit}");
    }
}

/// What analytics reads is the fold of the rows, to the unit.
fn check_roll_ups(db: &Connection) {
    const SUMS: &str = "sum(messages), sum(iif(premium, messages, 0)), sum(input_tokens), sum(output_tokens),
        sum(cached_tokens), sum(cost_micro_usd)";
    for (table, keys) in [
        ("usage_days", "day, model_dispatched, plan"),
        ("usage_day_users", "day, user_id"),
        ("usage_month_users", "substr(day, 1, 7), user_id"),
        ("usage_day_teams", "day, team_id"),
    ] {
        let named = if keys.ends_with("_id") { keys.rsplit(", ").next().unwrap() } else { "plan" };
        let fold = format!(
            "SELECT {keys}, {SUMS} FROM message_logs WHERE messages > 0 AND {named} IS NOT NULL GROUP BY {keys}"
        );
        check_same(db, table, &format!("SELECT * FROM {table}"), &fold);
    }
    let fold = "SELECT day, model_dispatched, outcome, count(*) FROM message_logs GROUP BY 1, 2, 3";
    check_same(db, "usage_day_outcomes", "SELECT * FROM usage_day_outcomes", fold);
    for (measure, column) in [("duration", "duration_ms"), ("first_byte", "first_byte_ms")] {
        let of_day = format!(
            "SELECT day, sum(calls) FROM usage_day_latencies WHERE measure = '{measure}' GROUP BY day"
        );
        let fold = format!(
            "SELECT day, count(*) FROM message_logs WHERE outcome = 'ok' AND {column} IS NOT NULL GROUP BY day"
        );
        check_same(db, "usage_day_latencies", &of_day, &fold);
    }
}

fn check_same(db: &Connection, table: &str, rolled: &str, fold: &str) {
    for (left, right) in [(rolled, fold), (fold, rolled)] {
        let differences = format!("SELECT count(*) FROM ({left} EXCEPT {right})");
        let count: i64 = db.query_row(&differences, [], |row| row.get(0)).unwrap();
        assert_eq!(count, 0, "`{table}` is not the fold of `message_logs`");
    }
}

fn rows(db: &Connection) -> Vec<Row> {
    let sql =
        "SELECT request_id, user_id, outcome, status, messages, output_tokens, estimated, domain, charges,
        input_tokens, cached_tokens, upstream, model_requested, model_dispatched, cost_micro_usd, price, task, attempt
        FROM message_logs ORDER BY admitted_at_ms, id";
    let mut statement = db.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| {
        let (domain, charges): (String, String) = (row.get(7)?, row.get(8)?);
        Ok(Row {
            request_id: row.get(0)?,
            user: row.get(1)?,
            outcome: row.get(2)?,
            status: row.get(3)?,
            messages: amount(row, 4)?,
            input_tokens: amount(row, 9)?,
            output_tokens: amount(row, 5)?,
            cached_tokens: amount(row, 10)?,
            upstream: row.get(11)?,
            model_requested: row.get(12)?,
            model_dispatched: row.get(13)?,
            cost_micro_usd: amount(row, 14)?,
            price: row.get(15)?,
            estimated: row.get(6)?,
            task: row.get(16)?,
            attempt: amount(row, 17)?,
            charges: charges_of(&domain, &charges),
        })
    });
    rows.unwrap().map(Result::unwrap).collect()
}

/// `[[scope, owner, limit, period, epoch, start_ms, end_ms, amount], …]`.
fn charges_of(domain: &str, json: &str) -> BTreeMap<Bucket, u64> {
    type Wire = (String, String, String, String, u32, i64, i64, u64);
    let charges: Vec<Wire> = serde_json::from_str(json).unwrap();
    let bucket = |(scope, owner, limit, period, epoch, _, _, amount): Wire| {
        (Bucket { domain: domain.to_owned(), scope, owner, limit, period, epoch }, amount)
    };
    charges.into_iter().map(bucket).collect()
}

fn totals(db: &Connection) -> BTreeMap<Bucket, Total> {
    let sql = "SELECT domain, scope, owner, limit_name, period, epoch, period_end_ms, used FROM user_usage";
    let mut statement = db.prepare(sql).unwrap();
    let totals = statement.query_map([], |row| {
        let bucket = Bucket {
            domain: row.get(0)?,
            scope: row.get(1)?,
            owner: row.get(2)?,
            limit: row.get(3)?,
            period: row.get(4)?,
            epoch: row.get(5)?,
        };
        Ok((bucket, Total { period_end_ms: row.get(6)?, used: amount(row, 7)? }))
    });
    totals.unwrap().map(Result::unwrap).collect()
}

fn epochs(db: &Connection) -> BTreeMap<(String, String), u32> {
    let mut statement = db.prepare("SELECT domain, owner_key, epoch FROM usage_epochs").unwrap();
    let epochs = statement.query_map([], |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?)));
    epochs.unwrap().map(Result::unwrap).collect()
}

/// A column that is never negative.
fn amount(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap())
}
