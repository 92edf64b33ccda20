//! Files of the configuration and those that it names: their bytes or text, the TOML in it, certificates of authorities.
//!
//! Owns what is told of a file that cannot be read or is not what it should be. Must not know what it is for.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use toml_edit::Document;

use super::reading::{Reading, Reported, quoted};
use super::setting::Setting;

/// A configuration of ten thousand plans fits; a larger file is some other file, in bytes.
const FILE_BYTES_MAX: u64 = 4 * 1_024 * 1_024;

/// The bytes of a file; `None`: there are more than `bytes_max`.
pub(super) fn bytes(path: &Path, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(bytes_max + 1).read_to_end(&mut bytes)?;
    Ok(u64::try_from(bytes.len()).is_ok_and(|length| length <= bytes_max).then_some(bytes))
}

/// The text of the file, or what was found, what is allowed, and a hint.
pub(super) fn read(path: &Path) -> Result<String, (String, &'static str, &'static str)> {
    let refused = |found: &str, hint| (found.to_owned(), "a readable TOML file", hint);
    match bytes(path, FILE_BYTES_MAX) {
        Ok(Some(bytes)) => {
            String::from_utf8(bytes).map_err(|_| refused("bytes that are no UTF-8", "save it as UTF-8"))
        }
        Ok(None) => Err(refused("more than 4 MiB", "check that it is the configuration")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(refused(
            "no such file",
            "name yours with `tollgate run -c FILE`, or begin with a copy of the shipped `config/tollgate.toml`; \
             `tollgate demo` needs no file",
        )),
        Err(error) => {
            Err(refused(&error.to_string(), "check the path and that the gateway's user may read it"))
        }
    }
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

/// The certificates in the file that a key (`ca_file`, `redis_ca_file`) names, DER-encoded, tried at the start and not at
/// the first connection; empty if the key is missing or its text empty.
/// `without_tls`: the key of a URL that makes it useless, what that URL has, and what it should begin with.
pub(super) fn certificates(
    section: &Setting<'_>,
    key: &str,
    without_tls: Option<(&str, &str, &str)>,
) -> Result<Vec<Vec<u8>>, Reported> {
    let Some(setting) = section.filled(key)? else { return Ok(Vec::new()) };
    if let Some((url, found, wanted)) = without_tls {
        let hint = format!("write `{wanted}` in `{url}`, or remove the key");
        let found = format!("a file although `{url}` {found}");
        return Err(setting.wrong(found, format!("a file beside `{wanted}`"), Some(hint)));
    }
    let path = setting.text()?;
    certificates_of(Path::new(&path)).map_err(|reason| {
        let allowed = "a readable PEM file with one certificate or more";
        setting.wrong(format!("{}: {reason}", quoted(&path)), allowed, None)
    })
}

fn certificates_of(path: &Path) -> Result<Vec<Vec<u8>>, String> {
    // a bundle of all public authorities is below 300 KiB
    let pem = bytes(path, FILE_BYTES_MAX).map_err(|error| error.to_string())?;
    let pem = pem.ok_or("more than 4 MiB")?;
    let found = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    let found = found.map_err(|error| error.to_string())?;
    // a certificate that only looks like one would fail at the first request instead of here
    let mut roots = rustls::RootCertStore::empty();
    for certificate in &found {
        roots.add(certificate.clone()).map_err(|error| error.to_string())?;
    }
    if found.is_empty() {
        return Err("no certificate in it".to_owned());
    }
    Ok(found.into_iter().map(|certificate| certificate.as_ref().to_vec()).collect())
}
