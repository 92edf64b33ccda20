//! From method and path to the call that is meant, and back to the path an upstream is asked for. Strict: a path that
//! two parsers could read differently is refused, and what goes upstream is built anew from what was understood.
//! It does not know which upstreams or models exist.

use std::borrow::Cow;

use http::{HeaderMap, Method};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::error::{Kind, Problem};
use super::models::list_form;
use super::{Dialect, Endpoint};

#[cfg(test)]
mod tests;

/// A call that was recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The API the caller speaks, in which errors are answered too.
    pub dialect: Dialect,
    /// The call.
    pub endpoint: Endpoint,
    /// The model that the path names (Gemini calls and `GET …/models/{id}`), decoded.
    pub model_in_path: Option<String>,
    /// The model that the query names; [`super::scan`] refuses one that disagrees with the body's.
    pub model_in_query: Option<String>,
    /// Whether the path itself asks for a stream (`:streamGenerateContent`).
    pub stream_by_path: bool,
    /// The query to send upstream, without credentials and without `model`; `None` when nothing is left.
    pub query: Option<String>,
}

/// Why a path under `/v1` or `/v1beta` is not served. Each names the dialect to answer in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// 404: no such call.
    #[error("this path is not served")]
    NotFound {
        /// The dialect to answer in.
        dialect: Dialect,
    },
    /// 405: the call exists with another method.
    #[error("this method is not served here, allowed: {allow}")]
    MethodNotAllowed {
        /// The dialect to answer in.
        dialect: Dialect,
        /// The value of the `allow` header.
        allow: &'static str,
    },
    /// 400: the path or query can be read in more than one way.
    #[error("bad request path: {why}")]
    BadPath {
        /// The dialect to answer in.
        dialect: Dialect,
        /// What is wrong, one short sentence part.
        why: &'static str,
    },
}

impl RouteError {
    /// The dialect to answer in.
    pub fn dialect(&self) -> Dialect {
        match self {
            Self::NotFound { dialect }
            | Self::MethodNotAllowed { dialect, .. }
            | Self::BadPath { dialect, .. } => *dialect,
        }
    }

    /// The answer for the caller.
    pub fn problem(&self) -> Problem {
        let (kind, text) = match self {
            Self::NotFound { .. } => {
                (Kind::UnknownPath, "Unknown path: the gateway serves only the listed API calls.".to_owned())
            }
            Self::MethodNotAllowed { allow, .. } => {
                (Kind::MethodNotAllowed { allow }, format!("Method not allowed. Allowed here: {allow}."))
            }
            Self::BadPath { why, .. } => (Kind::InvalidRequest, format!("Bad request path: {why}.")),
        };
        Problem::new(kind, text)
    }
}

/// Finds the call for a request line. `Ok(None)`: the path is neither under `/v1` nor under `/v1beta`, so it belongs to
/// the gateway's own pages or to nobody; it must never go upstream. `GET` calls take `HEAD` too.
pub fn route(
    method: &Method,
    path_and_query: &str,
    headers: &HeaderMap,
) -> Result<Option<Route>, RouteError> {
    let (raw_path, raw_query) = match path_and_query.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (path_and_query, None),
    };
    let segments = decode_path(raw_path);
    let first = match &segments {
        Ok(segments) => segments.first().map_or("", String::as_str),
        Err(_) => raw_path.trim_start_matches(['/', '\\']).split(['/', '\\', '%', ';']).next().unwrap_or(""),
    };
    let version = match first {
        "v1" => Version::V1,
        "v1beta" => Version::V1Beta,
        _ => return Ok(None),
    };
    let fallback = version.dialect_of_errors(headers);
    let bad = |dialect, why| RouteError::BadPath { dialect, why };
    let segments = segments.map_err(|unread| match unread {
        Unread::Empty => RouteError::NotFound { dialect: fallback },
        Unread::Ambiguous(why) => bad(fallback, why),
    })?;

    let rest: Vec<&str> = segments.iter().skip(1).map(String::as_str).collect();
    let found = find(version, method, &rest, headers)?.ok_or(RouteError::NotFound { dialect: fallback })?;
    let query = Query::read(raw_query.unwrap_or(""), found.dialect).map_err(|why| bad(found.dialect, why))?;
    if let (Some(asked), Some(model)) = (&query.model, &found.model_in_path)
        && asked.strip_prefix("models/").unwrap_or(asked) != model
    {
        return Err(bad(found.dialect, "`model` in the query differs from the model in the path"));
    }
    Ok(Some(Route { model_in_query: query.model, query: query.forward, ..found }))
}

