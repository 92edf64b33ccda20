//! `tollgate config`: what can be said of the configuration without a file.

use anyhow::Result;
use clap::{Args, Subcommand};

use super::print;
use crate::config;

/// Arguments of `config`.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Print the JSON Schema (draft 2020-12) of the configuration file, for editors.
    Schema,
}

/// Prints what is asked for.
///
/// # Errors
/// None in practice: the schema is always text.
pub fn run(args: &ConfigArgs) -> Result<()> {
    match args.what {
        What::Schema => print::line(serde_json::to_string_pretty(&config::json_schema())?),
    }
    Ok(())
}
