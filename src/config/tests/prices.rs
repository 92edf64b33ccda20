//! `[prices]` and the list it names.

use std::path::Path;

use super::{SOUND, settings, told};
use crate::config::example;
use crate::quota::{Price, Priced};

/// 2026-11-24, a day on which all shipped lines are in force.
const TODAY_MS: i64 = 1_795_478_400_000;

/// The sound configuration with a list of prices of its own.
fn with_list(name: &str, list: &str, more: &str) -> (String, String) {
    let file = std::env::temp_dir().join(format!("tollgate-prices-{}-{name}.toml", std::process::id()));
    std::fs::write(&file, list).unwrap();
    let file = file.display().to_string();
    (format!("{SOUND}\n[prices]\nfile = \"{file}\"\n{more}"), file)
}

#[test]
fn the_shipped_list_names_the_models_of_the_mission_and_applies_without_a_key() {
    let prices = settings(SOUND).prices;
    let of = |model| prices.price_of(model, TODAY_MS);
    let price = |input, output, cached| Priced::Listed(Price { input, output, cached });
    assert_eq!(of("gpt-4o"), price(2_500_000, 10_000_000, 1_250_000));
    assert_eq!(of("gpt-4o-mini"), price(150_000, 600_000, 75_000));
    assert_eq!(of("claude-3-opus-20240229"), price(15_000_000, 75_000_000, 1_500_000));
    assert_eq!(of("gemini-2.0-flash"), price(100_000, 400_000, 25_000));
    assert_eq!(of("gemini-2.0-flash-lite"), price(75_000, 300_000, 75_000));
    for model in
        ["claude-3.5-sonnet", "claude-3-haiku", "claude-3.7-sonnet", "claude-sonnet-4", "claude-opus-4"]
    {
        assert!(matches!(of(model), Priced::Listed(_)), "{model}");
    }
    assert_eq!(of("llama3.2:1b"), Priced::Unknown);
    // before its price was lowered
    assert_eq!(prices.price_of("gpt-4o", 1_720_000_000_000), price(5_000_000, 15_000_000, 5_000_000));
    let shipped = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/prices.toml"));
    let (text, _) = with_list("shipped", &shipped.unwrap(), "");
    assert_eq!(settings(&text).prices, prices);
    let secret = |name: &str| (name == "TOLLGATE_JWT_SECRET").then(|| super::JWT_SECRET.to_owned());
    assert_eq!(crate::config::parse(example(), "e", &secret).unwrap().prices, prices);
}

#[test]
fn a_list_of_ones_own_replaces_it() {
    let list = "[[prices]]\nmodels = [\"m-*\"]\ninput = 1\noutput = 2.5\nvalid_from = \"2026-01-31\"\n";
    let (text, _) = with_list("own", list, "default = { input = 0.1, output = 0.000001, cached = 0 }\n");
    let prices = settings(&text).prices;
    let day_ms = 1_769_817_600_000;
    let listed = Price { input: 1_000_000, output: 2_500_000, cached: 1_000_000 };
    let default = Price { input: 100_000, output: 1, cached: 0 };
    assert_eq!(prices.price_of("m-1", day_ms), Priced::Listed(listed));
    assert_eq!(prices.price_of("m-1", day_ms - 1), Priced::Default(default));
    assert_eq!(prices.price_of("gpt-4o", day_ms), Priced::Default(default));
}

#[test]
fn what_is_wrong_in_a_list_is_told_with_its_own_file_and_line() {
    const ALLOWED: &str = "allowed: US dollars per million tokens, 0 to 100000";
    let list = "\
[[prices]]
models = [\"a\", \"b\"]
input = -1
output = inf
cached = nan

[[prices]]
models = [\"A\"]
output = \"1\"
valid_from = 2026-02-30x
";
    let (text, file) = with_list("syntax", list, "");
    assert!(told(&text).starts_with(&format!("{file}:10: invalid TOML: ")), "{}", told(&text));
    let (text, file) = with_list("wrong", &list.replace("2026-02-30x", "\"2026-02-30\""), "defualt = 1\n");
    let line = SOUND.lines().count() + 4;
    assert_eq!(
        told(&text),
        format!(
            "{file}:3: prices[0].input: found -1, {ALLOWED}\n\n\
             {file}:4: prices[0].output: found inf, {ALLOWED}\n\n\
             {file}:5: prices[0].cached: found NaN, {ALLOWED}\n\n\
             {file}:7: prices[1].input: found nothing, {ALLOWED}\n\n\
             {file}:9: prices[1].output: found a string, {ALLOWED}\n\n\
             {file}:10: prices[1].valid_from: found \"2026-02-30\", allowed: a day such as 2026-01-31\n\n\
             t.toml:{line}: prices.defualt: found an unknown key, allowed: file, default\n\
             hint: did you mean `default`?"
        )
    );
    let twice = "[[prices]]\nmodels = [\"a\"]\ninput = 1\noutput = 1\n".repeat(2).replacen(
        "\"a\"",
        "\"a\", \"b\"",
        1,
    );
    let (text, file) = with_list("twice", &twice.replacen("[\"a\"]", "[\"A\"]", 1), "");
    assert_eq!(
        told(&text),
        format!(
            "{file}:6: prices[1].models[0]: found \"A\" again with the same `valid_from`, allowed: one price for a model and a day"
        )
    );
}

#[test]
fn a_list_that_is_not_there_is_told_where_it_is_named() {
    let text = format!(
        "{SOUND}\n[prices]\nfile = \"/nowhere/prices.toml\"\ndefault = {{ input = 100001, output = 1 }}\n"
    );
    let line = SOUND.lines().count() + 3;
    assert_eq!(
        told(&text),
        format!(
            "t.toml:{line}: prices.file: found \"/nowhere/prices.toml\": no such file, allowed: a readable TOML file\n\
             hint: copy the shipped `config/prices.toml`, or remove the key to use the list that is built in\n\n\
             t.toml:{}: prices.default.input: found 100001, allowed: US dollars per million tokens, 0 to 100000",
            line + 1
        )
    );
    // an empty name, as from a variable that is not set, is no name
    let text = format!("{SOUND}\n[prices]\nfile = \"${{NO_SUCH_VARIABLE:-}}\"\n");
    assert_eq!(settings(&text).prices, settings(SOUND).prices);
}
