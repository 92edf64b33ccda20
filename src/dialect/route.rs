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

/// Why a path under `/v1` or `/v1beta` is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteError {
    /// The dialect to answer in.
    pub dialect: Dialect,
    /// No such call, another method, or a path or query that can be read in more than one way.
    pub kind: Kind,
    /// What is ambiguous, one short sentence part.
    why: &'static str,
}

impl RouteError {
    /// The answer for the caller.
    pub fn problem(&self) -> Problem {
        let text = match self.kind {
            Kind::UnknownPath => "Unknown path: the gateway serves only the listed API calls.".to_owned(),
            Kind::MethodNotAllowed { allow } => format!("Method not allowed. Allowed here: {allow}."),
            _ => format!("Bad request path: {}.", self.why),
        };
        Problem::new(self.kind, text)
    }
}

/// Finds the call for a request line. `Ok(None)`: the path is neither under `/v1` nor under `/v1beta`, so it belongs to
/// the gateway's own pages or to nobody; it must never go upstream. `GET` calls take `HEAD` too.
pub fn route(
    method: &Method,
    path_and_query: &str,
    headers: &HeaderMap,
) -> Result<Option<Route>, RouteError> {
    let (raw_path, raw_query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    let segments = decode_path(raw_path);
    let version = match &segments {
        Ok(segments) => segments.first().map_or("", String::as_str),
        Err(_) => raw_path.trim_start_matches(['/', '\\']).split(['/', '\\', '%', ';']).next().unwrap_or(""),
    };
    let dialect = match version {
        "v1beta" => Dialect::Gemini,
        "v1" if headers.contains_key("anthropic-version") => Dialect::Anthropic,
        "v1" => Dialect::OpenAi,
        _ => return Ok(None),
    };
    let is_v1 = version == "v1";
    let segments = segments.map_err(|unread| match unread {
        Unread::Empty => RouteError { dialect, kind: Kind::UnknownPath, why: "" },
        Unread::Ambiguous(why) => RouteError { dialect, kind: Kind::InvalidRequest, why },
    })?;
    let rest: Vec<&str> = segments.iter().skip(1).map(String::as_str).collect();
    let unknown = RouteError { dialect, kind: Kind::UnknownPath, why: "" };
    let found = find(is_v1, method, &rest, headers)?.ok_or(unknown)?;
    let bad = |why| RouteError { dialect: found.dialect, kind: Kind::InvalidRequest, why };
    let (model, query) = read_query(raw_query, found.dialect).map_err(bad)?;
    if let (Some(asked), Some(model)) = (&model, &found.model_in_path)
        && asked.strip_prefix("models/").unwrap_or(asked) != model
    {
        return Err(bad("`model` in the query differs from the model in the path"));
    }
    Ok(Some(Route { model_in_query: model, query, ..found }))
}

/// The path and query to ask an upstream for. `prefix` replaces `/v1` or `/v1beta` (the configuration's `serves`),
/// `model` is the resolved name: it stands in the path where the call has it there.
pub fn upstream_path(route: &Route, prefix: &str, model: &str) -> String {
    let mut path = prefix.trim_end_matches('/').to_owned();
    let end = route.endpoint.path_end();
    if !end.starts_with('/') {
        path.push_str("/models/");
        path.extend(utf8_percent_encode(model, SEGMENT));
    }
    path.push_str(end);
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

fn find(
    is_v1: bool,
    method: &Method,
    rest: &[&str],
    headers: &HeaderMap,
) -> Result<Option<Route>, RouteError> {
    let get = *method == Method::GET || *method == Method::HEAD;
    let list = list_form(headers, if is_v1 { "/v1" } else { "/v1beta" });
    let (dialect, endpoint, model_in_path) = match rest {
        ["models"] => (list, Endpoint::ModelList, None),
        ["models", name] if get => (list, Endpoint::ModelOne, Some((*name).to_owned())),
        ["models", call] => match call.rsplit_once(':') {
            None => (list, Endpoint::ModelOne, None),
            Some((model, verb)) => match of_verb(verb).filter(|_| !model.is_empty()) {
                Some(endpoint) => (Dialect::Gemini, endpoint, Some(model.to_owned())),
                None => {
                    return Err(RouteError { dialect: Dialect::Gemini, kind: Kind::UnknownPath, why: "" });
                }
            },
        },
        // names like `meta-llama/Llama-3` of OpenAI-style servers
        ["models", name @ ..] if get && is_v1 => (list, Endpoint::ModelOne, Some(name.join("/"))),
        _ => match fixed(rest).filter(|_| is_v1) {
            Some(endpoint @ (Endpoint::Messages | Endpoint::MessagesCountTokens)) => {
                (Dialect::Anthropic, endpoint, None)
            }
            Some(endpoint) => (Dialect::OpenAi, endpoint, None),
            None => return Ok(None),
        },
    };
    let (allow, allowed) =
        if endpoint.answered_here() { ("GET, HEAD", get) } else { ("POST", *method == Method::POST) };
    if !allowed {
        return Err(RouteError { dialect, kind: Kind::MethodNotAllowed { allow }, why: "" });
    }
    let stream_by_path = endpoint == Endpoint::StreamGenerateContent;
    Ok(Some(Route { dialect, endpoint, model_in_path, model_in_query: None, stream_by_path, query: None }))
}

fn of_verb(verb: &str) -> Option<Endpoint> {
    Endpoint::all().find(|endpoint| endpoint.path_end().strip_prefix(':') == Some(verb))
}

fn fixed(rest: &[&str]) -> Option<Endpoint> {
    Endpoint::all().find(|endpoint| {
        let end = endpoint.path_end().strip_prefix('/');
        end.is_some_and(|path| path.split('/').eq(rest.iter().copied()))
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

/// The model that a query names, and the query to send upstream.
///
/// What Google calls system parameters are read by name: some carry a credential, some would hide the usage.
/// <https://cloud.google.com/apis/docs/system-parameters>
fn read_query(raw: &str, dialect: Dialect) -> Result<(Option<String>, Option<String>), &'static str> {
    let mut model = None;
    let mut forward = String::new();
    for (index, pair) in raw.split('&').enumerate() {
        if index > 0 && pair.is_empty() {
            continue;
        }
        // some servers split at `;` too: nothing that matters may hide behind one
        let hidden = pair
            .split(';')
            .skip(1)
            .any(|part| matches!(name_of(part).as_deref(), None | Some("model" | "key" | "alt" | "fields")));
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
    Ok((model, (!forward.is_empty()).then_some(forward)))
}
/// A parameter's name as a lenient server would read it.
fn name_of(pair: &str) -> Option<String> {
    let name = pair.split_once('=').map_or(pair, |(name, _)| name);
    decode(name, Plus::Space).map(|name| name.trim().to_ascii_lowercase())
}
