//! `tollgate run`: the gateway; and `tollgate migrate`: its tables alone.

use anyhow::Result;
use clap::Args;

use super::config::ConfigArg;
use super::print;
use crate::app::{self, App};
use crate::clock::Clock;
use crate::telemetry;

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Moves the gateway's clock forward (for rehearsing a month's turn), such as `2h 30m`.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, hide = true)]
    clock_shift: Option<std::time::Duration>,
}

/// Runs until a signal.
///
/// # Errors
/// Whatever keeps the gateway from starting.
pub fn run(args: &RunArgs) -> Result<()> {
    let settings = args.config.load()?;
    telemetry::init_log();
    let clock = args.clock_shift.map_or_else(Clock::system, Clock::shifted);
    let app = App::new(settings, clock)?.with_reload(args.config.file.clone());
    app::runtime()?.block_on(async { app.run(app::on_signals()?).await })
}

/// Creates or upgrades the tables.
///
/// # Errors
/// A database that cannot be reached or upgraded.
pub fn migrate(config: &ConfigArg) -> Result<()> {
    app::runtime()?.block_on(app::migrate(&config.load()?))?;
    print::line("the tables are up to date");
    Ok(())
}
