//! `[[apps]]`: presets in two or three lines, and the mistakes.

use super::{SOUND, settings, told};

fn with(app: &str) -> String {
    format!("{SOUND}\n[[apps]]\n{app}\n")
}

#[test]
fn presets_take_two_or_three_lines() {
    let open_webui = settings(&with("preset = \"open-webui\"\nsecret = \"${JWT_SECRET}\""));
    let issuer = open_webui.issuers.last().unwrap();
    assert_eq!(
        (issuer.name.as_str(), issuer.issuer.as_deref(), issuer.header.as_deref(), issuer.max_lifetime_s),
        ("open-webui", Some("open-webui"), Some("x-openwebui-user-jwt"), Some(600))
    );
    assert_eq!(open_webui.apps.rules[0].callers.as_deref(), Some(&["open-webui".to_owned()][..]));
    let lines =
        "preset = \"librechat\"\njwks_url = \"https://id.example/k\"\nissuer = \"https://id.example\"";
    let librechat = settings(&with(lines));
    assert_eq!(librechat.issuers.last().unwrap().issuer.as_deref(), Some("https://id.example"));
    let claude = settings(&with("preset = \"claude-code\"")).apps;
    assert_eq!(claude.rules[0].background, ["auxiliary", "compaction"]);
    assert_eq!((&claude.rules[0].callers, claude.rules[0].trusted), (&None, false));
}

#[test]
fn mistakes_say_what_to_do() {
    for (app, expected) in [
        ("preset = \"open-web-ui\"", "did you mean `open-webui`?"),
        ("preset = \"claude-code\"\ntrusted = true", "beside `callers`, `key`, `secret` or `jwks_url`"),
        ("preset = \"claude-code\"\ncallers = [\"chta\"]", "did you mean `chat`?"),
        (
            "preset = \"librechat\"\nkey = \"hunter2\"\npeers = [\"::1/128\"]",
            "at least 24 bytes of visible ASCII",
        ),
        ("preset = \"librechat\"\nkey = \"0123456789abcdef0123456789\"", "apps[0].peers: found nothing"),
        ("preset = \"librechat\"\nplan_header = \"x-plan\"", "`plan_header` without what it goes with"),
        ("name = \"chat\"", "a name that no other app and no issuer has"),
        ("preset = \"claude-code\"\ntask_headers = [\"a b\"]", "the name of a header"),
    ] {
        let told = told(&with(app));
        assert!(told.contains(expected) && !told.contains("hunter2"), "{app}: {told}");
    }
}
