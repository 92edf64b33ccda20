//! The outcome table, row by row: what is charged, what is written down.

use super::{Bench, answer, asked, user};
use crate::gate::Ending;
use crate::quota::OnOutage;
use crate::store::Outcome;

async fn charged_after(status: Option<u16>, outcome: Option<Outcome>) -> (u64, u64) {
    let bench = Bench::new(OnOutage::Deny).await;
    let who = user(&bench, "alice", None, None);
    let mut permit = bench.gate.admit(&who, asked("claude-3-opus")).await.unwrap();
    assert_eq!(bench.numbers(&who, "premium").await, (0, 1), "held while in flight");
    if let Some(status) = status {
        answer(&mut permit, status);
    }
    match outcome {
        Some(outcome) => permit.finish(Ending::bare(outcome)),
        None => drop(permit),
    }
    bench.quiet().await;
    let (messages, premium) = (bench.numbers(&who, "messages").await, bench.numbers(&who, "premium").await);
    assert_eq!(messages, premium, "both limits alike");
    bench.conserved(&who, "premium", premium.0).await;
    let totals = bench.ledger.totals().await.unwrap();
    assert_eq!(totals.messages, premium.0, "charged messages in the ledger");
    (premium.0, totals.rows)
}

#[tokio::test]
async fn every_row_of_the_outcome_table() {
    let rows = [
        // upstream's status, outcome, charged
        (Some(200), Some(Outcome::Ok), 1),
        (Some(200), Some(Outcome::Cancelled), 1),
        (Some(200), Some(Outcome::Truncated), 1),
        (Some(429), Some(Outcome::UpstreamError), 0),
        (None, Some(Outcome::UpstreamError), 0),
        (None, Some(Outcome::ClientGone), 0),
        // a panic or a dropped task: the permit's own Drop
        (Some(200), None, 1),
        (Some(500), None, 0),
        (None, None, 0),
        // an outcome that claims a success without a 2xx is not believed
        (None, Some(Outcome::Ok), 0),
        (Some(503), Some(Outcome::Cancelled), 0),
    ];
    for (status, outcome, charged) in rows {
        assert_eq!(charged_after(status, outcome).await, (charged, 1), "{status:?} {outcome:?}");
    }
}

#[tokio::test]
async fn a_message_that_straddles_the_months_turn_stays_where_it_was_admitted() {
    let bench = Bench::new(OnOutage::Deny).await;
    let who = user(&bench, "alice", None, None);
    let mut permit = bench.gate.admit(&who, asked("gpt-4o")).await.unwrap();
    bench.clock.advance(std::time::Duration::from_secs(7 * 24 * 3600));
    answer(&mut permit, 200);
    permit.finish(Ending::bare(Outcome::Ok));
    bench.quiet().await;
    assert_eq!(bench.numbers(&who, "messages").await, (0, 0), "December is untouched");
    let history = bench.ledger.history("alice", 6).await.unwrap();
    let months: Vec<_> = history.iter().map(|row| (row.month.as_str(), row.messages)).collect();
    assert!(months.contains(&("2026-11", 1)), "{months:?}");
}

#[tokio::test]
async fn a_crashed_request_is_charged_if_the_upstream_had_answered() {
    let bench = Bench::new(OnOutage::Deny).await;
    let who = user(&bench, "alice", None, None);
    let mut answered = bench.gate.admit(&who, asked("gpt-4o")).await.unwrap();
    answer(&mut answered, 200);
    let waiting = bench.gate.admit(&who, asked("gpt-4o")).await.unwrap();
    // what a restart does with BEGINs that have no END; the permits themselves must not end a second time
    let open = [(&answered, Some((200, 0))), (&waiting, None)].map(|(permit, first_byte)| {
        crate::store::journal::OpenRequest { entry: permit.entry_for_tests(), first_byte }
    });
    std::mem::forget(answered);
    std::mem::forget(waiting);
    bench.gate.end_crashed(open.into());
    bench.conserved(&who, "messages", 1).await;
    assert_eq!(bench.ledger.totals().await.unwrap().rows, 2);
}

#[tokio::test]
async fn a_panic_ends_the_permit_as_crashed_and_charges_only_what_was_answered() {
    for (status, charged) in [(None, 0), (Some(200), 1), (Some(500), 0)] {
        let bench = Bench::new(OnOutage::Deny).await;
        let who = user(&bench, "alice", None, None);
        let mut permit = bench.gate.admit(&who, asked("gpt-4o")).await.unwrap();
        if let Some(status) = status {
            answer(&mut permit, status);
        }
        let hook = std::panic::AssertUnwindSafe(move || {
            let _permit = permit;
            std::panic::resume_unwind(Box::new("a hook"));
        });
        assert!(std::panic::catch_unwind(hook).is_err());
        bench.conserved(&who, "messages", charged).await;
        let mut written = bench.journal.reader();
        written.replay(i64::MIN);
        let rows = written.next_batch(10, 1 << 20).unwrap();
        let outcomes: Vec<_> = rows.iter().map(|(_, entry)| entry.outcome).collect();
        assert_eq!(outcomes, [Outcome::Crashed], "{status:?}");
    }
}
