//! Carries ended requests from the journal to the ledger, in batches, until the ledger has each exactly once. It owns
//! patience: outages, rows the ledger will not take, a database that lost what it had acknowledged. It must not know SQL,
//! counters or what an entry is for.

mod handle;

pub use handle::{FlushTimeout, WriterCounts, WriterHandle};

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;

use self::handle::Shared;
use super::StoreError;
use super::entry::Entry;
use super::journal::{Journal, Position, Reader};
use super::ledger::{Ingested, Ledger};
use crate::clock::{Clock, Stopwatch};

/// First pause after a failure; each further one is twice as long.
const MIN_PAUSE_MS: u64 = 50;

/// Longest pause: so soon after its return the ledger is filled again.
const MAX_PAUSE_MS: u64 = 5_000;

/// Bytes of JSON in one batch: bounds memory and the size of a transaction.
const BATCH_BYTES: usize = 2 << 20;

/// So many rows at least are tried together to tell a bad row from a ledger at fault.
const SIFT_ROWS: usize = 16;

/// Is told of entries that the ledger has, or will never take, and up to which place of the journal that holds for all.
pub type OnAck = Arc<dyn Fn(&[Entry], Position) + Send + Sync>;

/// How the writer batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriterOptions {
    /// Rows in one batch.
    pub batch_rows: usize,
    /// How long a row waits for others, in milliseconds.
    pub max_wait_ms: u64,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self { batch_rows: 500, max_wait_ms: 100 }
    }
}

/// The writer. One for each journal.
pub struct Writer {
    journal: Arc<Journal>,
    ledger: Arc<dyn Ledger>,
    clock: Clock,
    options: WriterOptions,
    on_ack: OnAck,
    shared: Arc<Shared>,
    /// `None` only while a blocking read has it.
    reader: Option<Reader>,
    incarnation: Incarnation,
    trouble: Option<Trouble>,
}

/// Which history of the database was written to.
enum Incarnation {
    /// None was noted yet.
    Unknown,
    /// The note cannot be read: replay once, to be sure.
    Unreadable,
    /// This one. `noted` is false while its replay is not done: a restart begins it anew.
    Known { id: u64, noted: bool },
}

/// A failure that lasts.
struct Trouble {
    since: Stopwatch,
    pause_ms: u64,
}

/// A batch on its way.
#[derive(Default)]
struct Batch {
    positions: Vec<Position>,
    entries: Vec<Entry>,
}

impl Writer {
    /// A writer that begins behind the journal's last ACK. It does nothing until it runs.
    pub fn new(
        journal: Arc<Journal>,
        ledger: Arc<dyn Ledger>,
        clock: Clock,
        options: WriterOptions,
        on_ack: OnAck,
    ) -> Self {
        let incarnation = match journal.incarnation() {
            Ok(Some(id)) => Incarnation::Known { id, noted: true },
            Ok(None) => Incarnation::Unknown,
            Err(error) => {
                tracing::error!(%error, "retained rows are sent to the ledger again, to be sure");
                Incarnation::Unreadable
            }
        };
        let reader = Some(journal.reader());
        let shared = Arc::default();
        Self { journal, ledger, clock, options, on_ack, shared, reader, incarnation, trouble: None }
    }

    /// A view of this writer.
    pub fn handle(&self) -> WriterHandle {
        WriterHandle::new(Arc::clone(&self.journal), self.clock.clone(), Arc::clone(&self.shared))
    }

