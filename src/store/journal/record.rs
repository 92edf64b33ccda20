//! The bytes of a segment: its header and its records, as pure values. It must not know files or the state of requests.
//!
//! A record is: payload length (u32 LE), CRC-32 of kind and payload (u32 LE), kind (u8), payload. Payloads of entries
//! are JSON, which has no byte below 0x20; kinds are below 0x20. So no record can be forged inside an entry's text.

use uuid::Uuid;

use super::{JournalError, Position};
use crate::store::Entry;

/// Bytes before the payload of a record.
pub(super) const RECORD_HEADER_BYTES: usize = 9;

/// No record is larger: it bounds what one request may take from the disk, and what a reader must keep in memory.
/// A usual entry takes 1 KiB; 16 KiB carry some sixty charges.
pub(super) const MAX_RECORD_BYTES: usize = 16 * 1024;

/// Size of a FIRST record: id, status, time.
pub(super) const FIRST_BYTES: usize = RECORD_HEADER_BYTES + 16 + 2 + 8;

/// Size of an ACK record: segment, offset, index, time.
pub(super) const ACK_BYTES: usize = RECORD_HEADER_BYTES + 8 + 8 + 4 + 8;

/// Bytes at the start of each segment.
pub(super) const SEGMENT_HEADER_BYTES: usize = 32;

/// What is left of a free text in an entry that outgrew its promised room.
const TEXT_CHARS: usize = 48;

/// How many groups are left.
const GROUPS: usize = 8;

const MAGIC: [u8; 8] = *b"TOLLJRNL";
const VERSION: u32 = 1;

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RecordKind {
    /// A request was admitted; the payload is what to book if the gateway dies.
    Begin = 1,
    /// The upstream's first byte has come.
    First = 2,
    /// A request has ended; the payload is the row for the ledger.
    End = 3,
    /// The ledger has every END up to here.
    Ack = 4,
}

impl RecordKind {
    /// Smallest and largest byte of a kind.
    pub(super) const RANGE: std::ops::RangeInclusive<u8> = 1..=4;

