//! Histories of repeated messages in which each decision is known beforehand.

use super::counters_history::Op;

/// A message of Ann's, and Bob's with the same id: see `MESSAGES` of `counters_history`.
const HERS: Option<usize> = Some(0);
const HERS_TOO: Option<usize> = Some(1);
const HIS: Option<usize> = Some(2);

/// The attempt is charged, or goes free as this repeat, or is refused.
const CHARGED: Option<u32> = Some(0);
const FIRST: Option<u32> = Some(1);
const SECOND: Option<u32> = Some(2);
const REFUSED: Option<u32> = None;

/// A name, what happens, and what is decided of each reserve.
type Told = (&'static str, Vec<Op>, Vec<Option<u32>>);

/// One message of five a month.
fn hold(request: usize, message: Option<usize>) -> Op {
    Op::Reserve { request, kind: 0, message }
}

fn end(request: usize, is_charged: bool) -> Op {
    Op::Settle { request, is_charged }
}

/// Requests from their holds to their charges, one after the other.
fn whole(requests: impl IntoIterator<Item = usize>, message: Option<usize>) -> Vec<Op> {
    let both = |request| [hold(request, message), end(request, true)];
    requests.into_iter().flat_map(both).collect()
}

pub(super) fn histories() -> Vec<Told> {
    [charged(), leased(), limited(), lost()].concat()
}

/// What is charged, and what is free after it.
fn charged() -> Vec<Told> {
    vec![
        (
            "three attempts cost one, the fourth is a new message",
            whole(0..7, HERS),
            vec![CHARGED, FIRST, SECOND, CHARGED, FIRST, SECOND, CHARGED],
        ),
        (
            "ten minutes after the first attempt the next one is charged",
            [whole([0], HERS), vec![Op::Wait], whole([1], HERS), vec![Op::Wait], whole(2..4, HERS)].concat(),
            vec![CHARGED, FIRST, CHARGED, FIRST],
        ),
        (
            "what was released makes no repeat",
            [vec![hold(0, HERS), end(0, false)], whole(1..3, HERS)].concat(),
            vec![CHARGED, CHARGED, FIRST],
        ),
        (
            "another message, and another user's of the same id",
            [whole([0], HERS), whole([1], HERS_TOO), whole([2], HIS), whole([3], HERS), whole([4], HIS)]
                .concat(),
            vec![CHARGED, CHARGED, CHARGED, FIRST, FIRST],
        ),
        (
            "two at once are charged both, and allow two repeats in all",
            [
                vec![hold(0, HERS), hold(1, HERS), end(0, true)],
                whole([2], HERS),
                vec![end(1, true)],
                whole(3..5, HERS),
            ]
            .concat(),
            vec![CHARGED, CHARGED, FIRST, SECOND, CHARGED],
        ),
        (
            "a request that is asked for twice is one attempt",
            [
                whole([0], HERS),
                vec![hold(1, HERS), hold(1, HERS), end(1, true), hold(1, HERS)],
                whole([2], HERS),
            ]
            .concat(),
            vec![CHARGED, FIRST, FIRST, CHARGED, SECOND],
        ),
    ]
}

/// Attempts whose leases end.
fn leased() -> Vec<Told> {
    vec![
        (
            "an attempt whose lease ran out makes no repeat, however late its charge",
            [vec![hold(0, HERS)], vec![Op::Advance; 3], vec![hold(1, HERS), end(0, true)], whole(2..4, HERS)]
                .concat(),
            vec![CHARGED, CHARGED, CHARGED, FIRST],
        ),
        (
            "a renewed attempt makes one",
            [
                vec![
                    hold(0, HERS),
                    Op::Advance,
                    Op::Advance,
                    Op::Renew { request: 0 },
                    Op::Advance,
                    Op::Sweep,
                ],
                vec![end(0, true)],
                whole([1], HERS),
            ]
            .concat(),
            vec![CHARGED, FIRST],
        ),
        (
            "a repeat whose lease ran out is one of the three all the same",
            [whole([0], HERS), vec![hold(1, HERS)], vec![Op::Advance; 3], whole(2..4, HERS)].concat(),
            vec![CHARGED, FIRST, SECOND, CHARGED],
        ),
    ]
}

/// Limits that are spent, that block, that begin anew.
fn limited() -> Vec<Told> {
    vec![
        (
            "a refused first attempt is none",
            [whole(0..5, None), vec![hold(5, HERS), Op::MonthTurn], whole(6..8, HERS)].concat(),
            [vec![CHARGED; 5], vec![REFUSED, CHARGED, FIRST]].concat(),
        ),
        (
            "what is paid for passes a spent limit, twice",
            [whole([0], HERS), whole(1..5, None), whole(5..7, HERS), vec![hold(7, HERS)]].concat(),
            [vec![CHARGED; 5], vec![FIRST, SECOND, REFUSED]].concat(),
        ),
        (
            "a limit of 0 blocks a repeat, which is still to come",
            [whole([0], HERS), vec![Op::Reserve { request: 1, kind: 4, message: HERS }], whole([2], HERS)]
                .concat(),
            vec![CHARGED, REFUSED, FIRST],
        ),
        (
            "a reset gives quota back and leaves the repeats",
            [whole([0], HERS), vec![Op::Reset { of_team: false }], whole(1..4, HERS)].concat(),
            vec![CHARGED, FIRST, SECOND, CHARGED],
        ),
    ]
}

/// Counters that were lost.
fn lost() -> Vec<Told> {
    vec![
        (
            "lost counters charge again",
            [
                whole([0], HERS),
                vec![Op::Reload { in_ledger: u16::MAX, is_reversed: false }],
                whole(1..3, HERS),
            ]
            .concat(),
            vec![CHARGED, CHARGED, FIRST],
        ),
        (
            "attempts in flight over a loss make no repeat",
            [
                whole([0], HERS),
                vec![hold(1, HERS), hold(2, HERS_TOO), Op::Reload { in_ledger: 0, is_reversed: true }],
                vec![end(1, true), end(2, true)],
                whole([3], HERS),
                whole([4], HERS_TOO),
            ]
            .concat(),
            vec![CHARGED, FIRST, CHARGED, CHARGED, CHARGED],
        ),
    ]
}
