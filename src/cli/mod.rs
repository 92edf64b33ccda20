//! The command: one file a subcommand. Errors go to standard error with exit code 1; wrong usage is 2.

mod analytics;
mod check;
mod client;
mod config;
mod demo;
mod migrate;
mod operate;
mod print;
mod run;
pub mod stub;
mod token;
mod usage;
mod webhooks;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use crate::config::{Settings, load};

/// A reverse-proxy quota gateway for LLM providers.
#[derive(Debug, Parser)]
#[command(name = "tollgate", version, about, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the gateway.
    Run(run::RunArgs),
    /// Start the gateway with a built-in stub model server and ready-made tokens: no key, no file, no server needed.
    Demo(demo::DemoArgs),
    /// Check the configuration, all problems at once.
    Check(check::CheckArgs),
    /// Print the JSON Schema of the configuration, for editors.
    Config(config::ConfigArgs),
    /// Print a token signed with the first issuer that has a secret.
    Token(token::TokenArgs),
    /// Show a user's usage, from the running gateway.
    Usage(usage::UsageArgs),
    /// Reset a user's counters for the running periods, through the running gateway. The ledger keeps its rows.
    Reset(usage::ResetArgs),
    /// Explain whether a user's next message on a model passes, from the running gateway.
    Explain(operate::ExplainArgs),
    /// Compare the counters with the ledger, through the running gateway.
    Verify(operate::VerifyArgs),
    /// Show daily messages, premium share, active users and refusals, from the running gateway.
    Analytics(analytics::AnalyticsArgs),
    /// List the webhooks that are not delivered, or send them again, through the running gateway.
    Webhooks(webhooks::WebhooksArgs),
    /// Create or upgrade the ledger's tables (also done at start unless `storage.migrate = false`).
    Migrate(migrate::MigrateArgs),
}

/// Which configuration.
#[derive(Clone, Debug, Args)]
pub struct ConfigArg {
    /// The configuration file.
    #[arg(short = 'c', long = "config", value_name = "FILE", default_value = "config/tollgate.toml")]
    file: PathBuf,
}

impl ConfigArg {
    /// Reads and checks the file.
    ///
    /// # Errors
    /// All its problems.
    pub fn load(&self) -> Result<Settings> {
        Ok(load(&self.file, &|name| std::env::var(name).ok())?)
    }
}

/// Runs the command line. The only way out of the program.
pub fn main() -> ExitCode {
    // one crypto provider for every TLS user of this process, before any of them starts
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        tracing::debug!("a crypto provider was installed before");
    }
    let outcome = match Cli::parse().command {
        Command::Run(args) => run::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Config(args) => config::run(&args),
        Command::Token(args) => token::run(&args),
        Command::Usage(args) => usage::show(&args),
        Command::Reset(args) => usage::reset(&args),
        Command::Explain(args) => operate::explain(&args),
        Command::Verify(args) => operate::verify(&args),
        Command::Analytics(args) => analytics::show(&args),
        Command::Webhooks(args) => webhooks::run(&args),
        Command::Migrate(args) => migrate::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print::error(&error);
            ExitCode::FAILURE
        }
    }
}
