//! Files with certificates of authorities (`ca_file`, `redis_ca_file`): read and tried at the start, not at the first
//! connection. It must not know what they are for.

use std::io::Read;
use std::path::Path;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::reading::{Reported, quoted};
use super::section::Section;

/// A bundle of all public authorities is below 300 KiB, in bytes.
const FILE_BYTES_MAX: u64 = 4 * 1_024 * 1_024;

/// The certificates in the file that a key names, DER-encoded; empty if the key is missing or its text empty.
/// `without_tls`: the key of a URL that makes it useless, what that URL has, and what it should begin with.
pub(super) fn read(
    section: &Section<'_>,
    key: &str,
    without_tls: Option<(&str, &str, &str)>,
) -> Result<Vec<Vec<u8>>, Reported> {
    let Some((path, setting)) = section.optional_text(key)?.zip(section.get(key)) else {
        return Ok(Vec::new());
    };
    if let Some((url, found, wanted)) = without_tls {
        let hint = format!("write `{wanted}` in `{url}`, or remove the key");
        let found = format!("a file although `{url}` {found}");
        return Err(setting.wrong(found, format!("a file beside `{wanted}`"), Some(hint)));
    }
    certificates(Path::new(&path)).map_err(|reason| {
        let allowed = "a readable PEM file with one certificate or more";
        setting.wrong(format!("{}: {reason}", quoted(&path)), allowed, None)
    })
}

fn certificates(path: &Path) -> Result<Vec<Vec<u8>>, String> {
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut pem = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut pem).map_err(|error| error.to_string())?;
    if u64::try_from(pem.len()).is_ok_and(|length| length > FILE_BYTES_MAX) {
        return Err("more than 4 MiB".to_owned());
    }
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
