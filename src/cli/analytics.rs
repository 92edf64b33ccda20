//! `tollgate analytics`: daily messages, premium share, active users, refusals, errors and latency, from the
//! running gateway.

use anyhow::Result;
use clap::Args;
use reqwest::Method;
use serde_json::Value;

use super::client::{ApiArgs, items, number, text};
use super::print;

/// Arguments of `analytics`.
#[derive(Debug, Args)]
pub struct AnalyticsArgs {
    /// How many days, today included.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=400))]
    days: u32,
    #[command(flatten)]
    api: ApiArgs,
}

/// Lines of each list below the days.
const LIST_MAX: usize = 5;

/// Shows analytics.
///
/// # Errors
/// See [`ApiArgs::ask`].
pub fn show(args: &AnalyticsArgs) -> Result<()> {
    args.api.ask(Method::GET, "/api/analytics", &[("days", &args.days.to_string())], None, table).map(drop)
}

fn table(found: &Value) {
    print::line(
        "date         messages  premium  share   users  refused  errors   p50 ms   p95 ms    tokens in   tokens out        USD",
    );
    for day in items(found, "days") {
        print::line(row(text(day, "date"), day));
    }
    print::line(row("total", &found["totals"]));
    let active = &found["activeUsers"];
    let (day, week, month) = (number(active, "day"), number(active, "week"), number(active, "month"));
    print::line(format_args!("active users: {day} on the last day, {week} in 7 days, {month} in 30 days"));
    for (title, list, name, figure, max) in [
        ("by model", "byModel", "model", "messages", LIST_MAX),
        ("by plan", "byPlan", "plan", "messages", LIST_MAX),
        ("top users", "topUsers", "userId", "messages", LIST_MAX),
        ("top teams", "topTeams", "teamId", "messages", LIST_MAX),
        ("refused", "refusedByReason", "reason", "refused", usize::MAX),
        ("outcomes", "byOutcome", "outcome", "calls", usize::MAX),
    ] {
        let all = items(found, list);
        let one = |item| format!("{} {}", plain(text(item, name)), number(item, figure));
        let shown: Vec<String> = all.iter().take(max).map(one).collect();
        let more = if all.len() > max { format!(", {} more", all.len() - max) } else { String::new() };
        if !shown.is_empty() {
            print::line(format_args!("{title}: {}{more}", shown.join(", ")));
        }
    }
}

fn row(date: &str, day: &Value) -> String {
    let (messages, premium) = (number(day, "messages"), number(day, "premiumMessages"));
    let share =
        (premium * 100).checked_div(messages).map_or_else(|| "–".to_owned(), |share| format!("{share} %"));
    // none where no whole answer came
    let ms = |name: &str| day[name].as_u64().map_or_else(|| "–".to_owned(), |ms| ms.to_string());
    format!(
        "{date:<10} {messages:>10} {premium:>8} {share:>6} {:>7} {:>8} {:>7} {:>8} {:>8} {:>12} {:>12} {:>10.2}",
        number(day, "activeUsers"),
        number(day, "refused"),
        number(day, "errors"),
        ms("p50Ms"),
        ms("p95Ms"),
        number(day, "inputTokens"),
        number(day, "outputTokens"),
        day["costUsd"].as_f64().unwrap_or_default()
    )
}

/// A name that cannot command the terminal.
fn plain(name: &str) -> String {
    name.chars().map(|letter| if letter.is_control() { '\u{FFFD}' } else { letter }).collect()
}

#[cfg(test)]
mod tests;
