//! `tollgate webhooks`: what is not delivered, and `tollgate webhooks retry`.

use anyhow::Result;
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::json;

use super::client::{ApiArgs, items, number, text};
use super::print;

/// Arguments of `webhooks`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct WebhooksArgs {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    list: ApiArgs,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List what is pending and what was given up, newest first (also without `list`).
    List(ApiArgs),
    /// Send one message, or all that were given up, again at once.
    Retry(RetryArgs),
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
    api: ApiArgs,
}

/// Lists or retries.
///
/// # Errors
/// See [`ApiArgs::ask`].
pub fn run(args: &WebhooksArgs) -> Result<()> {
    match &args.action {
        None => list(&args.list),
        Some(Action::List(api)) => list(api),
        Some(Action::Retry(args)) => retry(args),
    }
}

fn list(api: &ApiArgs) -> Result<()> {
    api.ask(Method::GET, "/api/webhooks", &[], None, |found| {
        for item in items(found, "items") {
            let when = match text(item, "state") {
                "dead" => format!("given up {}", text(item, "deadAt")),
                _ => format!("next try {}", text(item, "nextTryAt")),
            };
            let (id, webhook, kind) = (text(item, "id"), text(item, "webhook"), text(item, "type"));
            let (attempts, error) = (number(item, "attempts"), text(item, "lastError"));
            print::line(format_args!("{id}  {webhook}  {kind}  attempts {attempts}  {when}  {error}"));
        }
        let (pending, dead) = (number(found, "pending"), number(found, "dead"));
        print::line(format_args!("{pending} pending, {dead} given up"));
    })
    .map(drop)
}

fn retry(args: &RetryArgs) -> Result<()> {
    let what = match &args.id {
        Some(id) => json!({ "id": id, "reason": args.reason }),
        None => json!({ "all": true, "reason": args.reason }),
    };
    args.api
        .ask(Method::POST, "/api/webhooks/retry", &[], Some(what), |found| {
            print::line(format_args!("{} will be sent again", number(found, "retried")));
        })
        .map(drop)
}
