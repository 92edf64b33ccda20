//! What a client claims of a call in headers of its own: what the call is for, and which message it belongs to. Owns
//! where such claims stand and to whose calls they may stand. Must not know what a claim is worth: the plan says that.

use http::HeaderMap;

/// Longest message id that is looked at, in bytes; a longer one counts as none. Chat apps send UUIDs.
pub(super) const MESSAGE_ID_BYTES_MAX: usize = 256;

/// How one app marks its calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientRules {
    /// The app's name in the configuration.
    pub name: String,
    /// Names of the issuers and services whose callers it speaks for; `None`: every caller.
    pub callers: Option<Vec<String>>,
    /// Headers that say what a call is for; the first that says something counts.
    pub task_headers: Vec<String>,
    /// What stands there for a background call. Case does not matter.
    pub background: Vec<String>,
    /// The header that carries the id of the user's message.
    pub message_id_header: Option<String>,
    /// Are its message ids believed? Only beside `callers`.
    pub trusted: bool,
}

/// What a call claims.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientClaims {
    /// The background class, as the configuration writes it; empty: a message.
    pub task: String,
    /// The id of the user's message, from an app that is trusted.
    pub message_id: Option<String>,
}

/// What the headers of a call claim. `issuer` is who vouched for the caller, if anybody did.
pub fn client_claims(rules: &[ClientRules], headers: &HeaderMap, issuer: Option<&str>) -> ClientClaims {
    let mut claims = ClientClaims::default();
    for app in rules.iter().filter(|app| app.speaks_for(issuer)) {
        if claims.task.is_empty() {
            claims.task = app.task(headers).unwrap_or_default();
        }
        if claims.message_id.is_none() && app.trusted && app.callers.is_some() {
            claims.message_id = app.message_id(headers);
        }
    }
    claims
}

impl ClientRules {
    fn speaks_for(&self, issuer: Option<&str>) -> bool {
        match &self.callers {
            None => true,
            Some(callers) => issuer.is_some_and(|issuer| callers.iter().any(|caller| caller == issuer)),
        }
    }

    fn task(&self, headers: &HeaderMap) -> Option<String> {
        let said = self.task_headers.iter().find_map(|name| only(headers, name))?;
        self.background.iter().find(|class| class.eq_ignore_ascii_case(said)).cloned()
    }

    fn message_id(&self, headers: &HeaderMap) -> Option<String> {
        let id = only(headers, self.message_id_header.as_deref()?)?;
        // a template that the app did not fill is no id: it would be the same for all messages
        (id.len() <= MESSAGE_ID_BYTES_MAX && !id.contains("{{")).then(|| id.to_owned())
    }
}

/// The value of a header that stands once and says something.
fn only<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let (value, more) = (values.next()?, values.next());
    let text = value.to_str().ok()?.trim();
    (more.is_none() && !text.is_empty()).then_some(text)
}
