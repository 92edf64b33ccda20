//! Which errors pass.

use super::*;

#[test]
fn states_pass_by_their_class() {
    let passing =
        ["08006", "40001", "40P01", "53300", "53100", "57P01", "57014", "58030", "55P03", "25006", "XX000"];
    let staying = ["22021", "23505", "28P01", "3D000", "42501", "42P01", "57P04", "0A000", "54000"];
    for code in passing {
        assert!(state_passes(&SqlState::from_code(code)), "{code}");
    }
    for code in staying {
        assert!(!state_passes(&SqlState::from_code(code)), "{code}");
    }
}

#[test]
fn a_bad_certificate_stays_and_a_broken_line_passes() {
    for (kind, expected) in [
        (io::ErrorKind::ConnectionRefused, true),
        (io::ErrorKind::ConnectionReset, true),
        (io::ErrorKind::TimedOut, true),
        (io::ErrorKind::UnexpectedEof, true),
        (io::ErrorKind::NotFound, true),
        (io::ErrorKind::InvalidData, false),
        (io::ErrorKind::PermissionDenied, false),
    ] {
        assert_eq!(io_passes(&io::Error::from(kind)), expected, "{kind}");
    }
}
