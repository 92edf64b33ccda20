//! From a request's header to a permit: route, credential, body, model, upstream, hold. Each step may end the request
//! with an answer of our own; nothing goes upstream before the last.

use std::mem;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, Method};
use pingora::Result;
use pingora::proxy::Session;

use super::attempts::Attempts;
use super::context::{Answer, Context, Forward, Stage};
use super::problem::{self, Refused};
use super::replay::{Shared, placeholder};
use super::{Gateway, body, cors, respond};
use crate::auth::{AuthError, Caller, ClientClaims, client_address, client_claims};
use crate::dialect::{
    Ask, Dialect, Kind, Problem, REQUEST_ID, Route, RouteError, needs_usage, query_key, rewrite, route, scan,
};
use crate::gate::{Asked, Who};
use crate::telemetry::{Labels, outcome};
use crate::upstream::UpstreamTable;

/// Longest request id that is taken over, in bytes.
const REQUEST_ID_MAX: usize = 128;

/// Where a step led.
enum Step {
    Forward(Box<Forward>),
    Refused(Refused),
    /// Nobody is there to be answered.
    Gone,
}

impl Gateway {
    /// The whole way in. True: the request was answered here.
    pub(super) async fn intake(&self, session: &mut Session, ctx: &mut Context) -> Result<bool> {
        let header = session.req_header();
        ctx.request_id = self.request_id(&header.headers);
        ctx.origin = cors::allowed_origin(&header.headers, &self.edge.load().cors_origins);
        if cors::is_preflight(&header.method, &header.headers) {
            return respond::preflight(session, ctx).await.map(|()| true);
        }
        let target = header.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
        let found = match route(&header.method, &target, &header.headers) {
            Ok(Some(found)) => found,
            Ok(None) => return self.serve_page(session, ctx).await.map(|()| true),
            Err(RouteError::MethodNotAllowed { dialect, allow }) if header.method == Method::OPTIONS => {
                ctx.dialect = dialect;
                return respond::options(session, ctx, allow).await.map(|()| true);
            }
            Err(error) => {
                ctx.dialect = error.dialect();
                respond::refuse(session, ctx, Refused::new(error.problem(), outcome::BAD_REQUEST)).await?;
                return Ok(true);
            }
        };
        ctx.dialect = found.dialect;
        ctx.labels.dialect = found.dialect.as_str();
        let (who, claims) = match self.who(session, &found, &target).await {
            Ok(found) => found,
            Err(refused) => return respond::refuse(session, ctx, refused).await.map(|()| true),
        };
        ctx.labels.plan = who.plan.name.to_string();
        if found.endpoint.answered_here() {
            match self.models(&found, &who) {
                Ok(body) => respond::json(session, ctx, body).await?,
                Err(refused) => respond::refuse(session, ctx, refused).await?,
            }
            return Ok(true);
        }
        match self.admit(session, ctx, found, (&who, claims)).await {
            Step::Forward(forward) => {
                ctx.stage = Stage::Forwarding(forward);
                Ok(false)
            }
            Step::Refused(refused) => respond::refuse(session, ctx, refused).await.map(|()| true),
            Step::Gone => {
                session.set_keepalive(None);
                ctx.stage = Stage::Answered(Some(outcome::CANCELLED));
                Ok(true)
            }
        }
    }

    async fn who(
        &self,
        session: &Session,
        route: &Route,
        target: &str,
    ) -> Result<(Who, ClientClaims), Refused> {
        let headers = &session.req_header().headers;
        let query = target.split_once('?').map(|(_, query)| query);
        let key = query.filter(|_| route.dialect == Dialect::Gemini).and_then(query_key);
        let caller = self.caller(session, key.as_deref()).await.map_err(problem::of_auth)?;
        let who = self.gate.identify(&caller).map_err(|denied| problem::of_denied(&denied))?;
        Ok((who, client_claims(&self.edge.load().client_rules, headers, caller.issuer.as_deref())))
    }

    /// Who is calling: a verified user, or nobody at this address.
    async fn caller(&self, session: &Session, query_key: Option<&str>) -> Result<Caller, AuthError> {
        let headers = &session.req_header().headers;
        let auth = self.auth.load_full();
        let Some(credential) = auth.credential(headers, query_key)? else {
            return Ok(Caller::anonymous(self.address(session)));
        };
        if let Some(caller) = auth.service(&credential, headers, peer(session))? {
            return Ok(caller);
        }
        let cached = auth.cached(&credential);
        self.metrics.tokens_cache().looked_up(cached.is_some());
        let verified = match cached {
            Some(verified) => verified,
            None => auth.authenticate(&credential).await?,
        };
        Ok(verified.caller().clone())
    }

