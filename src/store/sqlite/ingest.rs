//! Writing a batch: rows that stand already add nothing, new ones are folded into the tables beside them, all in one
//! transaction. Each statement is prepared once a batch at most, and bound by position.

use std::fmt::Write as _;

use rusqlite::{Connection, Statement, ToSql, Transaction, TransactionBehavior};

use super::error::SqliteFailure;
use crate::store::analytics::RefusalTotal;
use crate::store::entry::Entry;
use crate::store::fold::{Folded, fold};
use crate::store::ledger::Ingested;
use crate::store::outbox::Watched;
use crate::store::rollup::{REFUSALS, Then, Written};
use crate::store::row::{COLUMNS, Value, number};

/// Writes a batch.
pub(super) fn ingest(db: &mut Connection, batch: &[Entry]) -> Result<Ingested, SqliteFailure> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let new = insert(&transaction, batch)?;
    let watched = Watched::of(new.iter().copied());
    let mut folded = fold(new.iter().copied());
    while !folded.is_empty() {
        let written = write(&transaction, &folded, !watched.is_empty())?;
        folded = folded.after(written, &watched);
    }
    transaction.commit()?;
    let (inserted, rows) = (new.len() as u64, batch.len() as u64);
    Ok(Ingested { inserted, duplicates: rows - inserted, incarnation: 0 })
}

/// Writes the rows; returns those that are new.
fn insert<'a>(transaction: &Transaction<'_>, batch: &'a [Entry]) -> Result<Vec<&'a Entry>, SqliteFailure> {
    let names: Vec<&str> = COLUMNS.iter().map(|column| column.name).collect();
    let mut insert = transaction.prepare_cached(&format!(
        "INSERT INTO message_logs ({}, ingested_at_ms) VALUES ({}, CAST(unixepoch('subsec') * 1000 AS INTEGER))
         ON CONFLICT (month, id) DO NOTHING",
        names.join(", "),
        places(names.len())
    ))?;
    let mut new = Vec::new();
    for entry in batch {
        bind(&mut insert, COLUMNS.iter().map(|column| (column.of)(entry)))?;
        if insert.raw_execute()? == 1 {
            new.push(entry);
        }
    }
    Ok(new)
}

/// Adds rows to their tables; returns those whose tables lead to something.
fn write(
    transaction: &Transaction<'_>,
    folded: &Folded<'_>,
    alerts: bool,
) -> Result<Vec<Written>, SqliteFailure> {
    let mut written = Vec::new();
    for (rollup, rows) in folded.tables() {
        let returning = match rollup.then {
            Then::Nothing => false,
            Then::Alerts => alerts,
            Then::Day | Then::Week | Then::Month => true,
        };
        let values = format!("VALUES ({})", places(rollup.fields().count()));
        let mut upsert = transaction.prepare_cached(&rollup.upsert(&values, returning))?;
        for (key, values) in rows {
            bind(&mut upsert, key.iter().chain(values))?;
            if !returning {
                upsert.raw_execute()?;
                continue;
            }
            let mut answer = upsert.raw_query();
            let sum = answer.next()?.map(|row| row.get(key.len())).transpose()?;
            // a statement that answers is done only when it was read to its end
            while answer.next()?.is_some() {}
            if let Some(sum) = sum {
                let key = key.iter().cloned().map(Value::into_owned).collect();
                written.push(Written { rollup, key, sum });
            }
        }
    }
    Ok(written)
}

fn bind(
    statement: &mut Statement<'_>,
    values: impl Iterator<Item = impl ToSql>,
) -> Result<(), SqliteFailure> {
    for (at, value) in values.enumerate() {
        statement.raw_bind_parameter(at + 1, value)?;
    }
    Ok(())
}

/// `?1, ?2, …`
fn places(count: usize) -> String {
    let mut places = "?1".to_owned();
    for at in 2..=count {
        // a string takes everything
        _ = write!(places, ", ?{at}");
    }
    places
}

/// Notes totals of refusals; a total never goes down.
pub(super) fn record_refusals(
    db: &mut Connection,
    gateway: &str,
    totals: &[RefusalTotal],
) -> Result<(), SqliteFailure> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut folded = Folded::default();
    for RefusalTotal { day, reason, refused } in totals {
        folded.add(
            &REFUSALS,
            vec![day.as_str().into(), gateway.into(), (*reason).into()],
            vec![number(*refused).into()],
        );
    }
    write(&transaction, &folded, false)?;
    Ok(transaction.commit()?)
}
