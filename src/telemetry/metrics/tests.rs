//! Names: registered once, shown, and those that the shipped alerts use.

use super::{Labels, Metrics, outcome};

/// An alert on a metric that is not there never fires.
#[test]
fn every_metric_of_the_shipped_alerts_is_there() {
    let rules = include_str!("../../../deploy/prometheus-rules.yml");
    let (known, mut named) = (include_str!("../metrics.rs"), 0);
    for line in rules.lines().filter(|line| !line.trim_start().starts_with('#')) {
        let words = line.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
        for word in words.filter(|word| word.starts_with("tollgate_")) {
            let name = word.strip_suffix("_bucket").unwrap_or(word);
            assert!(known.contains(&format!("\"{name}\",")), "`{word}` is no metric");
            named += 1;
        }
    }
    assert!(named >= 10, "{named} metrics named");
}

#[test]
fn every_name_is_registered_once_and_shown() {
    let metrics = Metrics::new().unwrap();
    metrics.request(&Labels { dialect: "openai", ..Labels::default() }, outcome::OK);
    let page = metrics.page().unwrap();
    assert!(
        page.contains(
            r#"tollgate_requests_total{dialect="openai",group="",outcome="ok",plan="",upstream=""} 1"#
        ),
        "{page}"
    );
    assert!(page.contains("tollgate_build_info{version="));
}
