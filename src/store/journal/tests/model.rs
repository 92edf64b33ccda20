//! Random lives of a journal against a model that fits on a page.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Op {
    Begin { text: usize },
    First { which: prop::sample::Index, status: u16 },
    End { which: prop::sample::Index, growth: usize },
    Ack { rows: usize },
    Close,
    Crash,
}

fn op() -> impl Strategy<Value = Op> {
    let which = any::<prop::sample::Index>;
    prop_oneof![
        8 => (0_usize..6_000).prop_map(|text| Op::Begin { text }),
        4 => (which(), 200_u16..600).prop_map(|(which, status)| Op::First { which, status }),
        6 => (which(), 0_usize..3_000).prop_map(|(which, growth)| Op::End { which, growth }),
        3 => (1_usize..6).prop_map(|rows| Op::Ack { rows }),
        1 => Just(Op::Close),
        1 => Just(Op::Crash),
    ]
}

/// What a journal is meant to know.
#[derive(Default)]
struct Model {
    open: Vec<OpenRequest>,
    ended: Vec<Entry>,
    acked: usize,
}

impl Model {
    fn pending(&self) -> u64 {
        (self.ended.len() - self.acked) as u64
    }

    fn check(&self, journal: &Journal, recovery: Option<Recovery>) {
        if let Some(mut recovery) = recovery {
            recovery.open.sort_by_key(|open| open.entry.id);
            let mut expected = self.open.clone();
            expected.sort_by_key(|open| open.entry.id);
            assert_eq!(recovery.open, expected);
            assert_eq!(recovery.unacked, self.pending());
            assert_eq!((recovery.torn_bytes, recovery.quarantined), (0, 0));
        }
        assert_eq!(read_all(journal), self.ended[self.acked..]);
        assert_eq!(journal.pending_events(), self.pending());
        assert_eq!(journal.open_requests(), self.open.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_journal_knows_what_the_model_knows(ops in prop::collection::vec(op(), 1..120)) {
        let mut dir = TempDir::new();
        let (mut journal, _) = open(&dir);
        let mut model = Model::default();
        for op in ops {
            match op {
                Op::Begin { text } => {
                    let mut entry = begun();
                    entry.request_id = "x".repeat(text);
                    journal.begin(&entry).unwrap();
                    model.open.push(OpenRequest { entry, first_byte: None });
                }
                Op::First { which, status } if !model.open.is_empty() => {
                    let open = which.get(&model.open).entry.id;
                    journal.first_byte(open, status, i64::from(status)).unwrap();
                    let open = model.open.iter_mut().find(|other| other.entry.id == open).unwrap();
                    open.first_byte.get_or_insert((status, i64::from(status)));
                }
                Op::End { which, growth } if !model.open.is_empty() => {
                    let OpenRequest { entry, .. } = model.open.remove(which.index(model.open.len()));
                    let mut end = ended(&entry);
                    end.task = "y".repeat(growth);
                    journal.end(&end).unwrap();
                    model.ended.push(end);
                }
                Op::Ack { rows } => {
                    let batch = journal.reader().next_batch(rows, 1 << 20).unwrap();
                    if let Some((last, _)) = batch.last() {
                        journal.ack(*last).unwrap();
                        model.acked += batch.len();
                    }
                }
                Op::Close => {
                    drop(journal);
                    let (opened, recovery) = open(&dir);
                    journal = opened;
                    model.check(&journal, Some(recovery));
                }
                Op::Crash => {
                    let crashed = dir.crash();
                    let (opened, recovery) = open(&crashed);
                    drop(std::mem::replace(&mut journal, opened));
                    dir = crashed;
                    model.check(&journal, Some(recovery));
                }
                Op::First { .. } | Op::End { .. } => {}
            }
        }
        model.check(&journal, None);
    }
}
