//! What well-known chat apps are known to send, for `preset` in `[[apps]]`.
//!
//! Owns that knowledge, as the keys that it stands for. Must not know how a configuration is read.

use super::setting::Preset;

/// Presets by name.
pub(super) const PRESETS: [(&str, Preset); 3] = [
    (
        "open-webui",
        &[
            ("task_headers", "x-tollgate-task"),
            // `TASKS` in Open WebUI's constants.py, without what makes an answer of its own (`moa_response_generation`)
            (
                "background",
                "title_generation follow_up_generation tags_generation emoji_generation query_generation \
                 image_prompt_generation autocomplete_generation function_calling",
            ),
            ("message_id_header", "x-tollgate-message-id"),
            ("user_header", "x-openwebui-user-id"),
            // it signs for 5 minutes, and sends no `aud`
            ("issuer", "open-webui"),
            ("header", "x-openwebui-user-jwt"),
            ("max_lifetime", "10m"),
        ],
    ),
    (
        "librechat",
        &[
            ("task_headers", "x-tollgate-task"),
            // LibreChat marks no call by itself; an endpoint of its own for titles can: `X-Tollgate-Task: title`
            ("background", "title"),
            ("message_id_header", "x-tollgate-message-id"),
            ("user_header", "x-tollgate-user"),
        ],
    ),
    (
        "claude-code",
        &[("task_headers", "x-claude-code-request-class"), ("background", "auxiliary compaction")],
    ),
];