    fn from_byte(byte: u8) -> Option<Self> {
        [Self::Begin, Self::First, Self::End, Self::Ack].into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// A record that was read.
pub(super) enum Record {
    Begin(Entry),
    First { rid: Uuid, status: u16, at_ms: i64 },
    End(Entry),
    Ack { up_to: Position, at_ms: i64 },
}

/// Writes an entry as a BEGIN or END record.
pub(super) fn encode_entry(kind: RecordKind, entry: &Entry) -> Result<Vec<u8>, JournalError> {
    let mut record = Vec::with_capacity(2048);
    record.resize(RECORD_HEADER_BYTES, 0);
    serde_json::to_writer(&mut record, entry)?;
    Ok(seal(kind, record))
}

/// The same entry with its free texts cut. What is money or identity is not touched.
pub(super) fn shortened(entry: &Entry) -> Entry {
    let mut entry = entry.clone();
    let cut = |text: &mut String| {
        if let Some((at, _)) = text.char_indices().nth(TEXT_CHARS) {
            text.truncate(at);
        }
    };
    let Entry { request_id, model_requested, model_dispatched, upstream, endpoint, price, task, .. } =
        &mut entry;
    [request_id, model_requested, model_dispatched, upstream, endpoint, price, task]
        .into_iter()
        .for_each(cut);
    entry.groups.truncate(GROUPS);
    entry.groups.iter_mut().for_each(cut);
    entry
}

/// Writes a FIRST record.
pub(super) fn encode_first(rid: Uuid, status: u16, at_ms: i64) -> Vec<u8> {
    let mut record = vec![0; RECORD_HEADER_BYTES];
    record.extend_from_slice(rid.as_bytes());
    record.extend_from_slice(&status.to_le_bytes());
    record.extend_from_slice(&at_ms.to_le_bytes());
    seal(RecordKind::First, record)
}

/// Writes an ACK record.
pub(super) fn encode_ack(up_to: Position, at_ms: i64) -> Vec<u8> {
    let mut record = vec![0; RECORD_HEADER_BYTES];
    record.extend_from_slice(&up_to.segment.to_le_bytes());
    record.extend_from_slice(&up_to.offset.to_le_bytes());
    record.extend_from_slice(&up_to.index.to_le_bytes());
    record.extend_from_slice(&at_ms.to_le_bytes());
    seal(RecordKind::Ack, record)
}

fn seal(kind: RecordKind, mut record: Vec<u8>) -> Vec<u8> {
    record[RECORD_HEADER_BYTES - 1] = kind as u8;
    let payload_bytes = u32::try_from(record.len() - RECORD_HEADER_BYTES).unwrap_or(u32::MAX);
    let crc = crc32fast::hash(&record[RECORD_HEADER_BYTES - 1..]);
    record[0..4].copy_from_slice(&payload_bytes.to_le_bytes());
    record[4..8].copy_from_slice(&crc.to_le_bytes());
    record
}

/// If `bytes` start with a whole, true record: its kind and its size, header included.
pub(super) fn check(bytes: &[u8]) -> Option<(RecordKind, usize)> {
    let header = bytes.first_chunk::<RECORD_HEADER_BYTES>()?;
    let kind = RecordKind::from_byte(header[8])?;
    let payload_bytes = usize::try_from(u32_at(header, 0)?).ok()?;
    let record_bytes = payload_bytes.checked_add(RECORD_HEADER_BYTES)?;
    if payload_bytes == 0 || record_bytes > MAX_RECORD_BYTES {
        return None;
    }
    let covered = bytes.get(RECORD_HEADER_BYTES - 1..record_bytes)?;
    (crc32fast::hash(covered) == u32_at(header, 4)?).then_some((kind, record_bytes))
}

/// What a payload says. `None`: nothing that this version understands.
pub(super) fn decode(kind: RecordKind, payload: &[u8]) -> Option<Record> {
    match kind {
        RecordKind::Begin => serde_json::from_slice(payload).ok().map(Record::Begin),
        RecordKind::End => serde_json::from_slice(payload).ok().map(Record::End),
        RecordKind::First => {
            let payload: &[u8; FIRST_BYTES - RECORD_HEADER_BYTES] = payload.try_into().ok()?;
            let status = u16::from_le_bytes([payload[16], payload[17]]);
            let rid = Uuid::from_slice(&payload[..16]).ok()?;
            Some(Record::First { rid, status, at_ms: i64_at(payload, 18)? })
        }
        RecordKind::Ack => {
            let payload: &[u8; ACK_BYTES - RECORD_HEADER_BYTES] = payload.try_into().ok()?;
            let (segment, offset) = (u64_at(payload, 0)?, u64_at(payload, 8)?);
            let up_to = Position { segment, offset, index: u32_at(payload, 16)? };
            Some(Record::Ack { up_to, at_ms: i64_at(payload, 20)? })
        }
    }
}

/// The first bytes of a segment: magic, version, sequence, time of creation, CRC of these.
pub(super) fn segment_header(sequence: u64, created_ms: i64) -> [u8; SEGMENT_HEADER_BYTES] {
    let mut header = [0; SEGMENT_HEADER_BYTES];
    header[0..8].copy_from_slice(&MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    header[12..20].copy_from_slice(&sequence.to_le_bytes());
    header[20..28].copy_from_slice(&created_ms.to_le_bytes());
    let crc = crc32fast::hash(&header[..28]);
    header[28..32].copy_from_slice(&crc.to_le_bytes());
    header
}

/// Is this the header of segment `sequence`?
pub(super) fn is_segment_header(header: &[u8], sequence: u64) -> bool {
    header.len() == SEGMENT_HEADER_BYTES
        && header[0..8] == MAGIC
        && u32_at(header, 8) == Some(VERSION)
        && u64_at(header, 12) == Some(sequence)
        && u32_at(header, 28) == Some(crc32fast::hash(&header[..28]))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|chunk| u32::from_le_bytes(*chunk))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|chunk| u64::from_le_bytes(*chunk))
}

fn i64_at(bytes: &[u8], at: usize) -> Option<i64> {
    bytes.get(at..)?.first_chunk().map(|chunk| i64::from_le_bytes(*chunk))
}
