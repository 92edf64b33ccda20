//! Files with certificates of authorities (`ca_file`, `redis_ca_file`): read and tried at the start, not at the first
//! connection. It must not know what they are for.

use std::io::Read;
use std::path::Path;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::entry::Entry;
use super::reading::{Reported, quoted};

/// A bundle of all public authorities is below 300 KiB, in bytes.
const FILE_BYTES_MAX: u64 = 4 * 1_024 * 1_024;

/// The certificates in the PEM file at `path`, which `entry` names, DER-encoded.
pub(super) fn read(entry: &Entry<'_>, path: &str) -> Result<Vec<Vec<u8>>, Reported> {
    certificates(Path::new(path)).map_err(|reason| {
        let allowed = "a readable PEM file with one certificate or more";
        entry.wrong(format!("{}: {reason}", quoted(path)), allowed, None)
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
