//! A journal that a crash has torn or a disk has damaged: what is whole in it reaches the ledger, and only what was damaged
//! is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;

use super::disk::{NAME_CHARS, many_limits};
use super::segments::{self, BEGIN, END, FIRST, Segment};
use super::users;
use crate::harness::{Books, Load, Pace, Seen, Served, ServerRig, Setup, Weather, fault};

/// A stretch that the disk gives back as noise: longer than from BEGIN to END of one request under this load, so that some
/// requests are lost.
const HOLE_BYTES: usize = 512 * 1024;

/// One gateway, killed under load when its journal is long `enough`: PostgreSQL was away, so its records wait there.
async fn killed(setup: Setup, name: &str, enough: impl Fn(&Path) -> bool) -> (ServerRig, Arc<Seen>) {
    let mut rig = ServerRig::with(setup, &[]).await;
    let tokens = users(&rig, name, 8, "wide");
    let load = Load::start(&rig, &tokens, Pace::default());
    load.more(60).await;
    rig.postgres_proxy.set(Weather::Broken).await;
    loop {
        load.more(60).await;
        if enough(&rig.gateways[0].journal()) {
            break;
        }
    }
    rig.gateways[0].kill();
    let seen = load.stop().await;
    assert_eq!(seen.server_errors(), seen.count(503), "{}", seen.examples());
    rig.postgres_proxy.set(Weather::Clear).await;
    (rig, seen)
}

