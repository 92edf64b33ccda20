//! `tollgate explain` and `tollgate verify`: why a user may or may not send, and whether the counters are right.

use anyhow::{Result, bail};
use clap::Args;
use serde_json::Value;

use super::client::Call;
use super::usage::{number, text};
use super::{ConfigArg, client, print};

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The user's id.
    user: String,
    /// The model.
    #[arg(long)]
    model: String,
    #[command(flatten)]
    config: ConfigArg,
    /// Print the API's JSON.
    #[arg(long)]
    json: bool,
}

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Set wrong counters right, where no request is in flight.
    #[arg(long)]
    repair: bool,
    #[command(flatten)]
    config: ConfigArg,
    /// Print the API's JSON.
    #[arg(long)]
    json: bool,
}

/// Explains.
///
/// # Errors
/// See [`client::call`].
pub fn explain(args: &ExplainArgs) -> Result<()> {
    let query = [("userId", args.user.as_str()), ("model", args.model.as_str())];
    let found = client::call(
        &args.config.load()?,
        &Call { method: reqwest::Method::GET, path: "/api/explain", query: &query, body: None },
    )?;
    if args.json {
        print::line(found);
        return Ok(());
    }
    let groups: Vec<&str> =
        found["groups"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    print::line(format_args!(
        "user {}  plan {}  domain {}",
        args.user,
        text(&found, "/plan"),
        text(&found, "/domain")
    ));
    print::line(format_args!(
        "model {}  groups {}",
        args.model,
        if groups.is_empty() { "none".to_owned() } else { groups.join(", ") }
    ));
    for limit in found["limits"].as_array().into_iter().flatten() {
        let (used, held, max) = (number(limit, "/used"), number(limit, "/held"), number(limit, "/max"));
        let (bucket, ledger) = (text(limit, "/bucket"), number(limit, "/ledgerUsed"));
        print::line(format_args!(
            "  {:<12} {used} used + {held} held of {max}   {bucket} epoch {}, ledger {ledger}",
            text(limit, "/name"),
            number(limit, "/epoch")
        ));
    }
    for hold in found["holds"].as_array().into_iter().flatten() {
        print::line(format_args!(
            "  in flight {}, lease ends {}",
            text(hold, "/id"),
            text(hold, "/leaseEndsAt")
        ));
    }
    print::line(text(&found, "/verdict"));
    Ok(())
}

/// Verifies.
///
/// # Errors
/// Differences that are left; see also [`client::call`].
pub fn verify(args: &VerifyArgs) -> Result<()> {
    let repair = if args.repair { "true" } else { "false" };
    let call =
        Call { method: reqwest::Method::POST, path: "/api/verify", query: &[("repair", repair)], body: None };
    let found = client::call(&args.config.load()?, &call)?;
    let counters = found["counters"].as_array().cloned().unwrap_or_default();
    let ledger = found["ledger"].as_array().cloned().unwrap_or_default();
    if args.json {
        print::line(&found);
    } else {
        for (what, differences) in [("counter", &counters), ("ledger", &ledger)] {
            for found in differences {
                let repaired = if found["repaired"] == Value::Bool(true) { ", repaired" } else { "" };
                let (is, should) = (number(found, "/found"), number(found, "/expected"));
                print::line(format_args!(
                    "{what} {} {}: {is}, should be {should}{repaired}",
                    text(found, "/domain"),
                    text(found, "/bucket")
                ));
            }
        }
        let (domains, cold, open) =
            (number(&found, "/domains"), number(&found, "/cold"), number(&found, "/inFlight"));
        let count = counters.len() + ledger.len();
        print::line(format_args!(
            "{count} differences in {domains} domains ({cold} not loaded, {open} requests in flight, {} records pending)",
            number(&found, "/pending")
        ));
    }
    if found["clean"] != Value::Bool(true) {
        bail!(
            "counters and ledger differ\nhint: run it again when no request is in flight; `--repair` sets the counters right"
        );
    }
    Ok(())
}
