//! The caller of an API request: an extractor that every handler names, so that its signature shows its powers.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;

use super::ApiState;
use super::error::ApiError;
use crate::auth::{AuthError, Caller, Peer};

/// A verified user, or one whom a trusted service names. Anonymous callers have no usage to see.
pub struct SignedIn(pub Arc<Caller>);

impl FromRequestParts<ApiState> for SignedIn {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, ApiError> {
        let auth = state.auth.load_full();
        let credential = auth.credential(&parts.headers, None)?.ok_or(AuthError::Missing)?;
        if let Some(Peer(peer)) = parts.extensions.get()
            && let Some(caller) = auth.service(&credential, &parts.headers, *peer)?
        {
            return Ok(Self(Arc::new(caller)));
        }
        let cached = auth.cached(&credential);
        state.metrics.tokens_cache().looked_up(cached.is_some());
        let verified = match cached {
            Some(verified) => verified,
            None => auth.authenticate(&credential).await?,
        };
        Ok(Self(Arc::new(verified.caller().clone())))
    }
}
