//! The addresses of other servers, as the configuration writes them.
//!
//! Owns what such a URL may hold. A refused one is never shown: it may carry a password.

use http::Uri;

use crate::upstream::BaseUrl;

/// Why a text is no usable URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum UrlError {
    #[error("a text that is no URL")]
    NoUrl,
    #[error("a URL with another scheme")]
    Scheme,
    #[error("a URL without host")]
    Host,
    #[error("a URL with a user name")]
    User,
    #[error("a URL with a query or fragment")]
    Query,
}

/// Reads the base URL of an upstream: `http` or `https`, host, port and path, and nothing else.
pub(super) fn base_url(text: &str) -> Result<BaseUrl, UrlError> {
    let url = http_url(text)?;
    if url.query().is_some() {
        return Err(UrlError::Query);
    }
    let tls = url.scheme_str() == Some("https");
    Ok(BaseUrl {
        tls,
        host: host(&url)?.to_owned(),
        port: url.port_u16().unwrap_or(if tls { 443 } else { 80 }),
        path: url.path().trim_end_matches('/').to_owned(),
    })
}

/// Checks an `http` or `https` URL, which may have a query.
pub(super) fn http_url(text: &str) -> Result<Uri, UrlError> {
    // the parser drops a fragment without a word
    if text.contains('#') {
        return Err(UrlError::Query);
    }
    let url: Uri = text.parse().map_err(|_| UrlError::NoUrl)?;
    match url.scheme_str() {
        Some("http" | "https") => {}
        Some(_) => return Err(UrlError::Scheme),
        None => return Err(UrlError::NoUrl),
    }
    let authority = url.authority().ok_or(UrlError::Host)?.as_str();
    if authority.contains('@') {
        return Err(UrlError::User);
    }
    // `host:` and a port out of range both parse as no port
    let port_is_sound =
        url.port_u16().is_some_and(|port| port > 0) || authority == url.host().unwrap_or_default();
    if !port_is_sound {
        return Err(UrlError::NoUrl);
    }
    host(&url)?;
    Ok(url)
}

/// The host, an IPv6 address without its brackets.
fn host(url: &Uri) -> Result<&str, UrlError> {
    let host = url.host().unwrap_or_default();
    let host = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    if host.is_empty() { Err(UrlError::Host) } else { Ok(host) }
}
