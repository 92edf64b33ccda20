//! `[[webhooks]]` and `alert`: what is read, and what is refused.

use super::{SOUND, changed, settings, told};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The sound configuration with a webhook of these lines.
fn with(lines: &str) -> String {
    format!("{SOUND}\n[[webhooks]]\nname = \"ops\"\n{lines}\n")
}

#[test]
fn a_webhook_is_read_with_its_defaults() {
    let read = settings(&with(&format!("url = \"https://example.com/hook?x=1\"\nsecret = \"{SECRET}\"")));
    let [webhook] = &read.webhooks[..] else { panic!("{:?}", read.webhooks) };
    assert_eq!((&*webhook.name, &*webhook.url), ("ops", "https://example.com/hook?x=1"));
    assert_eq!((webhook.timeout_ms, webhook.allow_private, webhook.secrets.len()), (15_000, false, 1));
    assert!(settings(SOUND).webhooks.is_empty());
}

#[test]
fn a_rotated_secret_stands_behind_the_new_one() {
    let other = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let read = settings(&with(&format!(
        "url = \"http://127.0.0.1:1/\"\nallow_private = true\ntimeout = \"5s\"\nsecret = \"{SECRET}\"\n\
         previous_secret = \"{other}\""
    )));
    let expected = [SECRET, other].map(|text| crate::notify::WebhookSecret::parse(text).unwrap());
    assert_eq!(read.webhooks[0].secrets, expected);
    assert_eq!((read.webhooks[0].timeout_ms, read.webhooks[0].allow_private), (5_000, true));
}

#[test]
fn what_is_wrong_with_a_webhook_is_told_without_its_secret() {
    let https = "url = \"https://example.com/\"";
    let secret = format!("secret = \"{SECRET}\"");
    let cases = [
        (format!("url = \"http://example.com/\"\n{secret}"), "webhooks[0].url: found an `http://` URL"),
        (
            format!("url = \"https://u:p@example.com/\"\n{secret}"),
            "webhooks[0].url: found a URL with a user name",
        ),
        (secret.clone(), "webhooks[0].url: found nothing"),
        (https.to_owned(), "webhooks[0].secret: found nothing"),
        (format!("{https}\nsecret = \"hunter2\""), "webhooks[0].secret: found a text of 7 bytes"),
        (
            format!("{https}\n{secret}\nprevious_secret = \"whsec_hunter2\""),
            "webhooks[0].previous_secret: found a text of 13 bytes",
        ),
        (format!("{https}\n{secret}\ntimeout = \"1h\""), "webhooks[0].timeout: found \"1h\""),
        (format!("{https}\n{secret}\nevents = []"), "webhooks[0].events: found an unknown key"),
    ];
    for (lines, expected) in cases {
        let told = told(&with(&lines));
        assert!(told.contains(expected), "{lines}\n{told}");
        assert!(!told.contains("hunter2") && !told.contains(SECRET), "a secret is told: {told}");
    }
}

#[test]
fn thresholds_are_read_in_thousandths_in_rising_order() {
    let read = settings(&changed("per = \"year\"", "per = \"year\"\nalert = [1, 0.8, 0.995, 0.8]"));
    let pool = read.quota.policy.plans["team"].limits.iter().find(|limit| &*limit.name == "pool").unwrap();
    assert_eq!(pool.alert_permille, [800, 995, 1_000]);
    for wrong in ["0", "0.0005", "0.8005", "1.001", "-0.5", "nan", "\"0.8\""] {
        let told = told(&changed("per = \"year\"", &format!("per = \"year\"\nalert = [{wrong}]")));
        assert!(told.contains("alert[0]") && told.contains("a share of the limit"), "{wrong}: {told}");
    }
}
