//! What a request asks for: one strict pass over the body, which finds the model, the stream flag and the figures an
//! estimate needs, and refuses whatever two parsers could read differently.
//! It never changes a byte (that is `rewrite`) and does not know which models exist.

use super::ask::{Ask, check_model};
use super::json::{Cursor, Shape};
use super::{Body, Dialect, Endpoint, Route, multipart};
use fault::ScanError;

pub(super) mod fault;
pub(super) mod guard;
#[cfg(test)]
mod tests;

/// Reads a whole request body. `content_type` is the header's value. Bodies with a `Content-Encoding` must be refused
/// before: what is decided on must be what is forwarded.
pub fn scan(route: &Route, content_type: Option<&str>, body: &[u8]) -> Result<Ask, ScanError> {
    let mut ask = match route.endpoint.body() {
        Body::Json => {
            json_content_type(content_type)?;
            scan_json(route, body)?
        }
        Body::Multipart => {
            let content_type = content_type.ok_or(ScanError::ContentType("multipart/form-data"))?;
            multipart::scan(content_type, body)?
        }
        Body::None => return Err(ScanError::NoBody),
    };
    if let Some(model) = &route.model_in_path {
        check_model(model)?;
        if !ask.model.is_empty() && ask.model != *model {
            return Err(ScanError::ModelsDiffer);
        }
        ask.model.clone_from(model);
    }
    if ask.model.is_empty() {
        return Err(ScanError::NoModel);
    }
    if let Some(model) = &route.model_in_query
        && bare(route, model) != ask.model
    {
        return Err(ScanError::ModelsDiffer);
    }
    ask.stream |= route.stream_by_path;
    ask.choices = ask.choices.max(1);
    ask.input_bytes = body.len();
    Ok(ask)
}

/// Gemini bodies write `models/NAME` where paths write `NAME`.
pub(super) fn bare<'a>(route: &Route, model: &'a str) -> &'a str {
    match route.dialect {
        Dialect::Gemini => model.strip_prefix("models/").unwrap_or(model),
        Dialect::OpenAi | Dialect::Anthropic => model,
    }
}

fn json_content_type(value: Option<&str>) -> Result<(), ScanError> {
    let error = ScanError::ContentType("application/json");
    let Some(value) = value else { return Ok(()) };
    let mut parts = value.split(';').map(|part| part.trim().to_ascii_lowercase());
    let media = parts.next().unwrap_or_default();
    if media != "application/json" && !(media.starts_with("application/") && media.ends_with("+json")) {
        return Err(error);
    }
    // another charset would give the upstream another text than the one scanned
    let utf8 = |part: String| match part.split_once('=') {
        Some(("charset", charset)) => matches!(charset.trim_matches('"'), "utf-8" | "utf8" | "us-ascii"),
        _ => !part.starts_with("charset"),
    };
    if parts.all(utf8) { Ok(()) } else { Err(error) }
}

fn scan_json(route: &Route, body: &[u8]) -> Result<Ask, ScanError> {
    if body.starts_with(&[0xEF, 0xBB, 0xBF]) {
        return Err(ScanError::NotJson { at: 0, why: "a byte order mark is not allowed" });
    }
    if let Err(error) = std::str::from_utf8(body) {
        return Err(ScanError::NotJson { at: error.valid_up_to(), why: "it is not UTF-8" });
    }
    let mut cursor = Cursor::new(body);
    if cursor.shape()? != Shape::Object {
        return Err(ScanError::NotObject);
    }
    let mut reader = Reader { route, ask: Ask::default(), seen: 0 };
    // the object holds at least the model, so a comma is right
    let first = cursor.at() + 1;
    reader.ask.spans.usage = (first..first, r#""stream_options":{"include_usage":true},"#);
    cursor.object(|key, value| reader.member(key, value))?;
    cursor.end()?;
    Ok(reader.ask)
}

struct Reader<'r> {
    route: &'r Route,
    ask: Ask,
    /// One bit for each guarded key that was met.
    seen: u64,
}

