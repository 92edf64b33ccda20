//! `[[webhooks]]`: who is told when a total reaches a threshold (`alert`) of its limit.
//!
//! Owns the keys of that table. Must not know how a message is signed or sent.

use super::entry::all;
use super::reading::Reported;
use super::section::{Keys, Section};
use super::url::http_url;
use super::value::{self, Names};
use crate::notify::{TIMEOUT_DEFAULT_MS, WebhookSecret, WebhookSettings};

const KEYS: Keys = Keys {
    known: &[
        "name",
        "url",
        "secret",
        "secret_file",
        "previous_secret",
        "previous_secret_file",
        "timeout",
        "allow_private",
    ],
    later: &[],
};

/// Every reached threshold is one message for each of them.
const WEBHOOKS_MAX: usize = 16;
/// A receiver that needs longer should answer first and work then, in milliseconds.
const TIMEOUT_MS: (u64, u64) = (1_000, 60_000);
const SECRET_ALLOWED: &str = "`whsec_` and the base64 of 24 to 64 bytes";

/// Reads `[[webhooks]]`.
pub(super) fn read(root: &Section<'_>) -> Result<Vec<WebhookSettings>, Reported> {
    let sections = root.sections("webhooks")?;
    if let Some(entry) = root.get("webhooks").filter(|_| sections.len() > WEBHOOKS_MAX) {
        return Err(entry.wrong(
            format!("{} webhooks", sections.len()),
            format!("at most {WEBHOOKS_MAX}"),
            None,
        ));
    }
    let mut names = Names::new(value::is_label, value::LABEL_ALLOWED);
    all(sections.iter().map(|section| webhook(section, &mut names)))
}

fn webhook(section: &Section<'_>, names: &mut Names) -> Result<WebhookSettings, Reported> {
    let known = section.only(KEYS);
    let name = names.take(section);
    let allow_private = section.get("allow_private").map_or(Ok(false), |entry| entry.boolean());
    let url = url(section, allow_private.unwrap_or(true));
    let current = secret(section, "secret");
    let previous = secret(section, "previous_secret");
    let timeout_ms = value::duration_ms_or(section, "timeout", TIMEOUT_MS, TIMEOUT_DEFAULT_MS);
    known?;
    let Some(current) = current? else {
        let hint = "make one with `echo whsec_$(openssl rand -base64 32)`".to_owned();
        return Err(section.missing("secret", SECRET_ALLOWED, Some(hint)));
    };
    Ok(WebhookSettings {
        name: name?,
        url: url?,
        secrets: [current].into_iter().chain(previous?).collect(),
        timeout_ms: timeout_ms?,
        allow_private: allow_private?,
    })
}

fn url(section: &Section<'_>, allow_private: bool) -> Result<String, Reported> {
    let allowed = "an `https://` URL with a host and no user name";
    let entry = section.require("url", allowed)?;
    let text = entry.text()?;
    match http_url(&text) {
        Ok(url) if url.scheme_str() == Some("https") || allow_private => Ok(text),
        Ok(_) => {
            let hint =
                "`allow_private = true` lets `http://` pass, for a receiver in your own network".to_owned();
            Err(entry.wrong("an `http://` URL", allowed, Some(hint)))
        }
        Err(error) => Err(entry.wrong(error.to_string(), allowed, None)),
    }
}

fn secret(section: &Section<'_>, key: &str) -> Result<Option<WebhookSecret>, Reported> {
    let Some(text) = value::secret(section, key)? else { return Ok(None) };
    if let Some(secret) = WebhookSecret::parse(&text) {
        return Ok(Some(secret));
    }
    let hint = "make one with `echo whsec_$(openssl rand -base64 32)`".to_owned();
    let entry = section.get(key).or_else(|| section.get(&format!("{key}_file")));
    let found = format!("a text of {} bytes", text.len());
    Err(match entry {
        Some(entry) => entry.wrong(found, SECRET_ALLOWED, Some(hint)),
        None => section.missing(key, SECRET_ALLOWED, Some(hint)),
    })
}