    /// Works until `stop` says true (or its sender is gone) and the journal is drained. A ledger that is down is waited
    /// for even then: the caller bounds that by dropping the future, which loses nothing.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        loop {
            let stops = *stop.borrow() || stop.has_changed().is_err();
            let Some(reader) = &self.reader else {
                self.reader = Some(self.new_reader());
                continue;
            };
            if !reader.has_more() {
                if stops {
                    return;
                }
                tokio::select! {
                    () = reader.wait_for_end() => {}
                    _ = stop.wait_for(|stops| *stops) => continue,
                }
            }
            if !stops
                && !reader.is_replaying()
                && self.journal.pending_events() < self.options.batch_rows as u64
            {
                tokio::select! {
                    () = tokio::time::sleep(Duration::from_millis(self.options.max_wait_ms)) => {}
                    () = self.shared.hurry.notified() => {}
                    _ = stop.wait_for(|stops| *stops) => {}
                }
            }
            let batch = self.read(self.options.batch_rows).await;
            if !batch.entries.is_empty() {
                self.deliver(batch).await;
            }
        }
    }

    /// Brings a batch home, however long it takes.
    async fn deliver(&mut self, mut batch: Batch) {
        let ingested = match self.ingest(&batch.entries).await {
            Ok(ingested) => ingested,
            Err(error) => self.sift(&mut batch, &error).await,
        };
        let watermark = self.journal.acked_position();
        let news = batch.positions.partition_point(|position| *position <= watermark);
        if let Some(last) = batch.positions.last().filter(|last| **last > watermark) {
            // Before the ACK: whoever waited for a flush finds that all were told.
            (self.on_ack)(&batch.entries[news..], *last);
            if let Err(error) = self.journal.ack(*last) {
                tracing::warn!(%error, "an ACK is not written; after a restart the ledger is told again");
            }
        }
        self.check_incarnation(ingested.incarnation);
    }

    /// Sends rows until the ledger takes them or refuses them for good.
    async fn ingest(&mut self, rows: &[Entry]) -> Result<Ingested, StoreError> {
        loop {
            match self.ledger.ingest(rows).await {
                Ok(ingested) => {
                    let mut counts = self.shared.counts();
                    counts.rows += ingested.inserted;
                    counts.duplicates += ingested.duplicates;
                    drop(counts);
                    self.calm_down();
                    return Ok(ingested);
                }
                Err(error) if error.transient => self.pause(&error).await,
                Err(error) => return Err(error),
            }
        }
    }

    /// Finds the rows of a refused batch that the ledger will never take and puts them into quarantine. But a ledger that
    /// takes no row at all is itself at fault (a missing table, a revoked right): then nothing is put aside, more rows are
    /// tried with these, and the writer waits until somebody has put it right.
    async fn sift(&mut self, batch: &mut Batch, error: &StoreError) -> Ingested {
        tracing::warn!(%error, rows = batch.entries.len(), "the ledger refuses a batch; its rows are sent one by one");
        let most_rows = self.options.batch_rows.max(SIFT_ROWS);
        loop {
            let mut accepted = None;
            let mut refused = Vec::new();
            for (index, entry) in batch.entries.iter().enumerate() {
                match self.ingest(std::slice::from_ref(entry)).await {
                    Ok(ingested) => accepted = Some((index, ingested)),
                    Err(error) => refused.push((index, error)),
                }
            }
            if let Some((good, ingested)) = accepted {
                for (index, _) in refused {
                    self.judge(&batch.entries[good], &batch.entries[index]).await;
                }
                return ingested;
            }
            if let Some((_, error)) = refused.pop() {
                self.pause(&error).await;
            }
            let free = most_rows.saturating_sub(batch.entries.len());
            if free > 0 && self.reader.as_ref().is_some_and(Reader::has_more) {
                let more = self.read(free).await;
                batch.positions.extend(more.positions);
                batch.entries.extend(more.entries);
            }
        }
    }

    /// Sends a refused row again, beside one that the ledger has taken: the ledger may have been mended in between. Only a
    /// row that is refused while the other is taken is put aside.
    async fn judge(&mut self, good: &Entry, row: &Entry) {
        loop {
            if let Err(error) = self.ingest(std::slice::from_ref(good)).await {
                self.pause(&error).await;
                continue;
            }
            let Err(error) = self.ingest(std::slice::from_ref(row)).await else { return };
            match self.ingest(std::slice::from_ref(good)).await {
                Ok(_) => return self.quarantine(row, &error).await,
                Err(error) => self.pause(&error).await,
            }
        }
    }

    /// Puts a row aside, durably; until that is done it is not acknowledged.
    async fn quarantine(&mut self, entry: &Entry, reason: &StoreError) {
        tracing::error!(rid = %entry.id, error = %reason, "the ledger will not take this row; it is put into `journal/quarantine/rows.jsonl`");
        loop {
            let journal = Arc::clone(&self.journal);
            let (row, text) = (entry.clone(), reason.to_string());
            match tokio::task::spawn_blocking(move || journal.quarantine_row(&row, &text)).await {
                Ok(Ok(())) => break,
                Ok(Err(error)) => self.pause(&error).await,
                Err(error) => self.pause(&error).await,
            }
        }
        self.shared.counts().quarantined += 1;
    }

    /// The next rows of the journal; none after a failure, which is tried again.
    async fn read(&mut self, max_rows: usize) -> Batch {
        let mut reader = self.reader.take().unwrap_or_else(|| self.new_reader());
        let read = move || (reader.next_batch(max_rows, BATCH_BYTES), reader);
        match tokio::task::spawn_blocking(read).await {
            Ok((rows, reader)) => {
                self.reader = Some(reader);
                match rows {
                    Ok(rows) => {
                        let (positions, entries) = rows.into_iter().unzip();
                        return Batch { positions, entries };
                    }
                    Err(error) => self.pause(&error).await,
                }
            }
            Err(error) => self.pause(&error).await,
        }
        Batch::default()
    }

    /// Replays what the journal has kept when the database is another than the one that acknowledged it; notes the new
    /// one when that is done.
    fn check_incarnation(&mut self, id: u64) {
        match self.incarnation {
            Incarnation::Unknown => self.incarnation = Incarnation::Known { id, noted: false },
            Incarnation::Known { id: known, .. } if known == id => {}
            Incarnation::Known { .. } | Incarnation::Unreadable => {
                tracing::warn!(
                    incarnation = id,
                    "the ledger's history has changed; the rows kept in the journal are sent again"
                );
                self.incarnation = Incarnation::Known { id, noted: false };
                self.shared.counts().replays += 1;
                if let Some(reader) = &mut self.reader {
                    reader.replay(i64::MIN);
                }
            }
        }
        let Some(reader) = &mut self.reader else { return };
        reader.end_replay();
        if let Incarnation::Known { id, noted: noted @ false } = &mut self.incarnation
            && !reader.is_replaying()
        {
            match self.journal.set_incarnation(*id) {
                Ok(()) => *noted = true,
                Err(error) => tracing::error!(%error, "it is noted with the next batch"),
            }
        }
    }

    /// A reader in place of one that was lost: a replay that was under way begins anew.
    fn new_reader(&self) -> Reader {
        let mut reader = self.journal.reader();
        if matches!(self.incarnation, Incarnation::Known { noted: false, .. }) {
            reader.replay(i64::MIN);
        }
        reader
    }

    /// Waits before the next try; logs the first failure of a row of them.
    async fn pause(&mut self, error: &(impl Display + ?Sized)) {
        let trouble = self.trouble.get_or_insert_with(|| {
            let waiting = self.journal.pending_events();
            tracing::warn!(%error, waiting, "the ledger cannot be written; ended requests wait in the journal");
            self.shared.degraded.store(true, Ordering::Relaxed);
            Trouble { since: Stopwatch::start(), pause_ms: MIN_PAUSE_MS }
        });
        let pause = Duration::from_millis(trouble.pause_ms);
        trouble.pause_ms = (trouble.pause_ms * 2).min(MAX_PAUSE_MS);
        tokio::time::sleep(pause).await;
    }

    /// Something went well again.
    fn calm_down(&mut self) {
        if let Some(trouble) = self.trouble.take() {
            self.shared.degraded.store(false, Ordering::Relaxed);
            let waiting = self.journal.pending_events();
            tracing::info!(
                outage_ms = trouble.since.elapsed_ms(),
                waiting,
                "the ledger can be written again"
            );
        }
    }
}

#[cfg(test)]
mod tests;
