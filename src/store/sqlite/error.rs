//! SQLite's errors in the words of the store, and which of them may pass by themselves.

use std::path::Path;

use rusqlite::ErrorCode;

use crate::store::{StoreError, StoreKind};

const STORE: StoreKind = StoreKind::Sqlite;

/// Why a piece of work was not done, before it is known what the work was.
#[derive(Debug)]
pub(super) enum SqliteFailure {
    /// SQLite said so.
    Driver(rusqlite::Error),
    /// Something else that may pass by itself.
    Passes(String),
    /// Something else that stays until somebody acts.
    Stays(String),
}

impl SqliteFailure {
    /// The error of an operation.
    pub fn during(self, operation: &'static str) -> StoreError {
        match self {
            Self::Driver(error) if passes(&error) => StoreError::transient(STORE, operation, error),
            Self::Driver(error) => StoreError::permanent(STORE, operation, error),
            Self::Passes(message) => StoreError::transient(STORE, operation, message),
            Self::Stays(message) => StoreError::permanent(STORE, operation, message),
        }
    }

    /// The error of opening a file.
    pub fn at(self, path: &Path) -> StoreError {
        let mut error = self.during("open");
        error.message = format!("`{}`: {}", path.display(), error.message);
        error
    }
}

impl From<rusqlite::Error> for SqliteFailure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Driver(error)
    }
}

impl From<String> for SqliteFailure {
    fn from(message: String) -> Self {
        Self::Stays(message)
    }
}

/// A permanent error.
pub(super) fn permanent(operation: &'static str, message: impl std::fmt::Display) -> StoreError {
    StoreError::permanent(STORE, operation, message)
}

/// A lock is given back, a full disk is cleared, a failing one may be remounted: the batch waits for it.
pub(super) fn passes(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::OutOfMemory
                | ErrorCode::OperationInterrupted
                | ErrorCode::FileLockingProtocolFailed
                | ErrorCode::SchemaChanged
        )
    )
}
