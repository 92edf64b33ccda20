//! A folder for one test's files. Goes with the test, unless the test failed: then it stays and is named.

use std::path::{Path, PathBuf};

use tollgate::clock::Clock;

/// A temporary folder.
pub struct Folder(PathBuf);

impl Folder {
    /// A new, empty one.
    pub fn new() -> Self {
        let name = format!("tollgate-it-{}", Clock::system().request_id().simple());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the test's files are in `{}`", self.0.display());
        } else if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("`{}` was not removed: {error}", self.0.display());
        }
    }
}
