//! Which known word a misspelt one probably means.
//!
//! Owns how many slips count as near. Must not know what the words are for.

/// The hint for a word that is none of `known`, if one of them is near.
pub(super) fn did_you_mean<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<String> {
    nearest(word, known).map(|near| format!("did you mean `{near}`?"))
}

/// The known word with the fewest edits, if they are few for its length. Case does not count.
fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let word = word.to_lowercase();
    let edits_max = match word.chars().count() {
        0..=3 => 1,
        4..=7 => 2,
        _ => 3,
    };
    let edits = |near: &'k str| (strsim::osa_distance(&word, &near.to_lowercase()), near);
    known
        .into_iter()
        .map(edits)
        .filter(|(edits, _)| *edits <= edits_max)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, near)| near)
}
