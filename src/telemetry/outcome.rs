//! The values of the metric label `outcome`: how a request ended.

/// A 2xx answer, whole.
pub const OK: &str = "ok";
/// The client left.
pub const CANCELLED: &str = "cancelled";
/// The upstream failed, or answered with a status that is not 2xx.
pub const UPSTREAM_ERROR: &str = "upstream_error";
/// A limit of an hour or longer is spent.
pub const REFUSED_QUOTA: &str = "refused_quota";
/// A shorter limit is spent.
pub const REFUSED_RATE: &str = "refused_rate";
/// No good credential.
pub const REFUSED_AUTH: &str = "refused_auth";
/// The plan does not include the model, or nobody serves it.
pub const REFUSED_MODEL: &str = "refused_model";
/// The request could not be read.
pub const BAD_REQUEST: &str = "bad_request";
/// The gateway failed.
pub const ERROR: &str = "error";

/// All of them.
pub const ALL: [&str; 9] = [
    OK,
    CANCELLED,
    UPSTREAM_ERROR,
    REFUSED_QUOTA,
    REFUSED_RATE,
    REFUSED_AUTH,
    REFUSED_MODEL,
    BAD_REQUEST,
    ERROR,
];

/// Was the request refused by a rule: quota, rate, credential or model?
pub fn is_refusal(outcome: &str) -> bool {
    matches!(outcome, REFUSED_QUOTA | REFUSED_RATE | REFUSED_AUTH | REFUSED_MODEL)
}
