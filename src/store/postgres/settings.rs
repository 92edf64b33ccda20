//! Where the server is and how long to wait for it. Reads `sslmode` and `sslrootcert` as libpq does (PostgreSQL manual
//! §34.1.2 and §34.19), because the driver knows only some of their values.

use std::fmt;
use std::path::PathBuf;

use tokio_postgres::config::SslMode;

use super::error::Failure;
use crate::quota::decode_id;
use crate::store::timing::Timing;

/// How to reach the database.
#[derive(Clone)]
pub struct PostgresSettings {
    /// `postgresql://user:password@host/database?sslmode=…`, or libpq's `key=value` form. Secret.
    pub url: String,
    /// Most connections at once; at least 1.
    pub pool_size: usize,
    /// Longest wait for a new connection, in milliseconds.
    pub connect_timeout_ms: u64,
    /// Longest run of one statement, in milliseconds; at least 1.
    pub statement_timeout_ms: u64,
    /// Longest wait for a free connection of the pool, in milliseconds.
    pub pool_wait_ms: u64,
    /// Who is told of the calls.
    pub timing: Timing,
}

impl PostgresSettings {
    /// The usual settings: 8 connections, 5 s to connect, 10 s a statement, 5 s for a free connection.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            pool_size: 8,
            connect_timeout_ms: 5_000,
            statement_timeout_ms: 10_000,
            pool_wait_ms: 5_000,
            timing: Timing::default(),
        }
    }
}

impl fmt::Debug for PostgresSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresSettings").field("pool_size", &self.pool_size).finish_non_exhaustive()
    }
}

/// How far the server must prove who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// Encryption only (libpq's `prefer` and `require`): an active attacker is not kept out.
    Anybody,
    /// A certificate of these roots, whatever name it carries.
    Chain(Roots),
    /// A certificate of these roots that carries the host's name.
    Name(Roots),
}

/// Whose certificates are believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Roots {
    /// The machine's bundle.
    System,
    /// This PEM file.
    File(PathBuf),
}

/// A URL, read.
pub(super) struct Target {
    /// For the driver.
    pub config: tokio_postgres::Config,
    /// For TLS, if it is used.
    pub trust: Trust,
}

/// libpq parameters that would be needed but are not built: better said than called unknown.
const NOT_BUILT: [&str; 9] = [
    "sslcert",
    "sslkey",
    "sslpassword",
    "sslcrl",
    "sslcrldir",
    "gssencmode",
    "passfile",
    "service",
    "requirepeer",
];

/// Reads a URL. No error repeats any part of it but the name of a parameter of ours.
pub(super) fn read(url: &str) -> Result<Target, Failure> {
    let mut mode = None;
    let mut root = None;
    let mut refused = None;
    let rest = without(url, |name, value| match name {
        "sslmode" => mode = Some(value),
        "sslrootcert" => root = Some(value).filter(|path| !path.is_empty()),
        _ => refused = refused.or(NOT_BUILT.into_iter().find(|known| *known == name)),
    });
    if let Some(name) = refused {
        return Err(Failure::Stays(format!("the parameter `{name}` of the database URL is not supported")));
    }
    let mut config: tokio_postgres::Config = rest.parse().map_err(|_| {
        Failure::Stays(
            "the database URL cannot be read: expected `postgresql://user:password@host:5432/database`, with \
             special characters of the password percent-encoded"
                .to_owned(),
        )
    })?;
    let (driver_mode, trust) = tls_mode(mode.as_deref(), root)?;
    config.ssl_mode(driver_mode);
    if config.get_application_name().is_none() {
        config.application_name("tollgate");
    }
    Ok(Target { config, trust })
}

fn tls_mode(mode: Option<&str>, root: Option<String>) -> Result<(SslMode, Trust), Failure> {
    let roots = match root {
        Some(root) if root == "system" => Some(Roots::System),
        Some(root) => Some(Roots::File(root.into())),
        None => None,
    };
    Ok(match (mode, roots) {
        (Some("disable"), _) => (SslMode::Disable, Trust::Anybody),
        (None | Some("prefer"), None) => (SslMode::Prefer, Trust::Anybody),
        (Some("require"), None) => (SslMode::Require, Trust::Anybody),
        (Some("verify-ca"), roots) => (SslMode::Require, Trust::Chain(roots.unwrap_or(Roots::System))),
        (Some("verify-full"), roots) => (SslMode::Require, Trust::Name(roots.unwrap_or(Roots::System))),
        // Who names roots wants them asked: stricter than libpq, which would let `prefer` fall back to plain text.
        (None | Some("prefer" | "require"), Some(roots)) => (SslMode::Require, Trust::Name(roots)),
        (Some(_), _) => {
            return Err(Failure::Stays(
                "`sslmode` of the database URL is none of `disable`, `prefer`, `require`, `verify-ca`, `verify-full`"
                    .to_owned(),
            ));
        }
    })
}

/// The URL without the parameters that concern TLS; each is shown to `take` with its value decoded.
fn without(url: &str, mut take: impl FnMut(&str, String)) -> String {
    let ours = |name: &str| name == "sslmode" || name == "sslrootcert" || NOT_BUILT.contains(&name);
    let is_url = url.starts_with("postgres://") || url.starts_with("postgresql://");
    if !is_url {
        // `key=value` form. A quoted value with a space in it is left to the driver.
        let mut keep = Vec::new();
        for part in url.split_whitespace() {
            match part.split_once('=') {
                Some((name, value)) if ours(name) => take(name, value.trim_matches('\'').to_owned()),
                _ => keep.push(part),
            }
        }
        return if keep.len() == url.split_whitespace().count() { url.to_owned() } else { keep.join(" ") };
    }
    // A `?` before the `@` belongs to the password.
    let host = url.find('@').unwrap_or(0);
    let Some(question) = url[host..].find('?').map(|at| host + at) else { return url.to_owned() };
    let mut keep = Vec::new();
    for part in url[question + 1..].split('&') {
        match part.split_once('=') {
            Some((name, value)) if ours(name) => take(name, decode_id(value)),
            _ => keep.push(part),
        }
    }
    let base = &url[..question];
    if keep.is_empty() { base.to_owned() } else { format!("{base}?{}", keep.join("&")) }
}

#[cfg(test)]
mod tests;
