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
        let name = name.to_ascii_lowercase();
        let [first, middle @ .., last] = self.pieces.as_slice() else {
            return self.pieces.first().is_some_and(|only| *only == name);
        };
        let Some(mut rest) = name.strip_prefix(first.as_str()) else { return false };
        for piece in middle {
            let Some(at) = rest.find(piece.as_str()) else { return false };
            rest = &rest[at + piece.len()..];
        }
        rest.ends_with(last.as_str())
    }
}
