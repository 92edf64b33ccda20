//! Waiting for something that must come, with an end: a test that would hang fails and says what it waited for.

use std::time::Duration;

/// The longest that anything here may take. Far above what it takes on a busy machine: it only ends what hangs.
pub const LONGEST: Duration = Duration::from_secs(120);

/// Pause between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Looks until `look` finds something. `complaint` says what is wrong as long as it does not.
pub async fn eventually<T>(complaint: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let found = tokio::time::timeout(LONGEST, async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    });
    found.await.unwrap_or_else(|_| panic!("after {LONGEST:?}: {complaint}"))
}

/// What `future` gives, unless it hangs.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONGEST, future).await.unwrap_or_else(|_| panic!("{what}: not after {LONGEST:?}"))
}
