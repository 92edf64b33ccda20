//! The journal's files as tests read and damage them: a second reading of the format, beside the gateway's own. It must not
//! know what a test wants to prove.

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde_json::Value;
use uuid::Uuid;

/// A request was admitted; the payload is its entry.
pub const BEGIN: u8 = 1;
/// The upstream's first byte came; the payload begins with the request's id.
pub const FIRST: u8 = 2;
/// A request has ended; the payload is its entry.
pub const END: u8 = 3;
/// The ledger has all ENDs up to a place.
const ACK: u8 = 4;

/// Bytes before a segment's first record.
const SEGMENT_HEADER_BYTES: usize = 32;
/// Payload length, CRC-32 of kind and payload, kind.
const RECORD_HEADER_BYTES: usize = 9;

/// A record and where it stands.
pub struct Record {
    pub place: Range<usize>,
    pub kind: u8,
    pub payload: Vec<u8>,
}

impl Record {
    /// The entry of a BEGIN or an END.
    pub fn entry(&self) -> Value {
        serde_json::from_slice(&self.payload).unwrap()
    }

    /// The `x-request-id` of a BEGIN or an END.
    pub fn request_id(&self) -> String {
        self.entry()["request_id"].as_str().unwrap().to_owned()
    }

    /// The gateway's own id of a request.
    pub fn rid(&self) -> Uuid {
        match self.kind {
            FIRST => Uuid::from_slice(&self.payload[..16]).unwrap(),
            _ => self.entry()["id"].as_str().unwrap().parse().unwrap(),
        }
    }
}

/// A file of the journal.
pub struct Segment {
    pub path: PathBuf,
    pub bytes: Vec<u8>,
    pub records: Vec<Record>,
}

impl Segment {
    /// The file anew, each record with the payload that `change` gives it. ACKs name places, which are others then: they
    /// are left out, and the ledger is told again.
    pub fn rewrite(&self, change: impl Fn(&Record) -> Vec<u8>) {
        let mut bytes = self.bytes[..SEGMENT_HEADER_BYTES].to_vec();
        for record in self.records.iter().filter(|record| record.kind != ACK) {
            bytes.extend(seal(record.kind, &change(record)));
        }
        std::fs::write(&self.path, bytes).unwrap();
    }
}

/// The segments that hold records, oldest first.
pub fn read(journal: &Path) -> Vec<Segment> {
    let files = std::fs::read_dir(journal).unwrap().map(|file| file.unwrap().path());
    let mut paths: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|extension| extension == "seg")).collect();
    paths.sort();
    let segments = paths.into_iter().map(|path| {
        let bytes = std::fs::read(&path).unwrap();
        let records = records(&bytes);
        Segment { path, bytes, records }
    });
    segments.filter(|segment| !segment.records.is_empty()).collect()
}

fn records(bytes: &[u8]) -> Vec<Record> {
    let mut records = Vec::new();
    let mut at = SEGMENT_HEADER_BYTES;
    while let Some(header) = bytes.get(at..at + RECORD_HEADER_BYTES) {
        let payload_bytes = u32::from_le_bytes(header[..4].try_into().unwrap()) as usize;
        let end = at + RECORD_HEADER_BYTES + payload_bytes;
        // behind the last record stand zeros
        let Some(payload) = bytes.get(at + RECORD_HEADER_BYTES..end).filter(|payload| !payload.is_empty())
        else {
            break;
        };
        records.push(Record { place: at..end, kind: header[8], payload: payload.to_vec() });
        at = end;
    }
    records
}

fn seal(kind: u8, payload: &[u8]) -> Vec<u8> {
    let covered = [&[kind], payload].concat();
    let length = u32::try_from(payload.len()).unwrap().to_le_bytes();
    [&length[..], &crc32fast::hash(&covered).to_le_bytes(), &covered].concat()
}
