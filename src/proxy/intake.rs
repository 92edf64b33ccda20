//! From a request's header to a permit: route, credential, body, model, upstream, hold. Each step may end the request
//! with an answer of our own; nothing goes upstream before the last.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, Method};
use pingora::Result;
use pingora::proxy::Session;

use super::context::{Answer, Context, Forward, Stage};
use super::problem::{self, Rejection};
use super::replay::Handover;
use super::{QuotaProxy, body, cors, models, respond};
use crate::auth::{AuthError, Caller, ClientClaims, client_address, client_claims};
use crate::dialect::{Ask, Dialect, Kind, Problem, REQUEST_ID, Route, needs_usage, query_key, route, scan};
use crate::gate::{Asked, Who};
use crate::snapshot::ConfigSnapshot;
use crate::telemetry::{Labels, outcome};

/// Longest request id that is taken over, in bytes.
const REQUEST_ID_MAX: usize = 128;

/// Why a request goes no further.
enum Stopped {
    Refused(Rejection),
    /// Nobody is there to be answered.
    Gone,
}

impl From<Rejection> for Stopped {
    fn from(rejection: Rejection) -> Self {
        Self::Refused(rejection)
    }
}

/// What becomes of a call.
enum Decision {
    Forward(Box<Forward>),
    /// JSON of our own.
    Answer(String),
}

/// Who asks, by which configuration, and what the client says of the call.
struct Requester {
    config: Arc<ConfigSnapshot>,
    who: Who,
    claims: ClientClaims,
}

impl QuotaProxy {
    /// The whole way in. True: the request was answered here.
    pub(super) async fn intake(&self, session: &mut Session, ctx: &mut Context) -> Result<bool> {
        // the one look at the configuration: what a reload brings meanwhile is for later requests
        let config = self.config.load_full();
        let header = session.req_header();
        ctx.request_id = self.request_id(&header.headers);
        ctx.origin = cors::allowed_origin(&header.headers, &config.cors_origins);
        if cors::is_preflight(&header.method, &header.headers) {
            return respond::preflight(session, ctx).await.map(|()| true);
        }
        let target = header.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
        let found = match route(&header.method, &target, &header.headers) {
            Ok(Some(found)) => found,
            Ok(None) => return self.serve_page(session, ctx).await.map(|()| true),
            Err(error) => {
                ctx.dialect = error.dialect;
                if let (Kind::MethodNotAllowed { allow }, &Method::OPTIONS) = (error.kind, &header.method) {
                    return respond::options(session, ctx, allow).await.map(|()| true);
                }
                respond::refuse(session, ctx, Rejection::new(error.problem(), outcome::BAD_REQUEST)).await?;
                return Ok(true);
            }
        };
        ctx.dialect = found.dialect;
        ctx.labels.dialect = found.dialect.as_str();
        match self.decide(session, ctx, config, found, &target).await {
            Ok(Decision::Forward(forward)) => {
                ctx.stage = Stage::Forwarding(forward);
                return Ok(false);
            }
            Ok(Decision::Answer(body)) => respond::json(session, ctx, body).await?,
            Err(Stopped::Refused(rejection)) => respond::refuse(session, ctx, rejection).await?,
            Err(Stopped::Gone) => {
                session.set_keepalive(None);
                ctx.stage = Stage::Answered(Some(outcome::CANCELLED));
            }
        }
        Ok(true)
    }

    /// What becomes of a call of one of the APIs.
    async fn decide(
        &self,
        session: &mut Session,
        ctx: &mut Context,
        config: Arc<ConfigSnapshot>,
        route: Route,
        target: &str,
    ) -> Result<Decision, Stopped> {
        let requester = self.requester(session, config, &route, target).await?;
        ctx.labels.plan = requester.who.plan.name.to_string();
        if route.endpoint.answered_here() {
            return Ok(Decision::Answer(models::models(&requester.config, &route, &requester.who)?));
        }
        let (raw, ask) = body_and_ask(session, &requester.config, &route).await?;
        self.admit(session, ctx, requester, route, raw, ask).await.map(Decision::Forward)
    }

    async fn requester(
        &self,
        session: &Session,
        config: Arc<ConfigSnapshot>,
        route: &Route,
        target: &str,
    ) -> Result<Requester, Rejection> {
        let headers = &session.req_header().headers;
        let query = target.split_once('?').map(|(_, query)| query);
        let key = query.filter(|_| route.dialect == Dialect::Gemini).and_then(query_key);
        let caller = self.caller(session, &config, key.as_deref()).await.map_err(problem::of_auth)?;
        let who = Who::of(&caller, Arc::clone(&config.rules)).map_err(problem::of_denied)?;
        let claims = client_claims(&config.client_rules, headers, caller.issuer.as_deref());
        Ok(Requester { config, who, claims })
    }