/// The path and query to ask an upstream for. `prefix` replaces `/v1` or `/v1beta` (the configuration's `serves`),
/// `model` is the resolved name: it stands in the path where the call has it there.
pub fn upstream_path(route: &Route, prefix: &str, model: &str) -> String {
    let mut path = prefix.trim_end_matches('/').to_owned();
    match (route.endpoint.fixed_path(), route.endpoint.verb()) {
        (Some(fixed), _) => path.push_str(fixed),
        (None, Some(verb)) => {
            path.push_str("/models/");
            path.extend(utf8_percent_encode(model, SEGMENT));
            path.push(':');
            path.push_str(verb);
        }
        (None, None) => {
            path.push_str("/models/");
            path.extend(utf8_percent_encode(model, SEGMENT));
        }
    }
    if let Some(query) = &route.query {
        path.push('?');
        path.push_str(query);
    }
    path
}

/// The credential that a hand-written Gemini call carries in its query. Only ask for routes of the Gemini dialect.
pub fn query_key(query: &str) -> Option<String> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(name, _)| decode(name, Plus::Space).as_deref() == Some("key"))
        .and_then(|(_, value)| decode(value, Plus::Space))
}

/// What does not stand for itself in a model's name.
const SEGMENT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b':').remove(b'@');

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    V1,
    V1Beta,
}

impl Version {
    fn dialect_of_errors(self, headers: &HeaderMap) -> Dialect {
        match self {
            Self::V1Beta => Dialect::Gemini,
            Self::V1 if headers.contains_key("anthropic-version") => Dialect::Anthropic,
            Self::V1 => Dialect::OpenAi,
        }
    }
}

const GET: &str = "GET, HEAD";
const POST: &str = "POST";

fn find(
    version: Version,
    method: &Method,
    rest: &[&str],
    headers: &HeaderMap,
) -> Result<Option<Route>, RouteError> {
    let plain = |dialect, endpoint| Route {
        dialect,
        endpoint,
        model_in_path: None,
        model_in_query: None,
        stream_by_path: endpoint == Endpoint::StreamGenerateContent,
        query: None,
    };
    let get = *method == Method::GET || *method == Method::HEAD;
    let list = list_form(headers, if version == Version::V1 { "/v1" } else { "/v1beta" });
    let (route, allow) = match rest {
        ["models"] => (plain(list, Endpoint::ModelList), GET),
        ["models", name] if get => {
            (Route { model_in_path: Some((*name).to_owned()), ..plain(list, Endpoint::ModelOne) }, GET)
        }
        ["models", call] => {
            match call.rsplit_once(':').and_then(|(model, verb)| Some((model, of_verb(verb)?))) {
                Some((model, endpoint)) if !model.is_empty() => (
                    Route { model_in_path: Some(model.to_owned()), ..plain(Dialect::Gemini, endpoint) },
                    POST,
                ),
                _ if call.contains(':') => return Err(RouteError::NotFound { dialect: Dialect::Gemini }),
                _ => (plain(list, Endpoint::ModelOne), GET),
            }
        }
        // names like `meta-llama/Llama-3` of OpenAI-style servers
        ["models", name @ ..] if get && version == Version::V1 => {
            (Route { model_in_path: Some(name.join("/")), ..plain(list, Endpoint::ModelOne) }, GET)
        }
        _ if version == Version::V1 => match fixed(rest) {
            Some(endpoint @ (Endpoint::Messages | Endpoint::MessagesCountTokens)) => {
                (plain(Dialect::Anthropic, endpoint), POST)
            }
            Some(endpoint) => (plain(Dialect::OpenAi, endpoint), POST),
            None => return Ok(None),
        },
        _ => return Ok(None),
    };
    if (allow == GET) != get || (allow == POST && *method != Method::POST) {
        return Err(RouteError::MethodNotAllowed { dialect: route.dialect, allow });
    }
    Ok(Some(route))
}

fn of_verb(verb: &str) -> Option<Endpoint> {
    Endpoint::ALL.into_iter().find(|endpoint| endpoint.verb() == Some(verb))
}

fn fixed(rest: &[&str]) -> Option<Endpoint> {
    Endpoint::ALL.into_iter().find(|endpoint| {
        endpoint.fixed_path().is_some_and(|path| path.split('/').skip(1).eq(rest.iter().copied()))
    })
}

