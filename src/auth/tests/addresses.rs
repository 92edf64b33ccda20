//! The client's address behind proxies, and the address of an anonymous caller.

use std::net::IpAddr;

use http::{HeaderMap, HeaderValue};

use crate::auth::{Caller, Identity, client_address};

fn address(peer: &str, forwarded: &[&str]) -> String {
    let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
    let mut headers = HeaderMap::new();
    for value in forwarded {
        headers.append("x-forwarded-for", HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    client_address(peer.parse().unwrap(), &headers, &trusted).to_string()
}

#[test]
fn the_rightmost_hop_that_is_not_ours() {
    let table: [(&str, &[&str], &str); 15] = [
        ("203.0.113.9", &[], "203.0.113.9"),
        ("203.0.113.9", &["198.51.100.1"], "203.0.113.9"),
        ("10.0.0.1", &[], "10.0.0.1"),
        ("10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", &["6.6.6.6, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", &["6.6.6.6, 198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", &["6.6.6.6", "198.51.100.1", "10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", &["198.51.100.1:4711"], "198.51.100.1"),
        ("10.0.0.1", &["[2001:db8::1]:4711"], "2001:db8::1"),
        ("fd00::1", &["[2001:db8::1]"], "2001:db8::1"),
        ("::ffff:10.0.0.1", &["::ffff:198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", &["6.6.6.6, unknown, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", &["198.51.100.1, "], "10.0.0.1"),
        ("10.0.0.1", &["6.6.6.6, ü"], "10.0.0.1"),
    ];
    for (peer, forwarded, expected) in table {
        assert_eq!(address(peer, forwarded), expected, "{peer} {forwarded:?}");
    }
}

#[test]
fn a_chain_without_end_is_not_walked() {
    let endless = vec!["10.0.0.9"; 100].join(", ");
    assert_eq!(address("10.0.0.1", &["198.51.100.1", &endless]), "10.0.0.9");
}

#[test]
fn anonymous_callers_are_told_apart_by_customer() {
    let of = |text: &str| Caller::anonymous(text.parse().unwrap()).identity;
    let is = |text: &str| Identity::Anonymous { address: text.parse::<IpAddr>().unwrap() };
    assert_eq!(of("198.51.100.1"), is("198.51.100.1"));
    assert_eq!(of("::ffff:198.51.100.1"), is("198.51.100.1"));
    assert_eq!(of("2001:db8:1:2:3:4:5:6"), is("2001:db8:1:2::"));
    assert_eq!(of("2001:db8:1:2:ffff:ffff:ffff:ffff"), is("2001:db8:1:2::"));
    assert_ne!(of("2001:db8:1:3::1"), is("2001:db8:1:2::"));
}
