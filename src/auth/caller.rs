//! The caller: what the rest of the gateway knows about who is asking.
//!
//! Owns the rule for ids that come from outside. Must not know how a caller was verified.

use std::net::IpAddr;
use std::sync::Arc;

use super::address::anonymous_address;
use super::error::AuthError;

/// The longest user, team, plan or role name, in bytes. Ids become parts of keys and rows; OIDC allows 255 for `sub`.
pub(super) const ID_BYTES_MAX: usize = 256;

/// Who is calling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// A verified user, or an address without a credential.
    pub identity: Identity,
    /// The user's id: 1 to 256 bytes, one line. Always there for [`Identity::User`], never for anonymous callers.
    pub user: Option<String>,
    /// The team's id, if the token names one; same form as `user`.
    pub team: Option<String>,
    /// The plan's name, if the token names one; same form as `user`. Whether it exists is for the policy to say.
    pub plan: Option<String>,
    /// What the caller may do beside chatting.
    pub role: Role,
    /// The name of the configured issuer that signed the token.
    pub issuer: Option<Arc<str>>,
}

/// How the caller is told apart from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Identity {
    /// By [`Caller::user`].
    User,
    /// By address.
    Anonymous {
        /// IPv4 whole, IPv6 by its /64.
        address: IpAddr,
    },
}

/// What a caller may do beside chatting.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Role {
    /// See and use their own.
    #[default]
    User,
    /// See and change everybody's.
    Admin,
    /// Some other role that the token names; it grants nothing by itself.
    Other(String),
}

impl Caller {
    /// A caller without a credential.
    pub fn anonymous(address: IpAddr) -> Self {
        Self {
            identity: Identity::Anonymous { address: anonymous_address(address) },
            user: None,
            team: None,
            plan: None,
            role: Role::User,
            issuer: None,
        }
    }

    /// Whether the caller may see and change everybody's usage.
    pub fn is_admin(&self) -> bool {
        self.role == Role::Admin
    }
}

impl Role {
    /// The role's name, as tokens and configuration spell it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::User => "user",
            Self::Admin => "admin",
            Self::Other(name) => name,
        }
    }
}

impl From<String> for Role {
    fn from(name: String) -> Self {
        match name.as_str() {
            "user" => Self::User,
            "admin" => Self::Admin,
            _ => Self::Other(name),
        }
    }
}

/// Checks an id from a token: 1 to 256 bytes, and nothing that could break or bend a line of a log.
pub(super) fn checked_id(id: &str) -> Result<String, AuthError> {
    if id.is_empty() || id.len() > ID_BYTES_MAX || id.chars().any(bends_a_line) {
        return Err(AuthError::Identity);
    }
    Ok(id.to_owned())
}

/// Control characters, line and paragraph separators, and the marks that reorder text (Unicode UAX 9).
pub(super) fn bends_a_line(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{061c}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
                | '\u{feff}'
        )
}
