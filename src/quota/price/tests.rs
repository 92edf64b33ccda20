//! Prices and costs.

use proptest::prelude::*;

use super::*;

const PRICE: Price = Price { input: 2_500_000, output: 10_000_000, cached: 1_250_000 };

fn line(models: &[&str], input: u64, valid_from_ms: i64) -> PriceLine {
    let price = Price { input, output: 0, cached: 0 };
    PriceLine { models: models.iter().map(|text| Pattern::new(text)).collect(), price, valid_from_ms }
}

#[test]
fn the_cost_is_exact_and_rounded_half_up() {
    assert_eq!(PRICE.cost_micro_usd(1_000_000, 0, 0), 2_500_000);
    assert_eq!(PRICE.cost_micro_usd(1_000_000, 1_000_000, 400_000), 1_500_000 + 500_000 + 10_000_000);
    let half = Price { input: 500_000, output: 0, cached: 0 };
    assert_eq!([1, 2, 3].map(|tokens| half.cost_micro_usd(tokens, 0, 0)), [1, 1, 2]);
    let below = Price { input: 499_999, ..half };
    assert_eq!(below.cost_micro_usd(1, 0, 0), 0);
    assert_eq!(PRICE.cost_micro_usd(0, 0, 0), 0);
    // more cached than input is a report that cannot be: the input counts once
    assert_eq!(PRICE.cost_micro_usd(10, 0, 99), PRICE.cost_micro_usd(10, 0, 10));
    let dear = Price { input: u64::MAX, output: u64::MAX, cached: u64::MAX };
    assert_eq!(dear.cost_micro_usd(u64::MAX, u64::MAX, u64::MAX), u64::MAX);
    assert_eq!(PRICE.to_string(), "2500000/10000000/1250000");
}

proptest! {
    #[test]
    fn rounding_is_off_by_half_a_millionth_at_most(
        input in 0..10_000_000u64, output in 0..10_000_000u64, share in 0..=100u64,
        price in (0..100_000_000u64, 0..100_000_000u64, 0..100_000_000u64),
    ) {
        let price = Price { input: price.0, output: price.1, cached: price.2 };
        let cached = input * share / 100;
        let exact = i128::from(input - cached) * i128::from(price.input)
            + i128::from(cached) * i128::from(price.cached)
            + i128::from(output) * i128::from(price.output);
        let off = i128::from(price.cost_micro_usd(input, output, cached)) * 1_000_000 - exact;
        prop_assert!((-499_999..=500_000).contains(&off), "{off}");
    }
}

#[test]
fn the_best_pattern_and_the_latest_day_decide() {
    let list = PriceList {
        lines: vec![
            line(&["gpt-*"], 1, i64::MIN),
            line(&["gpt-4o", "gpt-4.1"], 2, 100),
            line(&["gpt-4o"], 3, 200),
            line(&["gpt-4o-*"], 4, i64::MIN),
        ],
        default: None,
    };
    let input = |model, at| list.price_of(model, at).price().map(|price| price.input);
    assert_eq!(input("gpt-4o", 50), Some(1), "the exact lines are not in force yet");
    assert_eq!(input("GPT-4o", 100), Some(2));
    assert_eq!(input("gpt-4o", 199), Some(2));
    assert_eq!(input("gpt-4o", 200), Some(3));
    assert_eq!(input("gpt-4.1", 900), Some(2));
    assert_eq!(input("gpt-4o-mini", 900), Some(4));
    assert_eq!(list.price_of("claude-3-opus", 900), Priced::Unknown);
    let with_default = PriceList { default: Some(PRICE), ..list };
    assert_eq!(with_default.price_of("claude-3-opus", 900), Priced::Default(PRICE));
}
