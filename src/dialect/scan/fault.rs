//! Why a request body is refused, with the sentence that the caller is shown.
//! It knows no grammar; the readers say what they met.

use crate::dialect::error::{Kind, Problem};
use crate::dialect::json::{Fault, MAX_DEPTH};

/// Why a request is refused before anything is decided. All are 400, but for the missing body of a call without one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    /// The `Content-Type` is not the one of this call.
    #[error("`Content-Type` must be `{0}` for this call")]
    ContentType(&'static str),
    /// Not JSON, or not UTF-8, or bytes before or after the one value.
    #[error("the body is not valid JSON: {why} (byte {at})")]
    NotJson {
        /// Offset of the byte.
        at: usize,
        /// What was expected.
        why: &'static str,
    },
    /// Containers nest too deep.
    #[error("the body nests deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// The body's top value is something else.
    #[error("the body must be a JSON object")]
    NotObject,
    /// A key that decides something stands twice, or in a spelling that some parsers take for it.
    #[error("`{0}` stands twice in the body, or in a spelling that can be mistaken for it")]
    Ambiguous(&'static str),
    /// A value has a type or range that cannot be served.
    #[error("`{key}` must be {wanted}")]
    Value {
        /// The key.
        key: &'static str,
        /// What it must be.
        wanted: &'static str,
    },
    /// No model is named.
    #[error("`model` is missing")]
    NoModel,
    /// The body names another model than the path or the query.
    #[error("`model` in the body differs from the model in the path or query")]
    ModelsDiffer,
    /// A key that lets the upstream choose another model.
    #[error("`{0}` is not served here: it lets the upstream choose another model than the one counted")]
    ForeignChoice(&'static str),
    /// The multipart body is broken or ambiguous.
    #[error("the multipart body is not valid: {0}")]
    Multipart(&'static str),
    /// The call has no body to read.
    #[error("this call carries no body")]
    NoBody,
}

impl ScanError {
    /// The answer for the caller.
    pub fn problem(&self) -> Problem {
        let mut text = self.to_string();
        if let Some(first) = text.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        text.push('.');
        Problem::new(Kind::InvalidRequest, text)
    }
}

impl From<Fault> for ScanError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Syntax { at, why } => Self::NotJson { at, why },
            Fault::TooDeep => Self::TooDeep,
        }
    }
}
