//! Routing by table.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::upstream::BaseUrl;

/// An upstream for tests.
pub fn upstream(name: &str, models: &[&str], serves: &[(&str, &str)]) -> UpstreamSettings {
    let base_url = BaseUrl { tls: true, host: "example.org".to_owned(), port: 443, path: "/base".to_owned() };
    let models = models.iter().map(|text| Pattern::new(text)).collect();
    let serves = serves.iter().map(|(d, p)| ((*d).to_owned(), (*p).to_owned())).collect::<BTreeMap<_, _>>();
    UpstreamSettings::new(name, base_url, models, serves)
}

fn ranked(name: &str, weight: u32, priority: u32) -> UpstreamSettings {
    UpstreamSettings { weight, priority, ..upstream(name, &["m-*"], &[("openai", "/v1")]) }
}

fn names(table: &UpstreamTable, turn: u64) -> Vec<String> {
    let candidates = table.candidates("openai", "m-1", turn).unwrap();
    candidates.iter().map(|chosen| chosen.upstream.name.clone()).collect()
}

#[test]
fn the_most_exact_pattern_wins() {
    let table = UpstreamTable::new(vec![
        upstream("all", &["*"], &[("openai", "/v1")]),
        upstream("gpt", &["gpt-*"], &[("openai", "/v1")]),
        upstream("mine", &["gpt-4o"], &[("openai", "/x")]),
        upstream("gemini", &["gemini-*"], &[("gemini", "/v1beta"), ("openai", "/v1beta/openai")]),
    ]);
    let name = |dialect, model: &str| {
        let candidates = table.candidates(dialect, model, 0)?;
        let [only] = candidates.as_slice() else { panic!("{candidates:?}") };
        Ok((only.upstream.name.clone(), only.prefix.clone()))
    };
    assert_eq!(name("openai", "gpt-4o"), Ok(("mine".into(), "/base/x".into())));
    assert_eq!(name("openai", "gpt-5"), Ok(("gpt".into(), "/base/v1".into())));
    assert_eq!(name("openai", "other"), Ok(("all".into(), "/base/v1".into())));
    assert_eq!(name("openai", "gemini-2.0-flash"), Ok(("gemini".into(), "/base/v1beta/openai".into())));
    assert_eq!(name("gemini", "gemini-2.0-flash"), Ok(("gemini".into(), "/base/v1beta".into())));
    assert_eq!(
        name("gemini", "gpt-4o"),
        Err(NoUpstream::OtherDialect { model: "gpt-4o".into(), dialect: "gemini" })
    );
    let few = UpstreamTable::new(vec![upstream("a", &["llama-*"], &[("openai", "/v1")])]);
    assert_eq!(few.candidates("openai", "gpt-4", 0).unwrap_err(), NoUpstream::UnknownModel("gpt-4".into()));
    assert!(few.serves("llama-3") && !few.serves("gpt-4"));
}

#[test]
fn lower_priorities_come_first_whatever_the_turn() {
    let table = UpstreamTable::new(vec![ranked("last", 1000, 2), ranked("a", 1, 0), ranked("mid", 1000, 1)]);
    for turn in 0..100 {
        assert_eq!(names(&table, turn), ["a", "mid", "last"]);
    }
}

#[test]
fn weights_share_the_first_place_and_the_second() {
    let table = UpstreamTable::new(vec![ranked("a", 6, 0), ranked("b", 3, 0), ranked("c", 1, 0)]);
    let (mut first, mut second) = (BTreeMap::new(), BTreeMap::new());
    for turn in 0..10_000 {
        let names = names(&table, turn);
        assert_eq!(names.len(), 3);
        *first.entry(names[0].clone()).or_insert(0u32) += 1;
        if names[0] == "a" {
            *second.entry(names[1].clone()).or_insert(0u32) += 1;
        }
    }
    // 6000, 3000, 1000; of a's 6000 the rest is shared 3 to 1; the sequence is fixed, so the bounds cannot flicker
    assert!(first["a"].abs_diff(6_000) < 200 && first["b"].abs_diff(3_000) < 200, "{first:?}");
    assert!(first["c"].abs_diff(1_000) < 150, "{first:?}");
    assert!(second["b"].abs_diff(4_500) < 200, "{second:?}");
}

proptest! {
    /// The order depends on the turn alone, and holds each candidate once, priorities rising.
    #[test]
    fn an_order_is_a_permutation(
        ranks in prop::collection::vec((1..1_000u32, 0..3u32), 1..8), turn: u64,
    ) {
        let settings: Vec<_> =
            ranks.iter().enumerate().map(|(at, (weight, priority))| ranked(&at.to_string(), *weight, *priority)).collect();
        let table = UpstreamTable::new(settings);
        let order = names(&table, turn);
        prop_assert_eq!(&order, &names(&table, turn));
        let places: Vec<usize> = order.iter().map(|name| name.parse().unwrap()).collect();
        prop_assert!(places.is_sorted_by_key(|at| ranks[*at].1));
        let mut all = places;
        all.sort_unstable();
        prop_assert_eq!(all, (0..ranks.len()).collect::<Vec<_>>());
    }
}

#[test]
fn aliases_resolve_once_and_fallbacks_are_found_without_regard_to_case() {
    let aliases = BTreeMap::from([("Fast".to_owned(), "gemini-2.0-flash".to_owned())]);
    let fallbacks = BTreeMap::from([("gpt-4o".to_owned(), vec!["gpt-4o-mini".to_owned()])]);
    let table = UpstreamTable::default().with_aliases(&aliases).with_fallbacks(&fallbacks);
    assert_eq!(table.resolve("FAST"), "gemini-2.0-flash");
    assert_eq!(table.resolve("gpt-4o"), "gpt-4o");
    assert_eq!(table.fallbacks("GPT-4o"), ["gpt-4o-mini"]);
    assert!(table.fallbacks("gpt-4o-mini").is_empty());
    let mut named: Vec<_> = table.literal_models().collect();
    named.sort_unstable();
    assert_eq!(named, ["fast", "gemini-2.0-flash", "gpt-4o-mini"]);
}