/// Why a path names no call.
enum Unread {
    /// A segment is empty: no call has one, whichever way `//` is read.
    Empty,
    /// A second parser could take it for another path; what is ambiguous in it.
    Ambiguous(&'static str),
}

impl From<&'static str> for Unread {
    fn from(why: &'static str) -> Self {
        Self::Ambiguous(why)
    }
}

/// Splits a path and undoes percent-encoding once. Whatever a second parser could take for another path is refused.
fn decode_path(raw: &str) -> Result<Vec<String>, Unread> {
    let inner = raw.strip_prefix('/').ok_or("it does not begin with `/`")?;
    if inner.contains(['\\', ';', '#']) {
        return Err("a backslash, `;` or `#` stands in it".into());
    }
    let mut segments = Vec::new();
    for segment in inner.split('/') {
        let plain = decode(segment, Plus::Plus).ok_or("its percent-encoding is broken")?;
        // a colon may stand for itself; encoded, some servers split at it and some do not
        let hidden = plain.contains(['/', '\\', ';', '%', '?', '#'])
            || plain.matches(':').count() != segment.matches(':').count();
        if hidden {
            return Err("a separator is percent-encoded".into());
        }
        if plain.is_empty() {
            return Err(Unread::Empty);
        }
        // dot segments, and names that some file systems take for their dotless form
        if plain.split(':').any(|part| part.ends_with('.')) {
            return Err("a name ends with a dot".into());
        }
        if !plain.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("a character is neither visible nor ASCII".into());
        }
        segments.push(plain);
    }
    Ok(segments)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Plus {
    Plus,
    Space,
}

/// Undoes percent-encoding once; `None` when it is broken or the result is not UTF-8.
fn decode(text: &str, plus: Plus) -> Option<String> {
    let is_code = |after: &str| after.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    if !text.split('%').skip(1).all(is_code) {
        return None;
    }
    let text = if plus == Plus::Space { text.replace('+', " ") } else { text.to_owned() };
    percent_decode_str(&text).decode_utf8().ok().map(Cow::into_owned)
}

struct Query {
    model: Option<String>,
    forward: Option<String>,
}

impl Query {
    /// What Google calls system parameters are read by name: some carry a credential, some would hide the usage.
    /// <https://cloud.google.com/apis/docs/system-parameters>
    fn read(raw: &str, dialect: Dialect) -> Result<Self, &'static str> {
        let mut model = None;
        let mut forward = String::new();
        for (index, pair) in raw.split('&').enumerate() {
            if index > 0 && pair.is_empty() {
                continue;
            }
            // some servers split at `;` too: nothing that matters may hide behind one
            let hidden = pair.split(';').skip(1).any(|part| {
                matches!(name_of(part).as_deref(), None | Some("model" | "key" | "alt" | "fields"))
            });
            if hidden {
                return Err("`;` in the query hides a parameter");
            }
            let name = name_of(pair).ok_or("its percent-encoding is broken")?;
            let gemini = dialect == Dialect::Gemini;
            match name.as_str() {
                "model" => {
                    let value = pair.split_once('=').map_or("", |(_, value)| value);
                    let value = decode(value, Plus::Space).ok_or("its percent-encoding is broken")?;
                    if model.replace(value).is_some() {
                        return Err("`model` stands twice in the query");
                    }
                    continue;
                }
                "key" | "access_token" | "oauth_token" | "api_key" | "api-key" => continue,
                "alt" | "$alt" if gemini && !pair.ends_with("=sse") && !pair.ends_with("=json") => {
                    return Err("`alt` in the query must be `sse` or `json`");
                }
                "fields" | "callback" if gemini => {
                    return Err("`fields` and `callback` are not served, they hide the usage");
                }
                other if gemini && other.starts_with('$') && other != "$alt" => {
                    return Err("parameters that begin with `$` are not served");
                }
                _ => {}
            }
            if !pair.is_empty() {
                if !forward.is_empty() {
                    forward.push('&');
                }
                forward.push_str(pair);
            }
        }
        Ok(Self { model, forward: (!forward.is_empty()).then_some(forward) })
    }
}

/// A parameter's name as a lenient server would read it.
fn name_of(pair: &str) -> Option<String> {
    let name = pair.split_once('=').map_or(pair, |(name, _)| name);
    decode(name, Plus::Space).map(|name| name.trim().to_ascii_lowercase())
}
