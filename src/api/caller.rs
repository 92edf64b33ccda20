//! The caller of an API request: extractors that every handler names, so that its signature shows who may call it.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;

use super::error::ApiError;
use super::state::ApiState;
use crate::auth::{AuthError, Caller, Peer};

/// A verified user, or one whom a trusted service names. Anonymous callers have no usage to see.
pub struct SignedIn(pub Arc<Caller>);

impl FromRequestParts<ApiState> for SignedIn {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, ApiError> {
        let auth = Arc::clone(&state.config.load().auth);
        let peer = parts.extensions.get().map(|Peer(peer)| *peer);
        let looked_up = |hit| state.metrics.token_looked_up(hit);
        let caller = auth.caller(&parts.headers, None, peer, looked_up).await?;
        Ok(Self(Arc::new(caller.ok_or(AuthError::Missing)?)))
    }
}

/// A verified administrator; 403 for everybody else.
pub struct Administrator(pub Arc<Caller>);

impl FromRequestParts<ApiState> for Administrator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, ApiError> {
        let SignedIn(caller) = SignedIn::from_request_parts(parts, state).await?;
        if caller.is_admin() { Ok(Self(caller)) } else { Err(ApiError::forbidden()) }
    }
}
