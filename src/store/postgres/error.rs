//! PostgreSQL's errors in the words of the store, and which of them may pass by themselves: by the class of their
//! SQLSTATE (PostgreSQL manual, appendix A) and by the kind of I/O error.

use std::error::Error as _;
use std::io;

use deadpool_postgres::{HookError, PoolError, TimeoutType};
use tokio_postgres::error::SqlState;

use crate::store::{StoreError, StoreKind};

const STORE: StoreKind = StoreKind::Postgres;

/// Why a piece of work was not done, before it is known what the work was.
#[derive(Debug)]
pub(super) enum Failure {
    /// The driver or the server said so.
    Driver(tokio_postgres::Error),
    /// Something else that may pass by itself.
    Passes(String),
    /// Something else that stays until somebody acts.
    Stays(String),
}

impl Failure {
    /// The error of an operation.
    pub fn during(&self, operation: &'static str) -> StoreError {
        match self {
            Self::Driver(error) if passes(error) => StoreError::transient(STORE, operation, words(error)),
            Self::Driver(error) => StoreError::permanent(STORE, operation, words(error)),
            Self::Passes(message) => StoreError::transient(STORE, operation, message),
            Self::Stays(message) => StoreError::permanent(STORE, operation, message),
        }
    }

    /// Two transactions were in each other's way: the same statement goes through now or soon.
    pub fn is_conflict(&self) -> bool {
        matches!(self.state(), Some(&SqlState::T_R_SERIALIZATION_FAILURE | &SqlState::T_R_DEADLOCK_DETECTED))
    }

    /// The same as a failure that passes: somebody can mend its cause, and then the same call succeeds.
    pub fn passing(self) -> Self {
        match self {
            Self::Driver(error) if passes(&error) => Self::Driver(error),
            Self::Driver(error) => Self::Passes(words(&error)),
            Self::Stays(message) | Self::Passes(message) => Self::Passes(message),
        }
    }

    /// A row's month has no partition.
    pub fn is_partition_missing(&self) -> bool {
        self.state() == Some(&SqlState::CHECK_VIOLATION)
    }

    /// The connection is of no more use: it is broken, or it leads to a server that no longer takes writes.
    pub fn spoils_connection(&self) -> bool {
        match self {
            Self::Driver(error) => error.code().is_none_or(|state| {
                *state == SqlState::READ_ONLY_SQL_TRANSACTION
                    || (*state != SqlState::QUERY_CANCELED
                        && ["08", "57", "58", "XX"].contains(&class(state)))
            }),
            Self::Passes(_) => true,
            Self::Stays(_) => false,
        }
    }

    /// The server's code for it.
    pub fn state(&self) -> Option<&SqlState> {
        match self {
            Self::Driver(error) => error.code(),
            _ => None,
        }
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Driver(error)
    }
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self::Stays(message)
    }
}

impl From<PoolError> for Failure {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => {
                Self::Driver(error)
            }
            PoolError::PostCreateHook(HookError::Message(message)) => Self::Stays(message.into_owned()),
            PoolError::Timeout(TimeoutType::Wait) => Self::Passes("all connections are busy".to_owned()),
            PoolError::Timeout(_) => Self::Passes("the server did not answer in time".to_owned()),
            PoolError::Closed | PoolError::NoRuntimeSpecified => Self::Stays(error.to_string()),
        }
    }
}

/// The error with its causes. Of the server's words only those that repeat no data.
fn words(error: &tokio_postgres::Error) -> String {
    if let Some(server) = error.as_db_error() {
        return format!("{} (SQLSTATE {})", server.message(), server.code().code());
    }
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        words = format!("{words}: {next}");
        cause = next.source();
    }
    words
}

/// May the same call succeed later?
pub(super) fn passes(error: &tokio_postgres::Error) -> bool {
    match error.code() {
        Some(state) => state_passes(state),
        None => error.is_closed() || cause::<io::Error>(error).is_some_and(io_passes) || is_timeout(error),
    }
}

/// Connection (08), rollback (40), resources (53), operator (57), system (58) and internal (XX) errors pass, and so do
/// a lock that was not free, a server that became a standby (fail-over) and one whose log cannot be read yet.
fn state_passes(state: &SqlState) -> bool {
    match *state {
        // The database is being dropped or does not take us: somebody must act.
        SqlState::DATABASE_DROPPED => false,
        SqlState::LOCK_NOT_AVAILABLE
        | SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE
        | SqlState::READ_ONLY_SQL_TRANSACTION
        | SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT => true,
        _ => ["08", "40", "53", "57", "58", "XX"].contains(&class(state)),
    }
}

/// A certificate that is not believed stays so; rustls reports it as invalid data.
fn io_passes(error: &io::Error) -> bool {
    !matches!(
        error.kind(),
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::PermissionDenied
    )
}

fn is_timeout(error: &tokio_postgres::Error) -> bool {
    // The driver gives this kind no other mark.
    error.to_string().starts_with("timeout waiting for server")
}

fn class(state: &SqlState) -> &str {
    state.code().get(..2).unwrap_or_default()
}

fn cause<T: std::error::Error + 'static>(error: &tokio_postgres::Error) -> Option<&T> {
    let mut cause = error.source();
    while let Some(next) = cause {
        if let Some(found) = next.downcast_ref() {
            return Some(found);
        }
        cause = next.source();
    }
    None
}

#[cfg(test)]
mod tests;
