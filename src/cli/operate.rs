//! `tollgate usage`, `reset`, `explain` and `verify`: what a user has used, why they may or may not send, and whether
//! the counters are right.

use anyhow::{Result, bail};
use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

use super::client::{ApiArgs, items, number, text};
use super::print;

/// Arguments of `usage`.
#[derive(Debug, Args)]
pub struct UsageArgs {
    /// The user's id.
    user: String,
    #[command(flatten)]
    api: ApiArgs,
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
    api: ApiArgs,
}

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The user's id.
    user: String,
    /// The model.
    #[arg(long)]
    model: String,
    #[command(flatten)]
    api: ApiArgs,
}

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Set wrong counters right, where no request is in flight.
    #[arg(long)]
    repair: bool,
    #[command(flatten)]
    api: ApiArgs,
}

/// Shows usage.
///
/// # Errors
/// See [`ApiArgs::ask`].
pub fn usage(args: &UsageArgs) -> Result<()> {
    args.api.ask(Method::GET, "/api/usage", &[("userId", &args.user)], None, usage_table).map(drop)
}

/// Resets usage.
///
/// # Errors
/// See [`ApiArgs::ask`].
pub fn reset(args: &ResetArgs) -> Result<()> {
    let body = Some(json!({ "reason": args.reason }));
    args.api
        .ask(Method::DELETE, "/api/usage", &[("userId", &args.user)], body, |answer| {
            print::line(format_args!("reset `{}` at {}", args.user, text(answer, "resetAt")));
            usage_table(&answer["usage"]);
        })
        .map(drop)
}

fn usage_table(usage: &Value) {
    print::line(format_args!("user {}  plan {}", text(usage, "userId"), text(usage, "plan")));
    for limit in items(usage, "limits") {
        let (used, max, held) = (number(limit, "used"), number(limit, "max"), number(limit, "held"));
        let per = limit["per"].as_str().map_or_else(|| "at once".to_owned(), |per| format!("a {per}"));
        let open = if held > 0 { format!(", {held} in progress") } else { String::new() };
        let resets = limit["resetsAt"].as_str().map(|at| format!(", resets {at}")).unwrap_or_default();
        print::line(format_args!("  {:<12} {used} of {max} {per}{open}{resets}", text(limit, "name")));
    }
}

/// Explains.
///
/// # Errors
/// See [`ApiArgs::ask`].
pub fn explain(args: &ExplainArgs) -> Result<()> {
    let query = [("userId", args.user.as_str()), ("model", args.model.as_str())];
    args.api.ask(Method::GET, "/api/explain", &query, None, |found| {
        let (plan, domain) = (text(found, "plan"), text(found, "domain"));
        print::line(format_args!("user {}  plan {plan}  domain {domain}", args.user));
        let groups: Vec<&str> = items(found, "groups").iter().filter_map(Value::as_str).collect();
        let groups = if groups.is_empty() { "none".to_owned() } else { groups.join(", ") };
        print::line(format_args!("model {}  groups {groups}", args.model));
        for limit in items(found, "limits") {
            let (used, held, max) = (number(limit, "used"), number(limit, "held"), number(limit, "max"));
            let (name, bucket) = (text(limit, "name"), text(limit, "bucket"));
            let (epoch, ledger) = (number(limit, "epoch"), number(limit, "ledgerUsed"));
            print::line(format_args!(
                "  {name:<12} {used} used + {held} held of {max}   {bucket} epoch {epoch}, ledger {ledger}"
            ));
        }
        for hold in items(found, "holds") {
            let (id, end) = (text(hold, "id"), text(hold, "leaseEndsAt"));
            print::line(format_args!("  in flight {id}, lease ends {end}"));
        }
        print::line(text(found, "verdict"));
    }).map(drop)
}

/// Verifies.
///
/// # Errors
/// Differences that are left; see also [`ApiArgs::ask`].
pub fn verify(args: &VerifyArgs) -> Result<()> {
    let query = [("repair", if args.repair { "true" } else { "false" })];
    let found = args.api.ask(Method::POST, "/api/verify", &query, None, |found| {
        let mut count = 0;
        for (what, list) in [("counter", "counters"), ("ledger", "ledger")] {
            for found in items(found, list) {
                count += 1;
                let repaired = if found["repaired"] == Value::Bool(true) { ", repaired" } else { "" };
                let (domain, bucket) = (text(found, "domain"), text(found, "bucket"));
                let (is, should) = (number(found, "found"), number(found, "expected"));
                print::line(format_args!("{what} {domain} {bucket}: {is}, should be {should}{repaired}"));
            }
        }
        let (domains, cold) = (number(found, "domains"), number(found, "cold"));
        let (open, pending) = (number(found, "inFlight"), number(found, "pending"));
        print::line(format_args!(
            "{count} differences in {domains} domains ({cold} not loaded, {open} requests in flight, {pending} records pending)"
        ));
    })?;
    if found["clean"] != Value::Bool(true) {
        bail!(
            "counters and ledger differ\nhint: run it again when no request is in flight; `--repair` sets the counters right"
        );
    }
    Ok(())
}
