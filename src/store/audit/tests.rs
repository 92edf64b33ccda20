//! What the chain must show.

use super::*;

fn chain(count: i64) -> Vec<AuditRecord> {
    let mut records: Vec<AuditRecord> = vec![];
    for at_ms in 0..count {
        let audit =
            Audit { actor: "root", action: "usage.reset", subject: "ada", reason: "asked", detail: "{}" };
        let last = records.last().map(|record| (record.seq, record.hash.clone()));
        records.push(AuditRecord::next(last, at_ms, &audit));
    }
    records
}

#[test]
fn a_whole_chain_holds_also_in_pages() {
    let records = chain(5);
    assert_eq!(first_broken(None, &records), None);
    assert_eq!(first_broken(None, &[]), None);
    assert_eq!(first_broken(Some(&records[1]), &records[2..]), None);
}

#[test]
fn every_change_shows() {
    let changes: [fn(&mut AuditRecord); 8] = [
        |record| record.at_ms += 1,
        |record| record.actor.push('x'),
        |record| record.action.clear(),
        |record| record.subject = "ben".into(),
        |record| record.reason.push(' '),
        |record| record.detail = "{ }".into(),
        |record| record.prev_hash[0] ^= 1,
        |record| record.hash[31] ^= 1,
    ];
    for (at, change) in changes.iter().enumerate() {
        let mut records = chain(3);
        change(&mut records[1]);
        assert_eq!(first_broken(None, &records), Some(2), "change {at}");
    }
}

#[test]
fn text_moved_between_fields_shows() {
    let mut records = chain(1);
    records[0].actor = "rootusage.".into();
    records[0].action = "reset".into();
    assert_eq!(first_broken(None, &records), Some(1));
}

#[test]
fn a_missing_or_swapped_record_shows() {
    let mut missing = chain(4);
    missing.remove(1);
    assert_eq!(first_broken(None, &missing), Some(3));
    let mut swapped = chain(4);
    swapped.swap(1, 2);
    assert_eq!(first_broken(None, &swapped), Some(3));
    assert_eq!(first_broken(None, &chain(3)[1..]), Some(2));
}
