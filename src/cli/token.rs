//! `tollgate token`: a token for trying things out and for scripts.

use std::time::Duration;

use anyhow::{Result, anyhow};
use clap::Args;

use super::config::ConfigArg;
use super::print;
use crate::auth::{TokenRequest, first_with_secret, sign};
use crate::clock::Clock;
use crate::config::Settings;

/// Arguments of `token`.
#[derive(Debug, Args)]
pub struct TokenArgs {
    /// The user's id.
    #[arg(long)]
    user: String,
    /// The plan's name; without it the default plan applies.
    #[arg(long)]
    plan: Option<String>,
    /// The team's id.
    #[arg(long)]
    team: Option<String>,
    /// The role: `admin`.
    #[arg(long)]
    role: Option<String>,
    /// How long it is valid, such as `90s`, `1h`, `30d`.
    #[arg(long, default_value = "1h", value_parser = humantime::parse_duration)]
    ttl: Duration,
    #[command(flatten)]
    config: ConfigArg,
    /// Print `{"token": …}`.
    #[arg(long)]
    json: bool,
}

/// Prints a token.
///
/// # Errors
/// No issuer with a secret, or a plan that is not configured.
pub fn run(args: &TokenArgs) -> Result<()> {
    let settings = args.config.load()?;
    if let Some(plan) = args.plan.as_deref().filter(|plan| !settings.quota.policy.plans.contains_key(*plan)) {
        let known: Vec<&str> = settings.quota.policy.plans.keys().map(AsRef::as_ref).collect();
        return Err(anyhow!("unknown plan `{plan}`\nhint: configured are {}", known.join(", ")));
    }
    let ttl_s = u32::try_from(args.ttl.as_secs()).map_err(|_| anyhow!("`--ttl` is too long"))?;
    let request = TokenRequest {
        user: args.user.clone(),
        plan: args.plan.clone(),
        team: args.team.clone(),
        role: args.role.clone(),
        ttl_s,
    };
    let token = mint(&settings, &request)?;
    if args.json {
        print::line(serde_json::json!({ "token": token, "expiresInSeconds": ttl_s }));
    } else {
        print::line(token);
    }
    Ok(())
}

/// A token of the first issuer that has a secret.
///
/// # Errors
/// There is none.
pub fn mint(settings: &Settings, request: &TokenRequest) -> Result<String> {
    let none = || {
        anyhow!(
            "no issuer has a `secret`, so this command cannot sign a token\nhint: ask the identity provider for one"
        )
    };
    let issuer = first_with_secret(&settings.issuers).ok_or_else(none)?;
    Ok(sign(issuer, request, Clock::system().now_us())?)
}
