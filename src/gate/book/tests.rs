//! The book: bounded, honest about what it does not hold, and in every order of steps what a naive model says.

mod model;

use super::known::USUAL_MAX;
use super::*;
use crate::quota::{Bucket, Scope};
use crate::store::journal::tests::{TempDir, begun, open as open_journal};

/// A book with its journal.
struct Shelf {
    book: Book,
    _dir: TempDir,
}

fn shelf() -> Shelf {
    let dir = TempDir::new();
    Shelf { book: Book::new(Arc::new(open_journal(&dir).0)), _dir: dir }
}

fn open() -> OpenHolds {
    OpenHolds { holds: Vec::new().into(), lease_ends_ms: 900_000 }
}

fn entry(domain: &Domain) -> Entry {
    Entry { domain: domain.to_string(), ..begun() }
}

fn rid(n: usize) -> Uuid {
    Uuid::from_u128(n as u128)
}

fn position(n: usize) -> Position {
    Position { segment: 1, offset: n as u64 + 1, index: 0 }
}

impl Shelf {
    fn begin(&self, domain: &Domain) -> Entry {
        let entry = entry(domain);
        self.book.begin(domain, &entry, open()).unwrap();
        entry
    }

    fn end(&self, domain: &Domain, entry: &Entry) -> Settlement {
        let (settlement, written) = self.book.end(domain, entry);
        written.unwrap();
        settlement
    }

    /// As the writer does when the ledger has everything.
    fn ledger_takes_all(&self, now_ms: i64) {
        self.book.in_ledger(&[], self.book.journal.last_end(), now_ms);
    }

    fn announced(&self, domain: &Domain) -> usize {
        self.book.announcements(domain, 0).len()
    }

    /// Remembers an ended request without a journal.
    fn remember(&self, domain: &Domain, n: usize, charges: Vec<Charge>) {
        let mut inner = self.book.lock();
        let charges = inner.domains.entry(domain.clone()).or_default().share(charges);
        inner.remember(domain, Ended { position: position(n), rid: rid(n), charges, message: None });
    }
}

#[test]
fn a_request_in_the_ledger_is_announced_for_a_minute_more() {
    let (shelf, domain) = (shelf(), Domain::user("ada"));
    let entry = shelf.begin(&domain);
    assert_eq!((shelf.book.open_count(), shelf.book.is_settling(&domain)), (1, false));
    let settlement = shelf.end(&domain, &entry);
    assert!(shelf.book.is_settling(&domain));
    shelf.book.settled(&settlement);
    shelf.ledger_takes_all(1_000);
    shelf.book.sweep(61_000);
    assert_eq!(shelf.announced(&domain), 1);
    shelf.book.sweep(61_001);
    assert_eq!((shelf.announced(&domain), shelf.book.domains().len(), shelf.book.open_count()), (0, 0, 0));
}

/// The writer can be faster than the request's own task.
#[test]
fn an_end_that_the_ledger_has_before_the_book_knows_it_is_not_announced_for_ever() {
    let (shelf, domain) = (shelf(), Domain::user("ada"));
    shelf.book.in_ledger(&[], position(1), 0);
    shelf.remember(&domain, 1, Vec::new());
    assert_eq!(shelf.announced(&domain), 1);
    shelf.book.sweep(60_001);
    assert_eq!(shelf.announced(&domain), 0);
    shelf.remember(&domain, 0, Vec::new());
    assert_eq!(shelf.announced(&domain), 0, "it is over");
}

#[test]
fn a_full_book_drops_what_the_ledger_has_before_it_forgets_anything() {
    let (shelf, domain) = (shelf(), Domain::user("ada"));
    (0..ENDED_MAX).for_each(|n| shelf.remember(&domain, n, Vec::new()));
    shelf.book.in_ledger(&[], position(0), 0);
    shelf.remember(&domain, ENDED_MAX, Vec::new());
    assert!(shelf.book.is_complete(), "a request in the ledger made room");
    assert_eq!(shelf.book.lock().ended.len(), ENDED_MAX);
    shelf.remember(&domain, ENDED_MAX + 1, Vec::new());
    assert!(!shelf.book.is_complete(), "none was left");
    shelf.book.in_ledger(&[], position(ENDED_MAX), 0);
    assert!(!shelf.book.is_complete());
    shelf.book.in_ledger(&[], position(ENDED_MAX + 1), 0);
    assert!(shelf.book.is_complete(), "the forgotten one has reached the ledger");
}

#[test]
fn a_request_that_is_read_back_twice_counts_once() {
    let (shelf, domain) = (shelf(), Domain::user("ada"));
    let entry = entry(&domain);
    shelf.book.inherit(position(1), &entry);
    shelf.book.inherit(position(1), &entry);
    assert_eq!((shelf.announced(&domain), shelf.book.lock().ended.len()), (1, 1));
    assert!(!shelf.book.is_settling(&domain));
    shelf.book.inherit(position(2), &entry);
    assert_eq!(shelf.announced(&domain), 1, "its END stands twice: it is named once");
    shelf.book.in_ledger(&[], position(2), 0);
    shelf.book.sweep(60_001);
    assert_eq!((shelf.book.domains().len(), shelf.book.lock().ended.len()), (0, 0));
}

