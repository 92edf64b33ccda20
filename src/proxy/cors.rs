//! Browsers on other origins (Fetch standard, CORS protocol): only those that `server.cors_origins` names.
//!
//! A preflight is answered here and never goes upstream. Credentials are tokens in headers, never cookies, so
//! `access-control-allow-credentials` is not sent.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, Method};
use pingora::Result;
use pingora::http::ResponseHeader;

/// Headers that scripts may read.
const EXPOSED: &str = "x-request-id, ratelimit, ratelimit-policy, retry-after, retry-after-ms, x-should-retry, server-timing, \
                       x-ratelimit-limit-requests, x-ratelimit-remaining-requests, x-ratelimit-reset-requests, \
                       anthropic-ratelimit-requests-limit, anthropic-ratelimit-requests-remaining, \
                       anthropic-ratelimit-requests-reset";

/// How long a browser may keep the answer to a preflight, in seconds; Chromium keeps none longer.
const MAX_AGE_S: u32 = 7_200;

/// The origin of this request, if it is one of the allowed. `*` among them allows every origin.
pub fn allowed_origin(headers: &HeaderMap, allowed: &[String]) -> Option<String> {
    let origin = headers.get(ORIGIN)?.to_str().ok()?;
    allowed.iter().any(|entry| entry == "*" || entry == origin).then(|| origin.to_owned())
}

/// Is this a preflight?
pub fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    *method == Method::OPTIONS
        && headers.contains_key(ORIGIN)
        && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer to a preflight: 204 with what is allowed, or 403 for an origin that is not.
///
/// # Errors
/// A header that cannot be written.
pub fn preflight(origin: Option<&str>, request: &HeaderMap) -> Result<ResponseHeader> {
    let Some(origin) = origin else {
        let mut header = ResponseHeader::build(403, Some(2))?;
        header.insert_header(http::header::CONTENT_LENGTH, 0)?;
        header.insert_header(VARY, "origin")?;
        return Ok(header);
    };
    let mut header = ResponseHeader::build(204, Some(6))?;
    allow(&mut header, origin)?;
    header.insert_header(ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, PUT, DELETE, HEAD, OPTIONS")?;
    // SDKs send headers of their own and new ones with each release: what is asked for is allowed
    if let Some(asked) = request.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        header.insert_header(ACCESS_CONTROL_ALLOW_HEADERS, asked)?;
    }
    header.insert_header(ACCESS_CONTROL_MAX_AGE, MAX_AGE_S)?;
    Ok(header)
}

/// Lets scripts of the origin read the answer.
///
/// # Errors
/// A header that cannot be written.
pub fn allow(header: &mut ResponseHeader, origin: &str) -> Result<()> {
    header.insert_header(ACCESS_CONTROL_ALLOW_ORIGIN, origin)?;
    header.insert_header(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED)?;
    header.append_header(VARY, "origin")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn only_named_origins_are_allowed_and_whole() {
        let allowed = vec!["https://chat.example".to_owned()];
        for (origin, expected) in [
            ("https://chat.example", true),
            ("https://chat.example.evil", false),
            ("http://chat.example", false),
            ("null", false),
        ] {
            let found = allowed_origin(&headers(&[("origin", origin)]), &allowed);
            assert_eq!(found.is_some(), expected, "{origin}");
        }
        assert_eq!(allowed_origin(&headers(&[]), &allowed), None);
        assert_eq!(
            allowed_origin(&headers(&[("origin", "https://a")]), &["*".to_owned()]).as_deref(),
            Some("https://a")
        );
    }

    #[test]
    fn a_preflight_says_what_is_allowed() {
        let request = headers(&[
            ("origin", "https://chat.example"),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "authorization, x-stainless-os"),
        ]);
        assert!(is_preflight(&Method::OPTIONS, &request));
        assert!(!is_preflight(&Method::OPTIONS, &headers(&[("origin", "https://chat.example")])));
        let yes = preflight(Some("https://chat.example"), &request).unwrap();
        assert_eq!(yes.status.as_u16(), 204);
        assert_eq!(yes.headers[ACCESS_CONTROL_ALLOW_ORIGIN], "https://chat.example");
        assert_eq!(yes.headers[ACCESS_CONTROL_ALLOW_HEADERS], "authorization, x-stainless-os");
        let no = preflight(None, &request).unwrap();
        assert_eq!(no.status.as_u16(), 403);
        assert!(!no.headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
    }
}