async fn stored(rig: &ServerRig) -> usize {
    let rows = rig.postgres.number("SELECT count(*) FROM message_logs").await;
    usize::try_from(rows).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_torn_end_is_cut_off_its_request_is_booked_as_crashed_and_the_rest_is_drained() {
    let setup = Setup::default().plan("wide", 1_000_000);
    let (mut rig, seen) = killed(setup, "user", |_| true).await;
    let journal = rig.gateways[0].journal();
    let segments = segments::read(&journal);
    let ends = segments.iter().flat_map(|segment| &segment.records).filter(|record| record.kind == END);
    let waiting = ends.count() - stored(&rig).await;
    let last = segments.last().unwrap();
    let torn = last.records.iter().rfind(|record| record.kind == END).unwrap();
    let (id, cut) = (torn.request_id(), torn.place.start + torn.place.len() / 2);
    File::options().write(true).open(&last.path).unwrap().set_len(cut as u64).unwrap();
    rig.gateways[0].start_again().await;
    let log = rig.gateways[0].log();
    assert!(log.contains("the torn tail of a journal segment is cut off"), "it is not said");
    assert!(!journal.join("quarantine").exists(), "a torn tail is no damage");
    assert_eq!(rig.metric("tollgate_journal_damaged_segments").await, 0);
    let books = rig.finish_where(Served::OrMore).await;
    assert_eq!(books.row(&id).outcome, "crashed", "of the torn END stands its BEGIN");
    let behind = cut..last.bytes.len();
    let requests = left(&segments, segments.len() - 1, std::slice::from_ref(&behind));
    let missing = check(&books, &seen, &requests);
    let whole = seen.whole.lock().unwrap().len();
    fault(
        "F15",
        "the journal's last END torn in its middle: cut off, its request booked as crashed, the rest drained; missing is an answer only if it was so short that no FIRST was written",
        format_args!("{waiting} records waited, {whole} completed answers, {missing} missing, 0 doubled"),
    );
}

/// What of a request's records is whole.
#[derive(Default)]
struct Left {
    request_id: String,
    begin: bool,
    first: bool,
    end: bool,
}

impl Left {
    /// Does the journal still say that it was answered?
    fn is_charged(&self) -> bool {
        self.end || (self.begin && self.first)
    }
}

/// What is left of each request when these places of one segment are damaged.
fn left(segments: &[Segment], damaged: usize, damage: &[Range<usize>]) -> BTreeMap<Uuid, Left> {
    let mut requests: BTreeMap<Uuid, Left> = BTreeMap::new();
    for (index, segment) in segments.iter().enumerate() {
        for record in segment.records.iter().filter(|record| matches!(record.kind, BEGIN | FIRST | END)) {
            let hit = |place: &Range<usize>| place.start < record.place.end && record.place.start < place.end;
            let is_whole = index != damaged || !damage.iter().any(hit);
            let request = requests.entry(record.rid()).or_default();
            match record.kind {
                BEGIN => request.begin |= is_whole,
                FIRST => request.first |= is_whole,
                _ => request.end |= is_whole,
            }
            if record.kind != FIRST {
                request.request_id = record.request_id();
            }
        }
    }
    requests
}

/// What has a BEGIN and no END is booked as crashed, and answers are missing exactly where nothing says any more that they
/// were given. Returns how many.
fn check(books: &Books, seen: &Seen, requests: &BTreeMap<Uuid, Left>) -> usize {
    for request in requests.values().filter(|left| left.begin && !left.end) {
        assert_eq!(books.row(&request.request_id).outcome, "crashed", "{}", request.request_id);
    }
    let whole = seen.whole.lock().unwrap();
    let lost = requests.values().filter(|left| !left.is_charged()).map(|left| &left.request_id);
    let expected: BTreeSet<_> = lost.filter(|id| whole.contains(*id)).collect();
    let charged = |id: &str| books.of_request(id).iter().map(|row| row.messages).sum::<u64>();
    let missing: BTreeSet<_> = whole.iter().filter(|id| charged(id) != 1).collect();
    assert_eq!(missing, expected, "answered, and not charged once");
    missing.len()
}

/// A flipped byte in the middle of an END, and a stretch of noise behind it.
fn damage(older: &Segment, stored: usize) -> Vec<Range<usize>> {
    let ends: Vec<_> = older.records.iter().filter(|record| record.kind == END).collect();
    let flipped = ends[ends.len() * 3 / 5];
    assert!(stored < ends.len() / 2, "{stored} of {} ENDs were stored before", ends.len());
    let middle = flipped.place.start + flipped.place.len() / 2;
    let from = older.records[older.records.len() * 4 / 5].place.start + 20;
    assert!(from + HOLE_BYTES < older.records.last().unwrap().place.start, "the segment is too short");
    vec![middle..middle + 1, from..from + HOLE_BYTES]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_older_segment_is_set_aside_and_only_what_was_damaged_is_missing() {
    let second_is_used = |journal: &Path| {
        // the length of its first record
        let mut length = [0; 4];
        let second = File::open(journal.join("000000000002.seg"));
        second.is_ok_and(|second| second.read_at(&mut length, 32).unwrap() == 4 && length != [0; 4])
    };
    let setup = Setup::default().plan("wide", 1_000_000).change(many_limits);
    let (mut rig, seen) = killed(setup, &"a".repeat(NAME_CHARS), second_is_used).await;
    let journal = rig.gateways[0].journal();
    let segments = segments::read(&journal);
    let places = damage(&segments[0], stored(&rig).await);
    let mut bytes = segments[0].bytes.clone();
    bytes[places[0].start] ^= 1;
    bytes[places[1].clone()].fill(0xaa);
    std::fs::write(&segments[0].path, &bytes).unwrap();
    rig.gateways[0].start_again().await;
    assert!(rig.gateways[0].log().contains("a journal segment is damaged"), "it is not said");
    assert_eq!(rig.metric("tollgate_journal_damaged_segments").await, 1);
    let (is_ready, health) = rig.gateways[0].ready().await;
    assert!(is_ready && health["journal"]["damagedSegments"] == 1, "{health}");
    let copy = std::fs::read(journal.join("quarantine").join(segments[0].path.file_name().unwrap()));
    assert!(copy.unwrap() == bytes, "the damaged segment stands in quarantine as it was found");
    let books = rig.finish_where(Served::OrMore).await;
    let requests = left(&segments, 0, &places);
    let missing = check(&books, &seen, &requests);
    assert!(missing > 0, "the noise is shorter than a request");
    let crashed = requests.values().filter(|left| left.begin && !left.end).count();
    let whole = seen.whole.lock().unwrap().len();
    fault(
        "F15",
        "an older segment of the journal damaged: set aside and reported, the rest drained; missing is what has no whole record left",
        format_args!(
            "a flipped byte and {} KiB of noise: {whole} completed answers, {missing} missing, {crashed} booked as crashed, 0 doubled",
            HOLE_BYTES / 1024
        ),
    );
}
