//! `[server]`: where the gateway listens and whom it believes.
//!
//! Owns the keys of that table. Must not know sockets.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::entry::Entry;
use super::reading::{Reported, quoted};
use super::section::{Keys, Section};
use super::settings::ServerSettings;
use super::value;

const KEYS: Keys = Keys {
    known: &["listen", "admin_listen", "max_body", "trusted_proxies", "cors_origins"],
    later: &["tls", "on_disconnect"],
};

/// Less would refuse ordinary prompts, more would let one caller fill the memory, in bytes.
const MAX_BODY_BYTES: (u64, u64) = (1_024, 1_024 * 1_024 * 1_024);

/// Reads `[server]`.
pub(super) fn read(root: &Section<'_>) -> Result<ServerSettings, Reported> {
    let section = root.section("server")?;
    let known = section.only(KEYS);
    let default = ServerSettings::default();
    let listen = address(&section, "listen", default.listen);
    let admin_listen = address(&section, "admin_listen", default.admin_listen);
    let max_body_bytes = section
        .get("max_body")
        .map_or(Ok(default.max_body_bytes), |entry| value::size_bytes(&entry, MAX_BODY_BYTES));
    let trusted_proxies = section.get("trusted_proxies").map_or(Ok(Vec::new()), |entry| networks(&entry));
    let cors_origins = section.get("cors_origins").map_or(Ok(Vec::new()), |entry| origins(&entry));
    let apart = match (listen, admin_listen) {
        (Ok(listen), Ok(admin)) => differ(&section, listen, admin),
        _ => Ok(()),
    };
    known?;
    apart?;
    Ok(ServerSettings {
        listen: listen?,
        admin_listen: admin_listen?,
        max_body_bytes: max_body_bytes?,
        trusted_proxies: trusted_proxies?,
        cors_origins: cors_origins?,
    })
}

fn address(section: &Section<'_>, key: &str, default: SocketAddr) -> Result<SocketAddr, Reported> {
    let Some(entry) = section.get(key) else { return Ok(default) };
    let text = entry.text()?;
    text.parse().map_err(|_| {
        let hint = text.strip_prefix(':').map(|port| format!("write `0.0.0.0:{port}` for all interfaces"));
        entry.wrong(quoted(&text), "an IP address and a port, such as \"0.0.0.0:8080\"", hint)
    })
}

/// The public port must never answer for the admin one. Port 0 means any free one.
fn differ(section: &Section<'_>, listen: SocketAddr, admin: SocketAddr) -> Result<(), Reported> {
    let everywhere = |address: SocketAddr| address.ip().is_unspecified();
    let same_ip = listen.ip() == admin.ip() || everywhere(listen) || everywhere(admin);
    if listen.port() == 0 || listen.port() != admin.port() || !same_ip {
        return Ok(());
    }
    let found = quoted(&admin.to_string());
    let allowed = format!("a port other than that of `server.listen`, {}", listen.port());
    // at least one of them stands in the file: the defaults differ
    let entry = section.get("admin_listen").or_else(|| section.get("listen"));
    entry.map_or(Ok(()), |entry| Err(entry.wrong(found, allowed, None)))
}

/// Networks, such as `10.0.0.0/8`.
pub(super) fn networks(entry: &Entry<'_>) -> Result<Vec<IpNet>, Reported> {
    entry.texts(|element, text| {
        text.parse::<IpNet>().map_err(|_| {
            let alone = |address: IpAddr| format!("write `{}` for this address alone", IpNet::from(address));
            let hint = text.parse::<IpAddr>().ok().map(alone);
            element.wrong(quoted(text), "a network, such as \"10.0.0.0/8\"", hint)
        })
    })
}

/// Origins as browsers send them: scheme, host and, where it is not the scheme's own, a port. `*` is every origin.
fn origins(entry: &Entry<'_>) -> Result<Vec<String>, Reported> {
    entry.texts(|element, text| {
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let plain = |rest: &str| !rest.is_empty() && !rest.contains(['/', '?', '#', '@', ' ']);
        if text == "*" || rest.is_some_and(plain) {
            return Ok(text.to_ascii_lowercase());
        }
        let hint = rest.and_then(|rest| rest.split('/').next()).filter(|host| plain(host));
        let hint = hint.map(|host| format!("an origin has no path: `https://{host}`"));
        Err(element.wrong(quoted(text), "an origin, such as \"https://chat.example.org\"", hint))
    })
}
