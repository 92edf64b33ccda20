//! The parts that stand alone: variables, likeness, URLs.

use proptest::prelude::*;

use super::super::expand::{ExpandError, expand};
use super::super::nearest::did_you_mean;
use super::super::url::{UrlError, base_url};
use crate::upstream::BaseUrl;

fn env(name: &str) -> Option<String> {
    match name {
        "A" => Some("${B}".to_owned()),
        "B" => Some("b".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

#[test]
fn variables_are_replaced() {
    let missing = |name: &str| Err(ExpandError::Missing(name.to_owned()));
    for (text, expected) in [
        ("plain $A {B} $", Ok("plain $A {B} $")),
        ("x${B}y${B}", Ok("xbyb")),
        // what a variable holds is not looked into
        ("${A}", Ok("${B}")),
        ("${UNSET:-d e:-f}", Ok("d e:-f")),
        ("${UNSET:-}", Ok("")),
        ("${EMPTY:-d}", Ok("d")),
        ("${EMPTY}", Ok("")),
        ("${B:-d}", Ok("b")),
        ("${UNSET}", missing("UNSET")),
        ("${B", Err(ExpandError::Malformed)),
        ("${}", Err(ExpandError::Malformed)),
        ("${1A}", Err(ExpandError::Malformed)),
        ("${A B}", Err(ExpandError::Malformed)),
        ("${B:d}", Err(ExpandError::Malformed)),
    ] {
        assert_eq!(expand(text, &env), expected.map(str::to_owned), "{text}");
    }
}

#[test]
fn the_nearest_word_is_meant() {
    let known = ["limits", "models", "extends"];
    for (word, expected) in [
        ("limts", Some("limits")),
        ("limist", Some("limits")),
        ("LIMITS", Some("limits")),
        ("limit", Some("limits")),
        ("modles", Some("models")),
        ("extend", Some("extends")),
        ("quota", None),
        ("", None),
    ] {
        let expected = expected.map(|near| format!("did you mean `{near}`?"));
        assert_eq!(did_you_mean(word, known), expected, "{word}");
    }
    assert_eq!(did_you_mean("dya", ["day", "year"]), Some("did you mean `day`?".to_owned()));
    assert_eq!(did_you_mean("fortnight", ["month", "minute", "week"]), None);
}

#[test]
fn base_urls_are_read() {
    let url = |tls, host: &str, port, path: &str| {
        Ok(BaseUrl { tls, host: host.to_owned(), port, path: path.to_owned() })
    };
    for (text, expected) in [
        ("https://api.openai.com", url(true, "api.openai.com", 443, "")),
        ("http://127.0.0.1:11434/", url(false, "127.0.0.1", 11434, "")),
        ("https://host:8443/a/b//", url(true, "host", 8443, "/a/b")),
        ("http://[2001:db8::1]", url(false, "2001:db8::1", 80, "")),
        ("http://[::1]:81", url(false, "::1", 81, "")),
        ("HTTPS://Host", url(true, "Host", 443, "")),
        ("host:8080", Err(UrlError::NoUrl)),
        ("host", Err(UrlError::NoUrl)),
        ("/path", Err(UrlError::NoUrl)),
        ("", Err(UrlError::NoUrl)),
        ("http://", Err(UrlError::NoUrl)),
        ("http://:80", Err(UrlError::Host)),
        ("http://host:", Err(UrlError::NoUrl)),
        ("http://host:0", Err(UrlError::NoUrl)),
        ("http://host:65536", Err(UrlError::NoUrl)),
        ("http://a b", Err(UrlError::NoUrl)),
        ("ftp://host", Err(UrlError::Scheme)),
        ("https://key@host", Err(UrlError::User)),
        ("https://u:p@host:1", Err(UrlError::User)),
        ("https://host/?key=k", Err(UrlError::Query)),
        ("https://host#f", Err(UrlError::Query)),
    ] {
        assert_eq!(base_url(text), expected, "{text}");
    }
}

proptest! {
    /// A text without `${` stands as it is, and no text makes it panic.
    #[test]
    fn expand_leaves_other_texts_alone(text in "[ -~]{0,40}") {
        let expanded = expand(&text, &env);
        if !text.contains("${") {
            prop_assert_eq!(expanded, Ok(text));
        }
    }

    /// One slip in a word of six letters or more is always understood.
    #[test]
    fn one_slip_is_understood(
        at in 0_usize..6,
        letter in "[a-z]",
        word in prop::sample::select(&["timezone", "default", "upstreams", "premium"][..]),
    ) {
        let mut slipped = word.to_owned();
        slipped.replace_range(at..=at, &letter);
        prop_assert_eq!(did_you_mean(&slipped, [word]), Some(format!("did you mean `{word}`?")));
    }

    /// Whatever is read from a base URL makes the same URL again.
    #[test]
    fn base_url_round_trip(
        tls: bool,
        host in "[a-z][a-z0-9]{0,9}(\\.[a-z]{2,5})?",
        port in 1_u16..,
        path in "(/[a-z0-9]{1,5}){0,3}",
    ) {
        let scheme = if tls { "https" } else { "http" };
        let read = base_url(&format!("{scheme}://{host}:{port}{path}"));
        prop_assert_eq!(read, Ok(BaseUrl { tls, host, port, path }));
    }
}
