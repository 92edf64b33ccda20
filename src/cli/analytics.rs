//! `tollgate analytics`: daily messages, premium share, active users, refusals, errors and latency, from the
//! running gateway.

use anyhow::Result;
use clap::Args;
use serde_json::Value;

use super::client::Call;
use super::usage::{number, text};
use super::{ConfigArg, client, print};

/// Arguments of `analytics`.
#[derive(Debug, Args)]
pub struct AnalyticsArgs {
    /// How many days, today included.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=400))]
    days: u32,
    #[command(flatten)]
    config: ConfigArg,
    /// Print the API's JSON.
    #[arg(long)]
    json: bool,
}

/// Lines of each list below the days.
const LIST_MAX: usize = 5;

/// Shows analytics.
///
/// # Errors
/// See [`client::call`].
pub fn show(args: &AnalyticsArgs) -> Result<()> {
    let days = args.days.to_string();
    let query = [("days", days.as_str())];
    let call = Call { method: reqwest::Method::GET, path: "/api/analytics", query: &query, body: None };
    let found = client::call(&args.config.load()?, &call)?;
    if args.json {
        print::line(found);
    } else {
        table(&found);
    }
    Ok(())
}

fn table(found: &Value) {
    print::line(
        "date         messages  premium  share   users  refused  errors   p50 ms   p95 ms    tokens in   tokens out        USD",
    );
    for day in found["days"].as_array().into_iter().flatten() {
        print::line(row(text(day, "/date"), day));
    }
    print::line(row("total", &found["totals"]));
    let active = &found["activeUsers"];
    print::line(format_args!(
        "active users: {} on the last day, {} in 7 days, {} in 30 days",
        number(active, "/day"),
        number(active, "/week"),
        number(active, "/month")
    ));
    for (title, list, name) in [
        ("by model", "byModel", "/model"),
        ("by plan", "byPlan", "/plan"),
        ("top users", "topUsers", "/userId"),
        ("top teams", "topTeams", "/teamId"),
    ] {
        let items = found[list].as_array().map(Vec::as_slice).unwrap_or_default();
        let shown = items.iter().take(LIST_MAX);
        let shown = shown.map(|item| format!("{} {}", plain(text(item, name)), number(item, "/messages")));
        line(title, &shown.collect::<Vec<_>>(), items.len());
    }
    for (title, list, name, figure) in [
        ("refused", "refusedByReason", "/reason", "/refused"),
        ("outcomes", "byOutcome", "/outcome", "/calls"),
    ] {
        let items = found[list].as_array().map(Vec::as_slice).unwrap_or_default();
        let shown = items.iter().map(|item| format!("{} {}", text(item, name), number(item, figure)));
        line(title, &shown.collect::<Vec<_>>(), items.len());
    }
}

fn line(title: &str, shown: &[String], of: usize) {
    if shown.is_empty() {
        return;
    }
    let more = if of > shown.len() { format!(", {} more", of - shown.len()) } else { String::new() };
    print::line(format_args!("{title}: {}{more}", shown.join(", ")));
}

fn row(date: &str, day: &Value) -> String {
    let (messages, premium) = (number(day, "/messages"), number(day, "/premiumMessages"));
    let share =
        (premium * 100).checked_div(messages).map_or_else(|| "–".to_owned(), |share| format!("{share} %"));
    // none where no whole answer came
    let ms = |name: &str| day[name].as_u64().map_or_else(|| "–".to_owned(), |ms| ms.to_string());
    format!(
        "{date:<10} {messages:>10} {premium:>8} {share:>6} {:>7} {:>8} {:>7} {:>8} {:>8} {:>12} {:>12} {:>10.2}",
        number(day, "/activeUsers"),
        number(day, "/refused"),
        number(day, "/errors"),
        ms("p50Ms"),
        ms("p95Ms"),
        number(day, "/inputTokens"),
        number(day, "/outputTokens"),
        day["costUsd"].as_f64().unwrap_or_default()
    )
}

/// A name that cannot command the terminal.
fn plain(name: &str) -> String {
    name.chars().map(|letter| if letter.is_control() { '\u{FFFD}' } else { letter }).collect()
}

#[cfg(test)]
mod tests;
