//! The fold against sums by hand, and what follows from rows that are new.

use proptest::prelude::*;

use super::*;
use crate::store::entry::{Alerts, LimitAlert, Outcome, Tokens};
use crate::store::ledger_suite::entry;

fn requests() -> impl Strategy<Value = Vec<Entry>> {
    let request = (0..3_usize, 0..2_usize, any::<bool>(), any::<bool>(), 0..u64::MAX, 0..5_000_u64);
    let request = request.prop_map(|(user, day, premium, ok, tokens, ms)| Entry {
        day: format!("2026-11-{}", 29 + day),
        premium,
        outcome: if ok { Outcome::Ok } else { Outcome::UpstreamError },
        tokens: Tokens { input: tokens, output: tokens / 2, ..Tokens::default() },
        duration_ms: ms,
        ..entry(&format!("user-{user}"))
    });
    proptest::collection::vec(request, 0..20)
}

fn flat(folded: &Folded<'_>) -> Vec<(&'static str, Vec<Value<'static>>, Vec<Value<'static>>)> {
    let owned = |values: &[Value<'_>]| values.iter().cloned().map(Value::into_owned).collect();
    let rows = folded.tables().flat_map(|(rollup, rows)| rows.iter().map(move |row| (rollup.table, row)));
    rows.map(|(table, (key, values))| (table, owned(key), owned(values))).collect()
}

proptest! {
    /// Neither the order of the rows nor the cut into batches matters.
    #[test]
    fn a_fold_is_a_sum(rows in requests(), cut in any::<prop::sample::Index>()) {
        let whole = fold(&rows);
        prop_assert_eq!(flat(&fold(rows.iter().rev())), flat(&whole));
        let cut = cut.index(rows.len() + 1);
        let mut parts = fold(&rows[..cut]);
        for (rollup, more) in fold(&rows[cut..]).tables() {
            for (key, values) in more {
                parts.add(rollup, key.clone(), values.clone());
            }
        }
        prop_assert_eq!(flat(&parts), flat(&whole));
        let messages = rows.iter().map(|row| number(row.messages())).sum::<i64>();
        let premium = rows.iter().filter(|row| row.premium).map(|row| number(row.messages())).sum::<i64>();
        for (table, sums) in whole.tables().filter(|(rollup, _)| rollup.fields().any(|field| field.name == "premium_messages")) {
            let total = |at: usize| sums.values().map(|values| values[at].number()).sum::<i64>();
            let wanted = if table.table == "usage_day_teams" { (0, 0) } else { (messages, premium) };
            prop_assert_eq!((total(0), total(1)), wanted, "{}", table.table);
        }
    }
}

/// What a database answers that has none of these rows, or all of them once before.
fn written(folded: &Folded<'_>, times: i64) -> Vec<Written> {
    let rows = folded.tables().flat_map(|(rollup, rows)| rows.iter().map(move |row| (rollup, row)));
    rows.filter(|(rollup, _)| rollup.then != Then::Nothing)
        .map(|(rollup, (key, values))| Written {
            rollup,
            key: key.iter().cloned().map(Value::into_owned).collect(),
            sum: rollup.first_sum().map_or(1, |at| values[at].number() * times),
        })
        .collect()
}

#[test]
fn only_a_first_message_makes_somebody_active() {
    let rows = [entry("ada"), entry("ada"), entry("ben")];
    let (folded, none) = (fold(&rows), Watched::of([]));
    assert!(folded.after(written(&folded, 2), &none).is_empty());
    let next = folded.after(written(&folded, 1), &none);
    let tables: Vec<_> = next.tables().map(|(rollup, rows)| (rollup.table, rows.len())).collect();
    assert_eq!(tables, [("usage_actives", 2), ("usage_users", 2), ("usage_week_users", 2)]);
    let actives = |folded: &Folded<'_>| {
        let rows = flat(folded).into_iter().filter(|(table, ..)| *table == "usage_actives");
        rows.map(|(_, key, values)| format!("{} {} {}", key[0].text(), key[1].text(), values[0].number()))
            .collect::<Vec<_>>()
    };
    assert_eq!(actives(&next), ["day 2026-11-15 2", "month 2026-11 2"]);
    let last = next.after(written(&next, 1), &none);
    assert_eq!(actives(&last), ["week 2026-11-09 2"]);
    assert!(last.after(written(&last, 1), &none).is_empty());
}

#[test]
fn a_total_tells_the_thresholds_that_it_has_reached() {
    let limit = LimitAlert {
        limit: "messages".to_owned(),
        meter: "messages".to_owned(),
        max: 10,
        permille: vec![100, 300, 1_000],
    };
    let alerts = Some(Alerts { webhooks: vec!["ops".to_owned()], limits: vec![limit] });
    let rows = [Entry { alerts: alerts.clone(), ..entry("ada") }, Entry { alerts, ..entry("ada") }];
    let (folded, watched) = (fold(&rows), Watched::of(&rows));
    let told = |times| {
        let next = folded.after(written(&folded, times), &watched);
        flat(&next).into_iter().filter(|(table, ..)| *table == "webhook_outbox").count()
    };
    assert_eq!((told(1), told(2), told(5)), (1, 2, 3));
    assert!(Watched::of(&[entry("ada")]).is_empty());
}

#[test]
fn amounts_stop_at_the_largest_number() {
    let most = || Entry { tokens: Tokens { input: u64::MAX, ..Tokens::default() }, ..entry("ada") };
    let rows = [most(), most()];
    let folded = fold(&rows);
    let days = flat(&folded).into_iter().find(|(table, ..)| *table == "usage_days").unwrap();
    assert_eq!((days.2[0].number(), days.2[2].number()), (2, 2 * row::AMOUNT_MAX));
    let charged =
        Entry { charges: vec![Charge { amount: u64::MAX, ..rows[0].charges[0].clone() }], ..entry("ada") };
    let charged = [charged.clone(), charged];
    let total = flat(&fold(&charged)).into_iter().find(|(table, ..)| *table == "user_usage").unwrap();
    assert_eq!(total.2[2].number(), i64::MAX);
}
