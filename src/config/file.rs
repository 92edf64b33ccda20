//! Files of the configuration: their text, and the TOML in it.
//!
//! Owns what is told of a file that cannot be read or is no TOML. Must not know what stands in it.

use std::io::Read;
use std::path::Path;

use toml_edit::Document;

use super::reading::{Reading, Reported};

/// A configuration of ten thousand plans fits; a larger file is some other file, in bytes.
const FILE_BYTES_MAX: u64 = 4 * 1_024 * 1_024;

/// The text of the file, or what was found, what is allowed, and a hint.
pub(super) fn read(path: &Path) -> Result<String, (String, &'static str, &'static str)> {
    const ALLOWED: &str = "a readable TOML file";
    let cannot = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => (
            "no such file".to_owned(),
            ALLOWED,
            "name yours with `tollgate run -c FILE`, or begin with a copy of the shipped `config/tollgate.toml`; \
             `tollgate demo` needs no file",
        ),
        std::io::ErrorKind::InvalidData => {
            ("bytes that are no UTF-8".to_owned(), ALLOWED, "save it as UTF-8")
        }
        _ => (error.to_string(), ALLOWED, "check the path and that the gateway's user may read it"),
    };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(cannot)?;
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(cannot)?;
    if u64::try_from(text.len()).is_ok_and(|length| length > FILE_BYTES_MAX) {
        return Err(("more than 4 MiB".to_owned(), ALLOWED, "check that it is the configuration"));
    }
    Ok(text)
}

/// The TOML of a text. The parser stops at the first mistake. Its words are told without the line it quotes, which may
/// hold a secret.
pub(super) fn document<'t>(reading: &Reading<'_>, text: &'t str) -> Result<Document<&'t str>, Reported> {
    Document::parse(text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        let words = error.message().lines().collect::<Vec<_>>().join(", ");
        reading.report(offset, "", format!("invalid TOML: {words}"), String::new(), None)
    })
}
