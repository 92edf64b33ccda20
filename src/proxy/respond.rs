//! The one place where an answer of our own is written to a client.

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE};
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora::proxy::Session;

use super::context::{Context, Stage};
use super::problem::Rejection;
use super::{body, cors};
use crate::dialect::{REQUEST_ID, Rendered, render};

/// Answers with a problem, in the caller's dialect.
///
/// # Errors
/// The connection's: the client has gone.
pub async fn refuse(session: &mut Session, ctx: &mut Context, rejection: Rejection) -> Result<()> {
    let Rejection { problem, outcome } = rejection;
    let Rendered { status, headers, body } = render(ctx.dialect, &problem, &ctx.request_id);
    ctx.stage = Stage::Answered(Some(outcome));
    body::discard_small(session).await;
    send(session, ctx, status, &headers, body.into()).await?;
    body::linger(session).await;
    Ok(())
}

/// Answers with JSON.
///
/// # Errors
/// The connection's.
pub async fn json(session: &mut Session, ctx: &mut Context, body: String) -> Result<()> {
    ctx.stage = Stage::Answered(None);
    let headers =
        [("content-type", "application/json".to_owned()), ("cache-control", "private, no-store".to_owned())];
    send(session, ctx, 200, &headers, body.into()).await
}

/// Answers a browser that asks what it may send.
///
/// # Errors
/// The connection's.
pub async fn preflight(session: &mut Session, ctx: &mut Context) -> Result<()> {
    ctx.stage = Stage::Answered(None);
    let header = cors::preflight(ctx.origin.as_deref(), &session.req_header().headers)?;
    body::discard_small(session).await;
    session.write_response_header(Box::new(header), true).await
}

/// Answers `OPTIONS` with the methods that a call takes (RFC 9110 §9.3.7).
///
/// # Errors
/// The connection's.
pub async fn options(session: &mut Session, ctx: &mut Context, allow: &str) -> Result<()> {
    ctx.stage = Stage::Answered(None);
    let mut header = ResponseHeader::build(204, Some(3))?;
    header.insert_header(ALLOW, format!("{allow}, OPTIONS"))?;
    header.insert_header(REQUEST_ID, &ctx.request_id)?;
    if let Some(origin) = &ctx.origin {
        cors::allow(&mut header, origin)?;
    }
    body::discard_small(session).await;
    session.write_response_header(Box::new(header), true).await
}

async fn send(
    session: &mut Session,
    ctx: &Context,
    status: u16,
    headers: &[(&'static str, String)],
    body: Bytes,
) -> Result<()> {
    let mut header = ResponseHeader::build(status, Some(headers.len() + 3))?;
    for (name, value) in headers {
        header.insert_header(*name, value)?;
    }
    if !header.headers.contains_key(CONTENT_TYPE) {
        header.insert_header(CONTENT_TYPE, "application/json")?;
    }
    header.insert_header(CONTENT_LENGTH, body.len())?;
    header.insert_header(REQUEST_ID, &ctx.request_id)?;
    if let Some(origin) = &ctx.origin {
        cors::allow(&mut header, origin)?;
    }
    let is_head = session.req_header().method == http::Method::HEAD;
    session.write_response_header(Box::new(header), is_head).await?;
    if !is_head {
        session.write_response_body(Some(body), true).await?;
    }
    Ok(())
}
