//! Pages and APIs of our own on the client's listener: the request goes to an axum router in this process, and its
//! answer back, piece by piece.

use axum::body::Body;
use http::Method;
use http::header::ACCESS_CONTROL_ALLOW_ORIGIN;
use http_body_util::BodyExt;
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use pingora::{ErrorType, OrErr, Result};
use tower::ServiceExt;

use super::context::{Context, Stage};
use super::intake::peer;
use super::{QuotaProxy, body, cors, problem, respond};
use crate::auth::Peer;
use crate::dialect::{Dialect, REQUEST_ID};

/// Largest request body of our own API.
const API_BODY_MAX: u64 = 64 * 1024;

impl QuotaProxy {
    /// Serves a request for one of our own pages.
    pub(super) async fn serve_page(&self, session: &mut Session, ctx: &mut Context) -> Result<()> {
        ctx.dialect = Dialect::OpenAi;
        ctx.stage = Stage::Answered(None);
        let raw = match body::read(session, API_BODY_MAX).await {
            Ok(raw) => raw,
            Err(error) => {
                return match problem::of_body(&error, API_BODY_MAX) {
                    Some(refused) => respond::refuse(session, ctx, refused).await,
                    None => Ok(()),
                };
            }
        };
        let head = session.req_header();
        let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
        // a router asked with HEAD forgets the body's length: it is asked with GET, and `write` leaves the body out
        let method = if head.method == Method::HEAD { Method::GET } else { head.method.clone() };
        let mut request = http::Request::builder().method(method).uri(target);
        if let Some(headers) = request.headers_mut() {
            headers.clone_from(&head.headers);
        }
        // a service's key is good from its own peers only
        let request = request.extension(Peer(peer(session)));
        let request =
            request.body(Body::from(raw)).or_err(ErrorType::InvalidHTTPHeader, "the request is not valid")?;
        let Ok(response) = self.pages.clone().oneshot(request).await;
        write(session, ctx, response).await
    }
}

async fn write(session: &mut Session, ctx: &Context, response: http::Response<Body>) -> Result<()> {
    let (parts, mut pieces) = response.into_parts();
    let mut header = ResponseHeader::build(parts.status, Some(parts.headers.len() + 2))?;
    for (name, value) in &parts.headers {
        header.append_header(name.clone(), value)?;
    }
    header.insert_header(REQUEST_ID, &ctx.request_id)?;
    if let Some(origin) =
        ctx.origin.as_deref().filter(|_| !parts.headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN))
    {
        cors::allow(&mut header, origin)?;
    }
    let is_head = session.req_header().method == Method::HEAD;
    match http_body::Body::size_hint(&pieces).exact() {
        Some(bytes) => header.insert_header(http::header::CONTENT_LENGTH, bytes)?,
        None => header.insert_header(http::header::TRANSFER_ENCODING, "chunked")?,
    }
    session.write_response_header(Box::new(header), is_head).await?;
    if is_head {
        return Ok(());
    }
    while let Some(frame) = pieces.frame().await {
        let frame = frame.or_err(ErrorType::InternalError, "a page broke off")?;
        if let Ok(data) = frame.into_data() {
            session.write_response_body(Some(data), false).await?;
        }
    }
    session.write_response_body(None, true).await
}
