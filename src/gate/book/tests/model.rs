//! Random lives of requests: the book, its journal and a model that keeps each request's stage on its own.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Op {
    Begin { domain: usize },
    End { which: prop::sample::Index },
    Settle { which: prop::sample::Index, gives_up: bool },
    LedgerTakes { rows: usize },
    Time { ms: i64 },
    Mend { works: bool },
}

fn op() -> impl Strategy<Value = Op> {
    let which = any::<prop::sample::Index>;
    prop_oneof![
        6 => (0_usize..3).prop_map(|domain| Op::Begin { domain }),
        5 => which().prop_map(|which| Op::End { which }),
        5 => (which(), prop::bool::weighted(0.2)).prop_map(|(which, gives_up)| Op::Settle { which, gives_up }),
        4 => (1_usize..5).prop_map(|rows| Op::LedgerTakes { rows }),
        3 => (1_i64..50_000).prop_map(|ms| Op::Time { ms }),
        2 => any::<bool>().prop_map(|works| Op::Mend { works }),
    ]
}

/// Where a request stands; whether it is settled is another matter.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Open,
    Ended,
    InLedger { since_ms: i64 },
    Over,
}

struct Request {
    entry: Entry,
    domain: Domain,
    stage: Stage,
    /// Not settled, once it has ended.
    settling: Option<Settlement>,
}

#[derive(Default)]
struct Model {
    requests: Vec<Request>,
    dirty: HashSet<Domain>,
    now_ms: i64,
}

impl Model {
    fn pick(&mut self, which: prop::sample::Index, fits: fn(&Request) -> bool) -> Option<&mut Request> {
        let mut fitting: Vec<_> = self.requests.iter_mut().filter(|request| fits(request)).collect();
        (!fitting.is_empty()).then(|| fitting.swap_remove(which.index(fitting.len())))
    }

    fn turn_page(&mut self) {
        for request in &mut self.requests {
            if matches!(request.stage, Stage::InLedger { since_ms } if self.now_ms - since_ms > ANNOUNCED_MS)
            {
                request.stage = Stage::Over;
            }
        }
    }

    fn check(&self, shelf: &Shelf, domains: &[Domain; 3]) {
        let book = &shelf.book;
        let open = self.requests.iter().filter(|request| request.stage == Stage::Open).count();
        assert_eq!(book.open_count(), open as u64);
        let unsettled = self.requests.iter().filter(|request| request.settling.is_some()).count();
        assert_eq!(book.journal.unsettled(), self.dirty.is_empty().then_some(unsettled as u64));
        assert_eq!(book.dirty(), self.dirty);
        assert!(book.is_complete());
        for domain in domains {
            let of_domain = || self.requests.iter().filter(|request| request.domain == *domain);
            let announced: HashSet<_> = of_domain()
                .filter(|request| request.stage != Stage::Over)
                .map(|request| (request.entry.id, request.stage == Stage::Open))
                .collect();
            let found =
                book.announcements(domain, self.now_ms).into_iter().map(|announcement| match announcement {
                    Announcement::Held { rid, .. } => (rid, true),
                    Announcement::Ended { rid, .. } => (rid, false),
                });
            assert_eq!(found.collect::<HashSet<_>>(), announced);
            let settling = of_domain().any(|request| request.settling.is_some());
            assert_eq!(book.is_settling(domain), settling);
            assert_eq!(book.domains().contains(domain), settling || !announced.is_empty());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_book_knows_what_the_model_knows(ops in prop::collection::vec(op(), 1..150)) {
        let domains = [Domain::user("ada"), Domain::user("bob"), Domain::team("red")];
        let (shelf, mut model) = (shelf(), Model::default());
        let (book, mut reader) = (&shelf.book, shelf.book.journal.reader());
        book.mended(HashSet::new());
        for op in ops {
            match op {
                Op::Begin { domain } => {
                    let domain = domains[domain].clone();
                    let entry = shelf.begin(&domain);
                    model.requests.push(Request { entry, domain, stage: Stage::Open, settling: None });
                }
                Op::End { which } => {
                    if let Some(request) = model.pick(which, |request| request.stage == Stage::Open) {
                        request.settling = Some(shelf.end(&request.domain, &request.entry));
                        request.stage = Stage::Ended;
                    }
                }
                Op::Settle { which, gives_up } => {
                    if let Some(request) = model.pick(which, |request| request.settling.is_some()) {
                        let settlement = request.settling.take().unwrap();
                        if gives_up {
                            book.given_up(&settlement);
                            model.dirty.insert(settlement.domain);
                        } else {
                            book.settled(&settlement);
                        }
                    }
                }
                Op::LedgerTakes { rows } => {
                    let batch = reader.next_batch(rows, 1 << 20).unwrap();
                    let Some((last, _)) = batch.last() else { continue };
                    let (last, now_ms) = (*last, model.now_ms);
                    let entries: Vec<_> = batch.into_iter().map(|(_, entry)| entry).collect();
                    book.in_ledger(&entries, last, now_ms);
                    for request in &mut model.requests {
                        if entries.iter().any(|entry| entry.id == request.entry.id) {
                            assert_eq!(request.stage, Stage::Ended);
                            request.stage = Stage::InLedger { since_ms: now_ms };
                        }
                    }
                    model.turn_page();
                }
                Op::Time { ms } => {
                    model.now_ms += ms;
                    book.sweep(model.now_ms);
                    model.turn_page();
                }
                Op::Mend { works } => {
                    let taken = book.take_dirty();
                    assert_eq!(taken, model.dirty);
                    book.mended(if works { HashSet::new() } else { taken });
                    if works {
                        model.dirty.clear();
                    }
                }
            }
            model.check(&shelf, &domains);
        }
    }
}
