//! The names of the gateway's own headers, and which headers stop at the gateway, in either direction. Everything else
//! passes unchanged, so that new headers of the APIs work on the day they appear.
//! The `Connection` header's own list of names is per message; the proxy reads it.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::LazyLock;

use http::HeaderName;

#[cfg(test)]
mod tests;

/// Traces a request; taken from the client if it is well-formed.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Says that another model answered than the one asked for, and which.
pub const MODEL_FALLBACK: HeaderName = HeaderName::from_static("x-tollgate-model-fallback");
/// How long the gateway and the upstream took (W3C Server Timing).
pub const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Never goes upstream: the caller's credentials and cookies, hop-by-hop headers (RFC 9110 §7.6.1), addresses, what
/// names the person, what would override the method, and the encodings that would hide usage.
pub fn is_client_secret_or_hop(name: &str) -> bool {
    let name = plain(name);
    HOP.contains(&*name) || CLIENT.contains(&*name) || begins_with(&name, CLIENT_PREFIXES)
}

/// Never comes back: what shows the shared account, its limits, or the machines behind the gateway.
pub fn is_upstream_private(name: &str) -> bool {
    let name = plain(name);
    HOP.contains(&*name) || UPSTREAM.contains(&*name) || begins_with(&name, UPSTREAM_PREFIXES)
}

/// Some servers read `x_user_id` and `x-user-id` as one name.
fn plain(name: &str) -> Cow<'_, str> {
    if name.bytes().any(|byte| byte == b'_' || byte.is_ascii_uppercase()) {
        return name.to_ascii_lowercase().replace('_', "-").into();
    }
    name.into()
}

fn begins_with(name: &str, prefixes: &[&str]) -> bool {
    prefixes.iter().flat_map(|line| line.split(' ')).any(|prefix| name.starts_with(prefix))
}

type Names = LazyLock<HashSet<&'static str>>;

fn names(lines: &[&'static str]) -> HashSet<&'static str> {
    lines.iter().flat_map(|line| line.split(' ')).collect()
}

static HOP: Names = LazyLock::new(|| {
    names(&[
        "connection keep-alive proxy-connection proxy-authenticate",
        "te trailer transfer-encoding upgrade http2-settings",
    ])
});

static CLIENT: Names = LazyLock::new(|| {
    names(&[
        "authorization x-api-key x-goog-api-key api-key cookie proxy-authorization x-auth-token x-access-token",
        "openai-organization openai-project x-goog-user-project x-goog-fieldmask",
        "forwarded x-real-ip x-client-ip true-client-ip via",
        "x-original-url x-original-uri x-rewrite-url x-http-method x-http-method-override x-method-override",
        "accept-encoding expect origin referer",
        "x-user x-user-id x-user-email x-user-name x-user-role x-team x-team-id x-plan x-role x-email",
    ])
});

const CLIENT_PREFIXES: &[&str] = &[
    "x-tollgate- x-tg- x-forwarded- x-openwebui- x-librechat-",
    "x-auth-request- x-authenticated- x-remote- remote- x-amzn-oidc- x-goog-iap- x-goog-authenticated-",
    "cf- sec- x-envoy-",
];

static UPSTREAM: Names = LazyLock::new(|| {
    names(&[
        "set-cookie set-cookie2 openai-organization openai-project anthropic-organization-id ratelimit",
        "server server-timing via x-powered-by x-served-by x-cache x-backend x-upstream alt-svc",
        "strict-transport-security nel report-to reporting-endpoints x-request-id request-id www-authenticate",
        "access-control-allow-origin access-control-allow-credentials access-control-expose-headers",
    ])
});

/// The second line speaks of the shared key's limits.
const UPSTREAM_PREFIXES: &[&str] = &[
    "cf- x-envoy- x-tollgate- x-litellm- x-goog- x-amz-",
    "ratelimit- x-ratelimit x-rate-limit rate-limit anthropic-ratelimit- anthropic-priority-",
];