    /// Who is calling: a verified user, or nobody at this address.
    async fn caller(
        &self,
        session: &Session,
        config: &ConfigSnapshot,
        query_key: Option<&str>,
    ) -> Result<Caller, AuthError> {
        let (headers, peer) = (&session.req_header().headers, peer(session));
        let looked_up = |hit| self.metrics.token_looked_up(hit);
        let caller = config.auth.caller(headers, query_key, Some(peer), looked_up).await?;
        let nobody = || Caller::anonymous(client_address(peer, headers, &config.trusted_proxies));
        Ok(caller.unwrap_or_else(nobody))
    }

    fn request_id(&self, headers: &HeaderMap) -> String {
        let sent = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
        let well_formed = |id: &&str| {
            !id.is_empty()
                && id.len() <= REQUEST_ID_MAX
                && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        };
        sent.filter(well_formed).map_or_else(|| self.gate.new_id().to_string(), str::to_owned)
    }

    /// Model, upstream, hold.
    async fn admit(
        &self,
        session: &mut Session,
        ctx: &mut Context,
        requester: Requester,
        route: Route,
        raw: Bytes,
        ask: Ask,
    ) -> Result<Box<Forward>, Stopped> {
        let Requester { config, who, claims } = requester;
        let model = config.upstreams.resolve(&ask.model).to_owned();
        let attempts = self.first_attempt(&config, route.dialect, &model, &who)?;
        ctx.labels = labels(ctx.labels.dialect, &attempts.chosen.upstream.name, &model, &who);
        let permit = if route.endpoint.metered() {
            let asked = Asked {
                request_id: ctx.request_id.clone(),
                dialect: route.dialect.as_str(),
                endpoint: route.endpoint.as_str(),
                upstream: attempts.chosen.upstream.name.clone(),
                model_requested: ask.model.clone(),
                model: attempts.model.clone(),
                stream: ask.stream || route.stream_by_path,
                task: claims.task,
                message_id: claims.message_id,
            };
            Some(self.gate.admit(&who, asked).await.map_err(problem::of_denied)?)
        } else {
            None
        };
        let usage_added = permit.is_some() && needs_usage(&route, &ask);
        let mut forward = Box::new(Forward {
            route,
            ask,
            model,
            attempts,
            raw,
            permit,
            config,
            handover: Handover::wrap(session),
            body_bytes: 0,
            usage_added,
            before_upstream: ctx.started.elapsed(),
            sent: None,
            upstream_wait: None,
            is_2xx: false,
            answer: Answer::None,
        });
        forward.offer_body();
        Ok(forward)
    }
}

/// The whole body, and what it asks for.
async fn body_and_ask(
    session: &mut Session,
    config: &ConfigSnapshot,
    route: &Route,
) -> Result<(Bytes, Ask), Stopped> {
    let headers = &session.req_header().headers;
    if headers.get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
        let text = "A compressed request body is not accepted: send it without `Content-Encoding`.";
        let problem = Problem { status: 415, ..Problem::new(Kind::InvalidRequest, text) };
        return Err(Rejection::new(problem, outcome::BAD_REQUEST).into());
    }
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let raw = body::read(session, config.max_body_bytes).await.map_err(|error| {
        problem::of_body(&error, config.max_body_bytes).map_or(Stopped::Gone, Stopped::Refused)
    })?;
    let ask = scan(route, content_type.as_deref(), &raw)
        .map_err(|error| Rejection::new(error.problem(), outcome::BAD_REQUEST))?;
    Ok((raw, ask))
}

fn labels(dialect: &'static str, upstream: &str, model: &str, who: &Who) -> Labels {
    let groups = who.rules.policy.groups_of(model);
    Labels {
        dialect,
        upstream: upstream.to_owned(),
        group: groups.first().map(|group: &Arc<str>| group.to_string()).unwrap_or_default(),
        plan: who.plan.name.to_string(),
    }
}

/// Who opened the connection.
pub(super) fn peer(session: &Session) -> IpAddr {
    let peer = session.client_addr().and_then(|address| address.as_inet()).map(std::net::SocketAddr::ip);
    peer.unwrap_or(IpAddr::from([0, 0, 0, 0]))
}
