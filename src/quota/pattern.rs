//! Patterns over model names: literal text and `*`, anchored at both ends. They come from configuration only, never from
//! a request.

/// A model pattern. `*` stands for any run of characters, also an empty one; case does not matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    pieces: Vec<String>,
}

impl Pattern {
    /// Reads a pattern. Every text is one.
    pub fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            pieces: text.to_ascii_lowercase().split('*').map(str::to_owned).collect(),
        }
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// True if the pattern has no `*`: it names one model.
    pub fn is_literal(&self) -> bool {
        self.pieces.len() == 1
    }

    /// How well the pattern names a model, if it does: literally is best, then the longer text. Two patterns may claim
    /// a model equally well.
    pub fn claim(&self, name: &str) -> Option<(bool, usize)> {
        self.matches(name).then(|| (self.is_literal(), self.text.len()))
    }

    /// Does the whole name match?
    pub fn matches(&self, name: &str) -> bool {
        let [first, middle @ .., last] = self.pieces.as_slice() else {
            return self.pieces.first().is_some_and(|only| only.eq_ignore_ascii_case(name));
        };
        let name = name.as_bytes();
        let starts =
            name.get(..first.len()).is_some_and(|start| start.eq_ignore_ascii_case(first.as_bytes()));
        let mut rest = if starts { &name[first.len()..] } else { return false };
        for piece in middle {
            let Some(at) = find(rest, piece.as_bytes()) else { return false };
            rest = &rest[at + piece.len()..];
        }
        rest.len() >= last.len() && rest[rest.len() - last.len()..].eq_ignore_ascii_case(last.as_bytes())
    }
}

/// Where `piece` first stands in `text`, whatever its case.
fn find(text: &[u8], piece: &[u8]) -> Option<usize> {
    if piece.is_empty() {
        return Some(0);
    }
    text.windows(piece.len()).position(|window| window.eq_ignore_ascii_case(piece))
}

/// Patterns and groups, as written in `models = [...]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelSet {
    /// The entries as written, for answers and messages.
    pub written: Vec<String>,
    /// All patterns, groups resolved.
    pub patterns: Vec<Pattern>,
}

impl ModelSet {
    /// Is the model in the set?
    pub fn contains(&self, model: &str) -> bool {
        self.patterns.iter().any(|pattern| pattern.matches(model))
    }
}
