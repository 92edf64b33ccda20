//! `tollgate webhooks`: what is not delivered, and `tollgate webhooks retry`.

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::json;

use super::client::Call;
use super::usage::{number, text};
use super::{ConfigArg, client, print};

/// Arguments of `webhooks`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct WebhooksArgs {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List what is pending and what was given up, newest first (also without `list`).
    List(ListArgs),
    /// Send one message, or all that were given up, again at once.
    Retry(RetryArgs),
}

#[derive(Debug, Args)]
struct ListArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Print the API's JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct RetryArgs {
    /// The message: `msg_…`.
    #[arg(required_unless_present = "all")]
    id: Option<String>,
    /// All that were given up.
    #[arg(long, conflicts_with = "id")]
    all: bool,
    /// Why, for the audit log.
    #[arg(long, default_value = "")]
    reason: String,
    #[command(flatten)]
    config: ConfigArg,
    /// Print the API's JSON.
    #[arg(long)]
    json: bool,
}

/// Lists or retries.
///
/// # Errors
/// See [`client::call`].
pub fn run(args: &WebhooksArgs) -> Result<()> {
    match &args.action {
        None => list(&args.list),
        Some(Action::List(args)) => list(args),
        Some(Action::Retry(args)) => retry(args),
    }
}

fn list(args: &ListArgs) -> Result<()> {
    let call = Call { method: reqwest::Method::GET, path: "/api/webhooks", query: &[], body: None };
    let found = client::call(&args.config.load()?, &call)?;
    if args.json {
        print::line(found);
        return Ok(());
    }
    for item in found["items"].as_array().into_iter().flatten() {
        let when = match text(item, "/state") {
            "dead" => format!("given up {}", text(item, "/deadAt")),
            _ => format!("next try {}", text(item, "/nextTryAt")),
        };
        print::line(format_args!(
            "{}  {}  {}  attempts {}  {when}  {}",
            text(item, "/id"),
            text(item, "/webhook"),
            text(item, "/type"),
            number(item, "/attempts"),
            text(item, "/lastError"),
        ));
    }
    let (pending, dead) = (number(&found, "/pending"), number(&found, "/dead"));
    print::line(format_args!("{pending} pending, {dead} given up"));
    Ok(())
}

fn retry(args: &RetryArgs) -> Result<()> {
    let what = match &args.id {
        Some(id) => json!({ "id": id, "reason": args.reason }),
        None => json!({ "all": true, "reason": args.reason }),
    };
    let call =
        Call { method: reqwest::Method::POST, path: "/api/webhooks/retry", query: &[], body: Some(what) };
    let found = client::call(&args.config.load()?, &call)?;
    if args.json {
        print::line(found);
    } else {
        print::line(format_args!("{} will be sent again", number(&found, "/retried")));
    }
    Ok(())
}