    pub(super) fn address(&self, session: &Session) -> IpAddr {
        client_address(peer(session), &session.req_header().headers, &self.edge.load().trusted_proxies)
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

    /// Body, model, upstream, hold.
    async fn admit(
        &self,
        session: &mut Session,
        ctx: &mut Context,
        route: Route,
        (who, claims): (&Who, ClientClaims),
    ) -> Step {
        let headers = &session.req_header().headers;
        if headers.get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
            let text = "A compressed request body is not accepted: send it without `Content-Encoding`.";
            let problem = Problem { status: 415, ..Problem::new(Kind::InvalidRequest, text) };
            return Step::Refused(Refused::new(problem, outcome::BAD_REQUEST));
        }
        let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let max_body_bytes = self.edge.load().max_body_bytes;
        let raw = match body::read(session, max_body_bytes).await {
            Ok(raw) => raw,
            Err(error) => {
                return problem::of_body(&error, max_body_bytes).map_or(Step::Gone, Step::Refused);
            }
        };
        let ask = match scan(&route, content_type.as_deref(), &raw) {
            Ok(ask) => ask,
            Err(error) => return Step::Refused(Refused::new(error.problem(), outcome::BAD_REQUEST)),
        };
        let table = self.upstreams.load_full();
        let model = table.resolve(&ask.model).to_owned();
        let attempts = match self.first(table, route.dialect, &model, who) {
            Ok(attempts) => attempts,
            Err(refused) => return Step::Refused(refused),
        };
        ctx.labels = self.labels(ctx.labels.dialect, &attempts.chosen.upstream.name, &model, who);
        let permit = if route.endpoint.metered() {
            let asked = asked(&ctx.request_id, &route, (&ask, claims), &attempts);
            match self.gate.admit(who, asked).await {
                Ok(permit) => Some(permit),
                Err(denied) => return Step::Refused(problem::of_denied(&denied)),
            }
        } else {
            None
        };
        let usage_added = permit.is_some() && needs_usage(&route, &ask);
        let sent = rewrite(&route, &ask, &raw, Some(&model), usage_added);
        let sent = sent.map_or_else(|| raw.clone(), Bytes::from);
        let body_bytes = sent.len();
        let original = mem::replace(&mut *session.downstream_session, placeholder());
        let (wrapped, shared) = Shared::wrap(original, sent);
        *session.downstream_session = wrapped;
        Step::Forward(Box::new(Forward {
            route,
            ask,
            model,
            attempts,
            raw,
            permit,
            shared,
            body_bytes,
            usage_added,
            before_upstream: ctx.started.elapsed(),
            sent: None,
            upstream_wait: None,
            is_2xx: false,
            answer: Answer::None,
        }))
    }

    /// Where the model leads first, if the plan includes it.
    fn first(
        &self,
        table: Arc<UpstreamTable>,
        dialect: Dialect,
        model: &str,
        who: &Who,
    ) -> Result<Attempts, Refused> {
        // who asks for a model that does not exist hears that, and not that the plan lacks it
        table.candidates(dialect.as_str(), model, 0).map_err(|error| problem::of_no_upstream(&error))?;
        self.gate.check_model(who, model).map_err(|denied| problem::of_denied(&denied))?;
        let stand_ins = table.fallbacks(model).iter();
        let stand_ins = stand_ins.filter(|instead| self.gate.may_stand_in(who, model, instead)).cloned();
        let stand_ins = stand_ins.collect();
        self.attempts(table, dialect, model, stand_ins)
    }

    fn labels(&self, dialect: &'static str, upstream: &str, model: &str, who: &Who) -> Labels {
        let groups = self.gate.rules().policy.groups_of(model);
        Labels {
            dialect,
            upstream: upstream.to_owned(),
            group: groups.first().map(|group: &Arc<str>| group.to_string()).unwrap_or_default(),
            plan: who.plan.name.to_string(),
        }
    }
}

/// Who opened the connection.
pub(super) fn peer(session: &Session) -> IpAddr {
    let peer = session.client_addr().and_then(|address| address.as_inet()).map(std::net::SocketAddr::ip);
    peer.unwrap_or(IpAddr::from([0, 0, 0, 0]))
}

fn asked(request_id: &str, route: &Route, (ask, claims): (&Ask, ClientClaims), attempts: &Attempts) -> Asked {
    Asked {
        request_id: request_id.to_owned(),
        dialect: route.dialect.as_str(),
        endpoint: route.endpoint.as_str(),
        upstream: attempts.chosen.upstream.name.clone(),
        model_requested: ask.model.clone(),
        model: attempts.model.clone(),
        stream: ask.stream || route.stream_by_path,
        task: claims.task,
        message_id: claims.message_id,
    }
}
