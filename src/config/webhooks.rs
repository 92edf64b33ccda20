//! `[[webhooks]]`: who is told when a total reaches a threshold (`alert`) of its limit.
//!
//! Owns how the values of that table are read. Must not know how a message is signed or sent.

use super::keys::WEBHOOK_SECRET;
use super::reading::{Reported, all, gather};
use super::setting::Setting;
use super::url::http_url;
use super::value::{self, Names};
use crate::notify::{WebhookSecret, WebhookSettings};

/// Every reached threshold is one message for each of them.
const WEBHOOKS_MAX: usize = 16;
const SECRET_HINT: &str = "make one with `echo whsec_$(openssl rand -base64 32)`";

/// Reads `[[webhooks]]`.
pub(super) fn read(root: &Setting<'_>) -> Result<Vec<WebhookSettings>, Reported> {
    let mut names = Names::new(value::is_label);
    all(value::at_most(root, "webhooks", WEBHOOKS_MAX)?.iter().map(|section| webhook(section, &mut names)))
}

fn webhook(section: &Setting<'_>, names: &mut Names) -> Result<WebhookSettings, Reported> {
    let no_secret = || section.missing("secret", WEBHOOK_SECRET, Some(SECRET_HINT.to_owned()));
    gather!(WebhookSettings {
        name: names.take(section),
        allow_private: section.read("allow_private", Setting::flag),
        url: section.read("url", |setting| url(setting, allow_private.unwrap_or(true))),
        secrets: {
            let (current, previous) = (secret(section, "secret"), secret(section, "previous_secret"));
            let current = current.and_then(|current| current.ok_or_else(no_secret));
            previous.and_then(|previous| Ok([current?].into_iter().chain(previous).collect()))
        },
        timeout_ms: section.read("timeout", Setting::ms),
    })
}

fn url(setting: &Setting<'_>, allow_private: bool) -> Result<String, Reported> {
    let text = setting.text()?;
    match http_url(&text) {
        Ok(url) if url.scheme_str() == Some("https") || allow_private => Ok(text),
        Ok(_) => {
            let hint = "`allow_private = true` lets `http://` pass, for a receiver in your own network";
            Err(setting.refused("an `http://` URL", Some(hint.to_owned())))
        }
        Err(error) => Err(setting.refused(error.to_string(), None)),
    }
}

fn secret(section: &Setting<'_>, key: &str) -> Result<Option<WebhookSecret>, Reported> {
    value::secret(section, key, |text| {
        let found = || (format!("a text of {} bytes", text.len()), Some(SECRET_HINT.to_owned()));
        WebhookSecret::parse(&text).ok_or_else(found)
    })
}
