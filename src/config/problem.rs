//! What is wrong with a configuration file, and how it is told: where, which key, what was found, what is allowed.
//!
//! Owns the wording of the frame and the order. Must not know what a key means, and never holds the value of a secret.

use std::fmt;
use std::ops::Deref;

/// One mistake in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ConfigProblem {
    /// The file as it was named to the gateway.
    pub file: String,
    /// Line, from 1; `None` if the file as a whole is meant.
    pub line: Option<usize>,
    /// Column in characters, from 1.
    pub column: Option<usize>,
    /// Dotted path with indexes from 0, such as `plans.free.limits[1].max`; empty if no key is meant.
    pub key: String,
    /// What stands there, in quotes if it is a text from the file; of a file that is no TOML, the parser's own words.
    pub found: String,
    /// What could stand there; empty if the file is no TOML.
    pub allowed: String,
    /// What to do.
    pub hint: Option<String>,
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        if self.allowed.is_empty() {
            write!(f, ": {}", self.found)?;
        } else {
            write!(f, ": found {}, allowed: {}", self.found, self.allowed)?;
        }
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "\nhint: {hint}"))
    }
}

/// All mistakes of a configuration and the files it names, by file and line. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(Vec<ConfigProblem>);

impl Problems {
    /// At least one problem, in any order.
    pub(super) fn new(mut all: Vec<ConfigProblem>) -> Self {
        all.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
        Self(all)
    }
}

impl Deref for Problems {
    type Target = [ConfigProblem];

    fn deref(&self) -> &[ConfigProblem] {
        &self.0
    }
}

impl fmt::Display for Problems {
    /// One block a problem, with an empty line between them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let blocks: Vec<String> = self.iter().map(ConfigProblem::to_string).collect();
        f.write_str(&blocks.join("\n\n"))
    }
}

impl std::error::Error for Problems {}
