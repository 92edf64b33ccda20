//! Which configuration file a command reads, and `tollgate config`: what can be said of the configuration without one.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};

use super::print;
use crate::config::{Settings, json_schema, load};

/// Which configuration.
#[derive(Clone, Debug, Args)]
pub struct ConfigArg {
    /// The configuration file.
    #[arg(short = 'c', long = "config", value_name = "FILE", default_value = "config/tollgate.toml")]
    pub file: PathBuf,
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

/// What `tollgate config` prints.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print the JSON Schema (draft 2020-12) of the configuration file, for editors.
    Schema,
}

/// Prints what is asked for.
///
/// # Errors
/// None in practice: the schema is always text.
pub fn run(command: &ConfigCommand) -> Result<()> {
    match command {
        ConfigCommand::Schema => print::line(serde_json::to_string_pretty(&json_schema())?),
    }
    Ok(())
}
