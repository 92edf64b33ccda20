//! Where a test makes a gateway process fail on purpose. Only debug builds have this module, and only what the environment
//! of the process asks for happens; a release build has neither the module nor the calls. It must not know any room.

use std::sync::LazyLock;

/// `TOLLGATE_FAILPOINT_PANIC`: how the ids of requests begin that panic. After it stands the place, between dots.
static PANIC: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("TOLLGATE_FAILPOINT_PANIC").ok());

/// `TOLLGATE_FAILPOINT_SCRIPTS`: a version that Redis's scripts carry as a comment, so that their hashes are others.
static SCRIPTS: LazyLock<String> = LazyLock::new(|| {
    std::env::var("TOLLGATE_FAILPOINT_SCRIPTS")
        .map_or_else(|_| String::new(), |name| format!("\n-- {name}\n"))
});

/// Panics if the request's id is `<TOLLGATE_FAILPOINT_PANIC>.<place>.<anything>`.
///
/// # Panics
/// That is what it is for: what becomes of a hook's panic is what is tested.
pub fn panic_at(place: &str, request_id: &str) {
    let Some(prefix) = PANIC.as_deref() else { return };
    let rest = request_id.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('.'));
    let is_asked_for =
        rest.and_then(|rest| rest.strip_prefix(place)).is_some_and(|rest| rest.starts_with('.'));
    assert!(!is_asked_for, "a test asked for this panic in `{place}`");
}

/// What is written behind each script; empty unless a test asks.
pub fn script_comment() -> &'static str {
    &SCRIPTS
}
