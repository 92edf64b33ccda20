//! Names of what is counted together. A domain is the unit of atomicity: one domain, one Redis slot, one script call.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Whose messages count together in a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// Each user (or anonymous address) on its own; in a team: each member of that team.
    User,
    /// All members of the caller's team.
    Team,
}

impl Scope {
    /// The name used in configuration, keys and the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Team => "team",
        }
    }
}

/// What is checked together: a team with its members, a user without a team, or an anonymous address.
///
/// The text form is `kind:encoded-id`; the id is encoded so that no id can forge a Redis hash tag, a field separator or
/// a line break.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Domain(Arc<str>);

impl Domain {
    /// The domain of a team and all its members.
    pub fn team(id: &str) -> Self {
        Self(format!("team:{}", encode_id(id)).into())
    }

    /// The domain of a user without a team.
    pub fn user(id: &str) -> Self {
        Self(format!("user:{}", encode_id(id)).into())
    }

    /// The domain of an anonymous caller, told apart by network address.
    pub fn address(address: &str) -> Self {
        Self(format!("addr:{}", encode_id(address)).into())
    }

    /// A domain from its text form, as it stands in the ledger or the journal.
    pub fn from_text(text: &str) -> Self {
        Self(text.into())
    }

    /// The text form.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True for a team's domain, where team and member limits stand side by side.
    pub fn is_team(&self) -> bool {
        self.0.starts_with("team:")
    }

    /// The decoded id behind the kind.
    pub fn id(&self) -> String {
        self.0.split_once(':').map_or_else(String::new, |(_, id)| decode_id(id))
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What does not stand for itself in an encoded id.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'@').remove(b'+');

/// Encodes an id: ASCII letters, digits and `-_.@+` stand for themselves, every other byte becomes `%XX`.
/// One id has one encoding, so two ids never share a counter.
pub fn encode_id(id: &str) -> String {
    utf8_percent_encode(id, ENCODED).to_string()
}

/// The id behind an encoding made by [`encode_id`]; a text that is none comes back as it is.
pub fn decode_id(encoded: &str) -> String {
    percent_decode_str(encoded).decode_utf8().map_or_else(|_| encoded.to_owned(), Cow::into_owned)
}
