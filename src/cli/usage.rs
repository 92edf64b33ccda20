//! `tollgate usage` and `tollgate reset`: what the admin API does, from a shell on the gateway's host.

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use super::client::Call;
use super::{ConfigArg, client, print};

/// Arguments of `usage`.
#[derive(Debug, Args)]
pub struct UsageArgs {
    /// The user's id.
    user: String,
    #[command(flatten)]
    config: ConfigArg,
    /// Print the API's JSON.
    #[arg(long)]
    json: bool,
}

/// Arguments of `reset`.
#[derive(Debug, Args)]
pub struct ResetArgs {
    /// The user's id.
    user: String,
    /// Why; it stands in the audit log.
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    config: ConfigArg,
    /// Print the API's JSON.
    #[arg(long)]
    json: bool,
}

/// Shows usage.
///
/// # Errors
/// See [`client::call`].
pub fn show(args: &UsageArgs) -> Result<()> {
    let usage = client::call(
        &args.config.load()?,
        &usage_call(reqwest::Method::GET, &[("userId", &args.user)], None),
    )?;
    if args.json {
        print::line(usage);
    } else {
        table(&usage);
    }
    Ok(())
}

/// Resets usage.
///
/// # Errors
/// See [`client::call`].
pub fn reset(args: &ResetArgs) -> Result<()> {
    let body = Some(json!({ "reason": args.reason }));
    let answer = client::call(
        &args.config.load()?,
        &usage_call(reqwest::Method::DELETE, &[("userId", &args.user)], body),
    )?;
    if args.json {
        print::line(answer);
    } else {
        print::line(format_args!("reset `{}` at {}", args.user, text(&answer, "/resetAt")));
        table(&answer["usage"]);
    }
    Ok(())
}

fn usage_call<'a>(method: reqwest::Method, query: &'a [(&'a str, &'a str)], body: Option<Value>) -> Call<'a> {
    Call { method, path: "/api/usage", query, body }
}

fn table(usage: &Value) {
    print::line(format_args!("user {}  plan {}", text(usage, "/userId"), text(usage, "/plan")));
    for limit in usage["limits"].as_array().into_iter().flatten() {
        let (used, max, held) = (number(limit, "/used"), number(limit, "/max"), number(limit, "/held"));
        let per = limit["per"].as_str().map_or_else(|| "at once".to_owned(), |per| format!("a {per}"));
        let open = if held > 0 { format!(", {held} in progress") } else { String::new() };
        let resets = limit["resetsAt"].as_str().map(|at| format!(", resets {at}")).unwrap_or_default();
        print::line(format_args!("  {:<12} {used} of {max} {per}{open}{resets}", text(limit, "/name")));
    }
}

/// A text of an answer.
pub fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or("?")
}

/// A number of an answer.
pub fn number(value: &Value, pointer: &str) -> u64 {
    value.pointer(pointer).and_then(Value::as_u64).unwrap_or_default()
}
