//! `[server]`: where the gateway listens and whom it believes.
//!
//! Owns how the values of that table are read. Must not know sockets.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::reading::{Reported, gather, quoted};
use super::setting::Setting;
use super::settings::ServerSettings;

/// Reads `[server]`.
pub(super) fn read(root: &Setting<'_>) -> Result<ServerSettings, Reported> {
    let section = root.section("server")?;
    gather!(ServerSettings {
        listen: section.read("listen", address),
        admin_listen: section.read("admin_listen", address).and_then(|admin| differ(&section, listen, admin)),
        max_body_bytes: section.read("max_body", Setting::bytes),
        trusted_proxies: section.read("trusted_proxies", networks),
        cors_origins: section.read("cors_origins", |setting| setting.texts(origin)),
    })
}

fn address(setting: &Setting<'_>) -> Result<SocketAddr, Reported> {
    let text = setting.text()?;
    text.parse().map_err(|_| {
        let hint = text.strip_prefix(':').map(|port| format!("write `0.0.0.0:{port}` for all interfaces"));
        setting.refused(quoted(&text), hint)
    })
}

/// The public port must never answer for the admin one. Port 0 means any free one.
fn differ(
    section: &Setting<'_>,
    listen: Result<SocketAddr, Reported>,
    admin: SocketAddr,
) -> Result<SocketAddr, Reported> {
    let Ok(listen) = listen else { return Ok(admin) };
    let everywhere = |address: SocketAddr| address.ip().is_unspecified();
    let same_ip = listen.ip() == admin.ip() || everywhere(listen) || everywhere(admin);
    if listen.port() == 0 || listen.port() != admin.port() || !same_ip {
        return Ok(admin);
    }
    let found = quoted(&admin.to_string());
    let allowed = format!("a port other than that of `server.listen`, {}", listen.port());
    // at least one of them stands in the file: the defaults differ
    let setting = section.get("admin_listen").or_else(|| section.get("listen"));
    setting.map_or(Ok(admin), |setting| Err(setting.wrong(found, allowed, None)))
}

/// Networks, such as `10.0.0.0/8`.
pub(super) fn networks(setting: &Setting<'_>) -> Result<Vec<IpNet>, Reported> {
    setting.texts(|element, text| {
        text.parse::<IpNet>().map_err(|_| {
            let alone = |address: IpAddr| format!("write `{}` for this address alone", IpNet::from(address));
            element.refused(quoted(text), text.parse::<IpAddr>().ok().map(alone))
        })
    })
}

/// An origin as browsers send it: scheme, host and, where it is not the scheme's own, a port. `*` is every origin.
fn origin(element: &Setting<'_>, text: &str) -> Result<String, Reported> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let plain = |rest: &str| !rest.is_empty() && !rest.contains(['/', '?', '#', '@', ' ']);
    if text == "*" || rest.is_some_and(plain) {
        return Ok(text.to_ascii_lowercase());
    }
    let host = rest.and_then(|rest| rest.split('/').next()).filter(|host| plain(host));
    let hint = host.map(|host| format!("an origin has no path: `https://{host}`"));
    Err(element.refused(quoted(text), hint))
}
