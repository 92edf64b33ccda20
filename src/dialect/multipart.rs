//! The strict reader of `multipart/form-data` bodies (RFC 7578, RFC 2046): finds the `model` and `stream` parts and
//! leaves files untouched. Whatever one server may take for a part and another not is refused.
//! It knows no call; which ones carry such bodies is `endpoint`'s matter.

use std::ops::Range;

use memchr::memmem;

use super::ask::{Ask, check_model};
use super::scan::fault::ScanError;
use super::scan::guard::folded;

#[cfg(test)]
mod tests;

/// More parts than any audio call has fields.
const MAX_PARTS: usize = 128;
/// Room for a long file name; real part headers take about 150 bytes.
const MAX_PART_HEADER_BYTES: usize = 8 * 1024;
/// RFC 2046 §5.1.1.
const MAX_BOUNDARY_BYTES: usize = 70;

pub(super) fn scan(content_type: &str, body: &[u8]) -> Result<Ask, ScanError> {
    let delimiter = format!("--{}", boundary(content_type)?);
    let mut ask = Ask::default();
    let mut stream_seen = false;
    for part in parts(body, delimiter.as_bytes())? {
        let Head { name, file, plain, content } = head(body, part)?;
        let key = match folded(&name).as_str() {
            "model" => "model",
            "stream" => "stream",
            "_charset_" => return bad("a `_charset_` part is not served"),
            _ => continue,
        };
        let seen = if key == "model" { !ask.model.is_empty() } else { stream_seen };
        if name != key || seen {
            return Err(ScanError::Ambiguous(key));
        }
        if file || !plain {
            return bad("`model` and `stream` must be plain text parts");
        }
        let Ok(text) = std::str::from_utf8(&body[content.clone()]) else {
            return bad("`model` and `stream` must be plain text parts");
        };
        if key == "model" {
            check_model(text)?;
            text.clone_into(&mut ask.model);
            ask.spans.models.push(content);
        } else {
            stream_seen = true;
            ask.stream = match text {
                "true" | "True" | "1" => true,
                "false" | "False" | "0" | "" => false,
                _ => return Err(ScanError::Value { key: "stream", wanted: "true or false" }),
            };
        }
    }
    Ok(ask)
}

fn bad<T>(why: &'static str) -> Result<T, ScanError> {
    Err(ScanError::Multipart(why))
}

fn boundary(content_type: &str) -> Result<&str, ScanError> {
    let mut parts = content_type.split(';').map(str::trim);
    if !parts.next().unwrap_or_default().eq_ignore_ascii_case("multipart/form-data") {
        return Err(ScanError::ContentType("multipart/form-data"));
    }
    let mut found = None;
    for (name, value) in parts.filter_map(|part| part.split_once('=')) {
        if name.trim().eq_ignore_ascii_case("boundary") && found.replace(value.trim()).is_some() {
            return bad("`boundary` stands twice");
        }
    }
    let Some(value) = found else { return bad("`boundary` is missing") };
    let value = value.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')).unwrap_or(value);
    let fits = (1..=MAX_BOUNDARY_BYTES).contains(&value.len())
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"'()+_,-./:=?".contains(&byte));
    if fits { Ok(value) } else { bad("`boundary` is not valid") }
}

/// The spans of all parts, headers included. Every place where the delimiter's text occurs must be a delimiter.
fn parts(body: &[u8], delimiter: &[u8]) -> Result<Vec<Range<usize>>, ScanError> {
    if !body.starts_with(delimiter) {
        return bad("it does not begin with the boundary");
    }
    let mut parts = Vec::new();
    let mut at = delimiter.len();
    loop {
        let rest = &body[at..];
        if rest.starts_with(b"--") {
            let tail = &rest[2..];
            let clean = tail.is_empty() || tail == b"\r\n";
            return if clean { Ok(parts) } else { bad("bytes follow the last boundary") };
        }
        if !rest.starts_with(b"\r\n") {
            return bad("a boundary is not followed by a line end");
        }
        let start = at + 2;
        // the line end before a boundary belongs to it; one right after the opening line leaves an empty part
        let Some(next) = memmem::find(&body[start..], delimiter) else {
            return bad("the last boundary is missing");
        };
        let end = start + next;
        if end < start + 2 || &body[end - 2..end] != b"\r\n" {
            return bad("the boundary's text stands inside a part");
        }
        parts.push(start..end - 2);
        if parts.len() > MAX_PARTS {
            return bad("it has too many parts");
        }
        at = end + delimiter.len();
    }
}