impl Reader<'_> {
    fn member(&mut self, key: &str, value: &mut Cursor<'_>) -> Result<(), ScanError> {
        let Some((key, bit)) = guard::of(key)? else {
            value.skip()?;
            return Ok(());
        };
        if self.seen & bit != 0 {
            return Err(ScanError::Ambiguous(key));
        }
        self.seen |= bit;
        match key {
            "model" => self.model(value)?,
            "stream" => self.ask.stream = flag(value, key)?.unwrap_or(false),
            "stream_options" => self.stream_options(value)?,
            "n" | "best_of" => {
                let count = whole(value, key)?.unwrap_or(1);
                self.ask.choices = self.ask.choices.max(count);
            }
            "max_tokens" | "max_completion_tokens" | "max_output_tokens" => {
                let bound = whole(value, key)?;
                self.ask.max_output = self.ask.max_output.max(bound);
            }
            "models" | "route" | "provider" | "fallbacks" => {
                if value.shape()? != Shape::Null {
                    return Err(ScanError::ForeignChoice(key));
                }
                value.skip()?;
            }
            "background" => {
                if flag(value, key)? == Some(true) && self.route.endpoint == Endpoint::Responses {
                    let wanted = "false: the gateway serves no call to fetch a background response";
                    return Err(ScanError::Value { key, wanted });
                }
            }
            "generationConfig" if self.route.dialect == Dialect::Gemini => self.generation_config(value)?,
            "requests" if self.route.endpoint == Endpoint::BatchEmbedContents => self.requests(value)?,
            "generateContentRequest" if self.route.endpoint == Endpoint::GeminiCountTokens => {
                self.inner_request(value)?;
            }
            // guarded, but nothing is read from it here
            _ => {
                value.skip()?;
            }
        }
        Ok(())
    }

    fn model(&mut self, value: &mut Cursor<'_>) -> Result<(), ScanError> {
        if value.shape()? != Shape::String {
            return Err(ScanError::Value { key: "model", wanted: "a string" });
        }
        value.blank();
        let start = value.at();
        let text = value.string()?;
        let model = bare(self.route, &text);
        check_model(model)?;
        if !self.ask.model.is_empty() && self.ask.model != model {
            return Err(ScanError::ModelsDiffer);
        }
        model.clone_into(&mut self.ask.model);
        self.ask.spans.models.push(start..value.at());
        Ok(())
    }

    fn stream_options(&mut self, value: &mut Cursor<'_>) -> Result<(), ScanError> {
        self.ask.spans.usage = match value.shape()? {
            Shape::Null => (value.skip()?, r#"{"include_usage":true}"#),
            Shape::Object => {
                let (mut empty, mut include_usage) = (true, None);
                let asked = &mut self.ask.include_usage;
                let span = value.object(|key, inner| {
                    empty = false;
                    if guard::folded(key) != "include_usage" {
                        inner.skip()?;
                        return Ok(());
                    }
                    if key != "include_usage" || include_usage.is_some() {
                        return Err(ScanError::Ambiguous("include_usage"));
                    }
                    inner.blank();
                    let start = inner.at();
                    *asked = flag(inner, "include_usage")?;
                    include_usage = Some(start..inner.at());
                    Ok(())
                })?;
                let first = span.start + 1;
                match include_usage {
                    Some(span) => (span, "true"),
                    None if empty => (first..first, r#""include_usage":true"#),
                    None => (first..first, r#""include_usage":true,"#),
                }
            }
            _ => return Err(ScanError::Value { key: "stream_options", wanted: "an object" }),
        };
        Ok(())
    }

    fn generation_config(&mut self, value: &mut Cursor<'_>) -> Result<(), ScanError> {
        if value.shape()? != Shape::Object {
            value.skip()?;
            return Ok(());
        }
        let (mut bound, mut count) = (None, None);
        value.object(|key, inner| {
            let (name, place) = match guard::folded(key).replace('_', "").as_str() {
                "maxoutputtokens" => ("maxOutputTokens", &mut bound),
                "candidatecount" => ("candidateCount", &mut count),
                _ => {
                    inner.skip()?;
                    return Ok(());
                }
            };
            if place.is_some() {
                return Err(ScanError::Ambiguous(name));
            }
            *place = Some(whole(inner, name)?);
            Ok(())
        })?;
        self.ask.max_output = bound.flatten();
        self.ask.choices = count.flatten().unwrap_or(1);
        Ok(())
    }

    /// `batchEmbedContents` names the model again in each of its requests.
    fn requests(&mut self, value: &mut Cursor<'_>) -> Result<(), ScanError> {
        if value.shape()? != Shape::Array {
            return Err(ScanError::Value { key: "requests", wanted: "an array" });
        }
        value.array(|element| self.inner_request(element))
    }

    fn inner_request(&mut self, value: &mut Cursor<'_>) -> Result<(), ScanError> {
        if value.shape()? != Shape::Object {
            value.skip()?;
            return Ok(());
        }
        let mut seen = false;
        value.object(|key, inner| {
            if guard::folded(key) != "model" {
                inner.skip()?;
                return Ok(());
            }
            if key != "model" || seen {
                return Err(ScanError::Ambiguous("model"));
            }
            seen = true;
            self.model(inner)
        })?;
        Ok(())
    }
}

fn flag(value: &mut Cursor<'_>, key: &'static str) -> Result<Option<bool>, ScanError> {
    let flag = match value.shape()? {
        Shape::True => Some(true),
        Shape::False => Some(false),
        Shape::Null => None,
        _ => return Err(ScanError::Value { key, wanted: "true or false" }),
    };
    value.skip()?;
    Ok(flag)
}

/// A count. `null` and negative numbers (`-1` means "no bound" to several local servers) set no bound. Google's JSON
/// also writes whole numbers as strings.
fn whole(value: &mut Cursor<'_>, key: &'static str) -> Result<Option<u64>, ScanError> {
    let error = ScanError::Value { key, wanted: "a whole number" };
    let digits = match value.shape()? {
        Shape::Null => {
            value.skip()?;
            return Ok(None);
        }
        Shape::Number => value.number()?.to_owned(),
        Shape::String => value.string()?.into_owned(),
        _ => return Err(error),
    };
    match digits.parse::<i64>() {
        Ok(number) => Ok(u64::try_from(number).ok()),
        Err(_) => Err(error),
    }
}
