//! `tollgate migrate`: creates or upgrades the tables.

use anyhow::Result;
use clap::Args;

use super::{ConfigArg, print};
use crate::app;

/// Arguments of `migrate`.
#[derive(Debug, Args)]
pub struct MigrateArgs {
    #[command(flatten)]
    config: ConfigArg,
}

/// Migrates.
///
/// # Errors
/// A database that cannot be reached or upgraded.
pub fn run(args: &MigrateArgs) -> Result<()> {
    let settings = args.config.load()?;
    app::runtime()?.block_on(app::migrate(&settings))?;
    print::line("the tables are up to date");
    Ok(())
}
