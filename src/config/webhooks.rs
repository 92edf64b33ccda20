//! `[[webhooks]]`: who is told when a total reaches a threshold (`alert`) of its limit.
//!
//! Owns how the values of that table are read. Must not know how a message is signed or sent.

use super::reading::Reported;
use super::section::Section;
use super::setting::{Setting, all};
use super::url::http_url;
use super::value::{self, Names};
use crate::notify::{WebhookSecret, WebhookSettings};

/// Every reached threshold is one message for each of them.
const WEBHOOKS_MAX: usize = 16;
const SECRET_HINT: &str = "make one with `echo whsec_$(openssl rand -base64 32)`";

/// Reads `[[webhooks]]`.
pub(super) fn read(root: &Section<'_>) -> Result<Vec<WebhookSettings>, Reported> {
    let mut names = Names::new(value::is_label);
    all(value::at_most(root, "webhooks", WEBHOOKS_MAX)?.iter().map(|section| webhook(section, &mut names)))
}

fn webhook(section: &Section<'_>, names: &mut Names) -> Result<WebhookSettings, Reported> {
    let name = names.take(section);
    let allow_private = section.read("allow_private").and_then(|setting| setting.flag());
    let url = section.read("url").and_then(|setting| url(&setting, allow_private.unwrap_or(true)));
    let current = secret(section, "secret");
    let previous = secret(section, "previous_secret");
    let timeout_ms = section.read("timeout").and_then(|setting| setting.ms());
    let Some(current) = current? else {
        let allowed = "`whsec_` and the base64 of 24 to 64 bytes";
        return Err(section.missing("secret", allowed, Some(SECRET_HINT.to_owned())));
    };
    Ok(WebhookSettings {
        name: name?,
        url: url?,
        secrets: [current].into_iter().chain(previous?).collect(),
        timeout_ms: timeout_ms?,
        allow_private: allow_private?,
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

fn secret(section: &Section<'_>, key: &str) -> Result<Option<WebhookSecret>, Reported> {
    value::secret(section, key, |text| {
        let found = || (format!("a text of {} bytes", text.len()), Some(SECRET_HINT.to_owned()));
        WebhookSecret::parse(&text).ok_or_else(found)
    })
}