#[test]
fn an_end_that_waits_to_be_written_is_announced_until_the_ledger_has_it() {
    let (shelf, domain) = (shelf(), Domain::user("ada"));
    let (parked, other) = (entry(&domain), entry(&domain));
    for (position, entry) in [(UNWRITTEN, &parked), (position(5), &other)] {
        shelf
            .book
            .lock()
            .remember(&domain, Ended { position, rid: entry.id, charges: Arc::default(), message: None });
    }
    shelf.book.in_ledger(std::slice::from_ref(&other), position(5), 0);
    shelf.book.sweep(60_001);
    assert_eq!(shelf.announced(&domain), 1, "no position passes it");
    shelf.book.in_ledger(std::slice::from_ref(&parked), position(6), 60_001);
    assert_eq!(shelf.announced(&domain), 1);
    shelf.book.sweep(120_002);
    assert_eq!((shelf.announced(&domain), shelf.book.domains().len()), (0, 0));
}

#[test]
fn an_end_that_the_journal_refuses_is_settled_and_not_announced() {
    let (shelf, domain) = (shelf(), Domain::user("ada"));
    let (settlement, written) = shelf.book.end(&domain, &entry(&domain));
    assert!(matches!(written, Err(JournalError::NotOpen(_))));
    assert_eq!((settlement.charges.len(), shelf.announced(&domain)), (2, 0));
    shelf.book.settled(&settlement);
    assert!(shelf.book.domains().is_empty());
}

#[tokio::test]
async fn who_waits_for_settles_is_woken_by_the_last_one() {
    let (shelf, ada, bob) = (shelf(), Domain::user("ada"), Domain::user("bob"));
    let settlements = [&ada, &ada, &bob].map(|domain| shelf.book.release(domain, rid(0)));
    let (soon, later) = (Duration::from_millis(20), Duration::from_secs(10));
    assert!(!shelf.book.wait_settled(Some(&ada), soon).await);
    let waits = async {
        assert!(shelf.book.wait_settled(Some(&ada), later).await);
        assert!(!shelf.book.wait_settled(None, soon).await, "bob's is under way");
    };
    let settles = async {
        for settlement in &settlements[..2] {
            tokio::time::sleep(Duration::from_millis(5)).await;
            shelf.book.settled(settlement);
        }
    };
    tokio::join!(waits, settles);
    shelf.book.settled(&settlements[2]);
    assert!(shelf.book.wait_settled(None, soon).await);
}

#[test]
fn while_domains_are_mended_they_count_as_dirty() {
    let (shelf, domain) = (shelf(), Domain::user("ada"));
    assert_eq!(shelf.book.journal.unsettled(), None, "nobody has said yet what a killed run left");
    shelf.book.mended(shelf.book.take_dirty());
    assert_eq!(shelf.book.journal.unsettled(), Some(0));
    shelf.book.given_up(&shelf.book.release(&domain, rid(0)));
    let dirty = shelf.book.take_dirty();
    assert!(shelf.book.is_dirty() && shelf.book.dirty().is_empty());
    shelf.book.mended(dirty);
    assert!(shelf.book.is_dirty(), "it could not be made cold");
    assert_eq!(shelf.book.journal.unsettled(), None);
    shelf.book.take_dirty();
    shelf.book.mended(HashSet::new());
    assert!(!shelf.book.is_dirty());
    assert_eq!(shelf.book.journal.unsettled(), Some(0));
}

#[test]
fn charges_that_are_alike_are_kept_once() {
    let (shelf, domain) = (shelf(), Domain::team("red"));
    let charge = |owner: String| Charge {
        bucket: Bucket {
            scope: Scope::User,
            owner: owner.into(),
            limit: "messages".into(),
            period: "2026-11".into(),
        },
        epoch: 0,
        period_start_ms: 0,
        period_end_ms: 1,
        amount: 1,
    };
    (0..1_000).for_each(|n| shelf.remember(&domain, n, vec![charge(format!("member-{}", n % 10))]));
    let inner = shelf.book.lock();
    let kept = inner.domains[&domain].ended.iter().map(|ended| ended.charges.as_ptr() as usize);
    assert_eq!(kept.collect::<HashSet<_>>().len(), 10);
    drop(inner);
    let owners = shelf.book.announcements(&domain, 0).into_iter().map(|announcement| match announcement {
        Announcement::Ended { charges, .. } => charges[0].bucket.owner.to_string(),
        Announcement::Held { .. } => panic!("nothing is held"),
    });
    assert_eq!(owners.collect::<HashSet<_>>().len(), 10);
    (1_000..1_100).for_each(|n| shelf.remember(&domain, n, vec![charge(format!("guest-{n}"))]));
    assert_eq!(shelf.book.lock().domains[&domain].usual.len(), USUAL_MAX, "bounded");
}
