//! What can go wrong with the journal, in words an operator can act on. It knows no caller and no HTTP status.

use std::io;
use std::path::PathBuf;

use thiserror::Error;
use uuid::Uuid;

/// The journal did not do what was asked.
#[derive(Debug, Error)]
pub enum JournalError {
    /// Another process holds the lock of this directory.
    #[error("another gateway uses `{}`; give each gateway its own `storage.data_dir`", .0.display())]
    InUse(PathBuf),
    /// The directory is a symbolic link or no directory.
    #[error("`{}` must be a real directory, not a symbolic link or a file", .0.display())]
    NotADirectory(PathBuf),
    /// The directory cannot be created or written.
    #[error("cannot write to `{}`: {source}\nhint: the gateway's user must own `storage.data_dir`", path.display())]
    NotWritable {
        /// The directory.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// A size in [`super::JournalOptions`] is out of range.
    #[error("{0}")]
    Options(String),
    /// No room for one more request together with its end; nothing was written.
    #[error("the journal cannot take one more request: {0}")]
    Full(String),
    /// The entry is larger than a record may be; nothing was written.
    #[error("a journal record of {bytes} bytes is over the bound of {max}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// The request is not open: it was never begun here, or it has ended already.
    #[error("request `{0}` is not open in the journal")]
    NotOpen(Uuid),
    /// The request was begun before and has not ended.
    #[error("request `{0}` is open in the journal already")]
    AlreadyOpen(Uuid),
    /// An entry that cannot be written as JSON.
    #[error("cannot encode a journal entry: {0}")]
    Encode(#[from] serde_json::Error),
    /// The system refused.
    #[error("journal: cannot {operation}: {source}")]
    Io {
        /// What was tried, such as `write a record`.
        operation: &'static str,
        /// The system's words.
        source: io::Error,
    },
}

impl JournalError {
    /// An I/O error of this step.
    pub(super) fn io<E: Into<io::Error>>(operation: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::Io { operation, source: source.into() }
    }
}
