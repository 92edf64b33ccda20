//! Which address a request comes from, behind proxies or not.
//!
//! Owns the reading of `X-Forwarded-For` and the form of an address that tells anonymous callers apart. Must not know
//! who the caller is.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use ipnet::{IpNet, Ipv6Net};

/// Hops of `X-Forwarded-For` that are looked at; a longer chain is not a real one.
const FORWARDED_HOPS_MAX: usize = 32;

/// The bits of an IPv6 address that name a customer; the rest changes at will (RFC 6177, RFC 8981).
const IPV6_CUSTOMER_BITS: u8 = 64;

/// The client's address: the rightmost hop of `X-Forwarded-For` that is not one of ours, and only if the peer itself
/// is one of `trusted_proxies`; else the peer.
///
/// A hop that is no address ends the walk at the last hop that a trusted proxy vouched for.
pub fn client_address(peer: IpAddr, headers: &HeaderMap, trusted_proxies: &[IpNet]) -> IpAddr {
    let trusted = |address: &IpAddr| trusted_proxies.iter().any(|net| net.contains(address));
    let mut client = peer.to_canonical();
    if !trusted(&client) {
        return client;
    }
    let values: Vec<&[u8]> =
        headers.get_all("x-forwarded-for").iter().map(http::HeaderValue::as_bytes).collect();
    let hops = values.iter().rev().flat_map(|value| value.rsplit(|byte| *byte == b','));
    for hop in hops.take(FORWARDED_HOPS_MAX) {
        let Some(address) = hop_address(hop) else { break };
        client = address;
        if !trusted(&client) {
            break;
        }
    }
    client
}

/// The address that anonymous callers are told apart by: IPv4 whole, IPv6 by its /64.
pub(super) fn anonymous_address(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => {
            IpAddr::V6(Ipv6Net::new(v6, IPV6_CUSTOMER_BITS).map_or(v6, |customer| customer.network()))
        }
    }
}

/// One hop: `1.2.3.4`, `1.2.3.4:80`, `::1`, `[::1]`, `[::1]:80`.
fn hop_address(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?.trim();
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address =
        bare.parse::<IpAddr>().or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip())).ok()?;
    Some(address.to_canonical())
}
