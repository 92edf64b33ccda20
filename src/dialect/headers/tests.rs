//! Which headers pass, and which never do.

use super::{is_client_secret_or_hop, is_upstream_private};

#[test]
fn what_identifies_the_caller_stays_here() {
    for name in [
        "authorization",
        "Authorization",
        "x-api-key",
        "X-Goog-Api-Key",
        "api-key",
        "cookie",
        "proxy-authorization",
        "x-tollgate-task",
        "X_Tollgate_Task",
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-anything",
        "x-real-ip",
        "accept-encoding",
        "expect",
        "connection",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "proxy-connection",
        "x-user-id",
        "x_user_id",
        "x-team-id",
        "x-plan",
        "x-openwebui-user-jwt",
        "x-openwebui-user-email",
        "x-http-method-override",
        "x-goog-fieldmask",
        "x-original-url",
    ] {
        assert!(is_client_secret_or_hop(name), "{name}");
    }
    for name in [
        "content-type",
        "content-length",
        "host",
        "user-agent",
        "accept",
        "anthropic-version",
        "anthropic-beta",
        "anthropic-new-thing",
        "openai-beta",
        "x-stainless-retry-count",
        "x-goog-api-client",
        "idempotency-key",
        "traceparent",
        "x-claude-code-session-id",
        "x-userland",
    ] {
        assert!(!is_client_secret_or_hop(name), "{name}");
    }
}

#[test]
fn what_shows_the_shared_account_stays_here() {
    for name in [
        "set-cookie",
        "Set-Cookie",
        "openai-organization",
        "openai-project",
        "anthropic-organization-id",
        "server",
        "via",
        "x-ratelimit-remaining-requests",
        "anthropic-ratelimit-tokens-limit",
        "ratelimit",
        "ratelimit-policy",
        "cf-ray",
        "cf-cache-status",
        "alt-svc",
        "strict-transport-security",
        "transfer-encoding",
        "connection",
        "x-request-id",
        "x-envoy-upstream-service-time",
    ] {
        assert!(is_upstream_private(name), "{name}");
    }
    for name in [
        "content-type",
        "content-length",
        "content-encoding",
        "date",
        "retry-after",
        "openai-version",
        "openai-model",
        "openai-processing-ms",
        "cache-control",
        "x-should-retry",
        "vary",
    ] {
        assert!(!is_upstream_private(name), "{name}");
    }
}