struct Head {
    name: String,
    /// Whether it carries a file name.
    file: bool,
    /// Whether its value is text as it stands.
    plain: bool,
    content: Range<usize>,
}

fn head(body: &[u8], part: Range<usize>) -> Result<Head, ScanError> {
    let bytes = &body[part.clone()];
    let window = &bytes[..bytes.len().min(MAX_PART_HEADER_BYTES)];
    let Some(length) = memmem::find(window, b"\r\n\r\n") else {
        return bad("a part's headers do not end");
    };
    let Ok(text) = std::str::from_utf8(&window[..length]) else {
        return bad("a part's headers are not UTF-8");
    };
    let (mut disposition, mut plain) = (None, true);
    for line in text.split("\r\n") {
        if line.contains(['\r', '\n', '\0']) || line.starts_with([' ', '\t']) {
            return bad("a part's header line is not valid");
        }
        let Some((field, value)) = line.split_once(':') else {
            return bad("a part's header line is not valid");
        };
        let value = value.trim();
        match field.to_ascii_lowercase().as_str() {
            "content-disposition" if disposition.is_some() => {
                return bad("a part has two `Content-Disposition` headers");
            }
            "content-disposition" => disposition = Some(value),
            "content-type" => {
                let value = value.to_ascii_lowercase();
                plain &= matches!(
                    value.replace(' ', "").as_str(),
                    "text/plain" | "text/plain;charset=utf-8" | "text/plain;charset=\"utf-8\""
                );
            }
            "content-transfer-encoding" => {
                plain &= matches!(value.to_ascii_lowercase().as_str(), "7bit" | "8bit" | "binary");
            }
            _ => {}
        }
    }
    let Some(disposition) = disposition else { return bad("a part has no `Content-Disposition`") };
    let (name, file) = disposition_of(disposition)?;
    Ok(Head { name, file, plain, content: part.start + length + 4..part.end })
}

/// The part's name, and whether it has a file name.
fn disposition_of(value: &str) -> Result<(String, bool), ScanError> {
    let (kind, mut rest) = value.split_once(';').unwrap_or((value, ""));
    if !kind.trim().eq_ignore_ascii_case("form-data") {
        return bad("a part is not `form-data`");
    }
    let (mut name, mut file) = (None, false);
    while !rest.trim().is_empty() {
        let Some((key, after)) = rest.split_once('=') else { return bad("a part's name is not valid") };
        let (value, tail) = quoted_or_token(after.trim_start())?;
        match key.trim().to_ascii_lowercase().as_str() {
            "name" if name.is_some() => return bad("a part has two names"),
            "name" => name = Some(value),
            "name*" => return bad("an encoded part name is not served"),
            "filename" | "filename*" => file = true,
            _ => {}
        }
        rest = match tail.trim_start() {
            "" => "",
            tail => match tail.strip_prefix(';') {
                Some(tail) => tail,
                None => return bad("a part's name is not valid"),
            },
        };
    }
    match name {
        // an escape in the name is undone by some servers and kept by others
        Some(name) if !name.contains(['\\', '%']) => Ok((name.to_owned(), file)),
        Some(_) => bad("a part's name holds an escape"),
        None => bad("a part has no name"),
    }
}

/// A parameter's value and what follows it.
fn quoted_or_token(text: &str) -> Result<(&str, &str), ScanError> {
    let Some(inner) = text.strip_prefix('"') else {
        let end = text.find(';').unwrap_or(text.len());
        return Ok((text[..end].trim_end(), &text[end..]));
    };
    let mut escaped = false;
    for (at, c) in inner.char_indices() {
        match c {
            '"' if !escaped => return Ok((&inner[..at], &inner[at + 1..])),
            _ => escaped = c == '\\' && !escaped,
        }
    }
    bad("a quoted value does not end")
}
