//! What the command prints: results to standard output, errors to standard error.

use std::io::Write;

/// Prints a line of the result. A reader that has gone away (`| head`) is no error.
pub fn line(text: impl std::fmt::Display) {
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{text}").and_then(|()| out.flush()).is_err() {
        tracing::debug!("nobody reads the output");
    }
}

/// Prints an error with its causes.
pub fn error(error: &anyhow::Error) {
    let mut out = std::io::stderr().lock();
    let mut text = format!("error: {error}");
    for cause in error.chain().skip(1) {
        text.push_str(&format!("\ncaused by: {cause}"));
    }
    if writeln!(out, "{text}").is_err() {
        tracing::debug!("nobody reads the errors");
    }
}
