//! The request as it goes upstream: its path rebuilt, the caller's credentials gone, our key in their place.

use http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, HOST, HeaderName, TRANSFER_ENCODING};
use pingora::http::RequestHeader;
use pingora::{Error, ErrorType, OrErr, Result};

use super::context::Forward;
use super::patience::Patience;
use crate::clock::Stopwatch;
use crate::dialect::{Dialect, is_client_secret_or_hop, upstream_path};

/// Writes the request that the upstream gets.
///
/// # Errors
/// A path or a key that is no valid header: answered with 500.
pub fn prepare(request: &mut RequestHeader, forward: &mut Forward) -> Result<()> {
    let attempts = &forward.attempts;
    let upstream = &attempts.chosen.upstream;
    let path = upstream_path(&forward.route, &attempts.chosen.prefix, &attempts.model);
    let uri =
        path.parse::<http::Uri>().or_err(ErrorType::InternalError, "the upstream's path is not valid")?;
    request.set_uri(uri);
    let private: Vec<HeaderName> = {
        let names = request.headers.keys().filter(|name| is_client_secret_or_hop(name.as_str()));
        names.cloned().collect()
    };
    for name in private.iter().chain(&forward.config.private_headers) {
        request.remove_header(name);
    }
    request.remove_header(&TRANSFER_ENCODING);
    request.insert_header(CONTENT_LENGTH, forward.body_bytes)?;
    request.insert_header(HOST, upstream.base_url.authority())?;
    // usage is read from the answer, so it must come as it is
    request.insert_header(ACCEPT_ENCODING, "identity")?;
    if let Some(key) = &upstream.api_key {
        let (name, value) = credential(forward.route.dialect, key);
        request.insert_header(name, value)?;
    }
    forward.sent = Some(Stopwatch::start());
    let patience =
        Patience { first_byte_ms: upstream.first_byte_timeout_ms, idle_ms: upstream.idle_timeout_ms };
    forward.handover.silence.begins(patience);
    Ok(())
}

/// Where each API wants the key.
fn credential(dialect: Dialect, key: &str) -> (HeaderName, String) {
    match dialect {
        Dialect::OpenAi => (AUTHORIZATION, format!("Bearer {key}")),
        Dialect::Anthropic => (HeaderName::from_static("x-api-key"), key.to_owned()),
        Dialect::Gemini => (HeaderName::from_static("x-goog-api-key"), key.to_owned()),
    }
}

/// The error of a phase that runs without the context it needs: a mistake of ours.
#[expect(clippy::unnecessary_box_returns, reason = "Pingora's results hold boxed errors")]
pub fn out_of_order(phase: &'static str) -> Box<Error> {
    Error::explain(ErrorType::InternalError, format!("`{phase}` came before the request was admitted"))
}
