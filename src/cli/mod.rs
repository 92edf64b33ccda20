//! The command: one file a subcommand. Errors go to standard error with exit code 1; wrong usage is 2.

mod analytics;
mod check;
mod client;
mod config;
mod demo;
mod operate;
mod print;
mod run;
pub mod stub;
mod token;
mod webhooks;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Print a token signed with the first issuer that has a secret.
    Token(token::TokenArgs),
    /// Show a user's usage, from the running gateway.
    Usage(operate::UsageArgs),
    /// Reset a user's counters for the running periods, through the running gateway. The ledger keeps its rows.
    Reset(operate::ResetArgs),
    /// Explain whether a user's next message on a model passes, from the running gateway.
    Explain(operate::ExplainArgs),
    /// Compare the counters with the ledger, through the running gateway.
    Verify(operate::VerifyArgs),
    /// Show daily messages, premium share, active users and refusals, from the running gateway.
    Analytics(analytics::AnalyticsArgs),
    /// List the webhooks that are not delivered, or send them again, through the running gateway.
    Webhooks(webhooks::WebhooksArgs),
    /// Create or upgrade the ledger's tables (also done at start unless `storage.migrate = false`).
    Migrate(config::ConfigArg),
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
        Command::Config(command) => config::run(&command),
        Command::Token(args) => token::run(&args),
        Command::Usage(args) => operate::usage(&args),
        Command::Reset(args) => operate::reset(&args),
        Command::Explain(args) => operate::explain(&args),
        Command::Verify(args) => operate::verify(&args),
        Command::Analytics(args) => analytics::show(&args),
        Command::Webhooks(args) => webhooks::run(&args),
        Command::Migrate(config) => run::migrate(&config),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print::error(&error);
            ExitCode::FAILURE
        }
    }
}
