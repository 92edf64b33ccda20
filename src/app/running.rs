//! Whether the last run on this data folder ended in order: a file stands as long as settles may be under way.
//! It must not know what follows from that.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The mark of a run.
pub(super) struct Running(PathBuf);

impl Running {
    /// Sets the mark. Returns whether it stood already: the last run was killed, or left settles behind.
    pub fn mark(data_dir: &Path) -> Result<(Self, bool)> {
        let path = data_dir.join("running");
        let stood = path.try_exists().with_context(|| format!("cannot look for `{}`", path.display()))?;
        std::fs::write(&path, "").with_context(|| format!("cannot write `{}`", path.display()))?;
        Ok((Self(path), stood))
    }

    /// All is settled: takes the mark away.
    pub fn clear(self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::warn!(%error, path = %self.0.display(), "the mark of this run is left; the next start loads counters anew");
        }
    }
}
