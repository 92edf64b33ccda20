//! What well-known chat apps are known to send, for `preset` in `[[apps]]`.
//!
//! Owns that knowledge. Must not know how a configuration is read.

/// What a preset says of the issuer that an app makes; its algorithm follows from the kind of key.
#[derive(Clone, Copy, Default)]
pub(super) struct IssuerPreset {
    pub(super) issuer: Option<&'static str>,
    pub(super) header: Option<&'static str>,
    pub(super) max_lifetime_s: Option<u32>,
}

/// What an app is known to send.
pub(super) struct Preset {
    pub(super) name: &'static str,
    pub(super) task_headers: &'static [&'static str],
    pub(super) background: &'static [&'static str],
    pub(super) message_id_header: Option<&'static str>,
    pub(super) user_header: Option<&'static str>,
    pub(super) issuer: IssuerPreset,
}

pub(super) const PRESETS: [Preset; 3] = [
    Preset {
        name: "open-webui",
        task_headers: &["x-tollgate-task"],
        // `TASKS` in Open WebUI's constants.py, without what makes an answer of its own (`moa_response_generation`)
        background: &[
            "title_generation",
            "follow_up_generation",
            "tags_generation",
            "emoji_generation",
            "query_generation",
            "image_prompt_generation",
            "autocomplete_generation",
            "function_calling",
        ],
        message_id_header: Some("x-tollgate-message-id"),
        user_header: Some("x-openwebui-user-id"),
        // it signs for 5 minutes, and sends no `aud`
        issuer: IssuerPreset {
            issuer: Some("open-webui"),
            header: Some("x-openwebui-user-jwt"),
            max_lifetime_s: Some(600),
        },
    },
    Preset {
        name: "librechat",
        task_headers: &["x-tollgate-task"],
        // LibreChat marks no call by itself; an endpoint of its own for titles can: `X-Tollgate-Task: title`
        background: &["title"],
        message_id_header: Some("x-tollgate-message-id"),
        user_header: Some("x-tollgate-user"),
        issuer: IssuerPreset { issuer: None, header: None, max_lifetime_s: None },
    },
    Preset {
        name: "claude-code",
        task_headers: &["x-claude-code-request-class"],
        background: &["auxiliary", "compaction"],
        message_id_header: None,
        user_header: None,
        issuer: IssuerPreset { issuer: None, header: None, max_lifetime_s: None },
    },
];
