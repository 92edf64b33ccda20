//! The lines of the table.

use serde_json::json;

use super::{plain, row};

#[test]
fn a_row_shows_figures_and_the_premium_share() {
    let day = json!({
        "messages": 40, "premiumMessages": 10, "activeUsers": 7, "refused": 3, "errors": 2, "p50Ms": 1187, "p95Ms": 24350,
        "inputTokens": 1200, "outputTokens": 340, "costUsd": 1.239,
    });
    let expected = "2026-11-24         40       10   25 %       7        3       2     1187    24350         1200          340       1.24";
    assert_eq!(row("2026-11-24", &day), expected);
    let none =
        row("2026-11-25", &json!({ "messages": 0, "premiumMessages": 0, "p50Ms": null, "p95Ms": null }));
    assert_eq!(none.matches('–').count(), 3, "{none}");
    assert_eq!(none.chars().count(), expected.chars().count());
}

#[test]
fn a_hostile_name_cannot_command_the_terminal() {
    assert_eq!(plain("ada\u{1b}[2J\n"), "ada\u{FFFD}[2J\u{FFFD}");
}
