//! Makes an entry that outgrew its promised room small enough. It must not touch what is money or identity.

use crate::store::Entry;

/// What is left of a free text.
const TEXT_CHARS: usize = 48;

/// How many groups are left.
const GROUPS: usize = 8;

/// The same entry with its free texts cut.
pub(super) fn shortened(entry: &Entry) -> Entry {
    let mut entry = entry.clone();
    for text in [
        &mut entry.request_id,
        &mut entry.model_requested,
        &mut entry.model_dispatched,
        &mut entry.upstream,
        &mut entry.endpoint,
        &mut entry.price,
        &mut entry.task,
    ] {
        cut(text);
    }
    entry.groups.truncate(GROUPS);
    entry.groups.iter_mut().for_each(cut);
    entry
}

fn cut(text: &mut String) {
    if let Some((at, _)) = text.char_indices().nth(TEXT_CHARS) {
        text.truncate(at);
    }
}
