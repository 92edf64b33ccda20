//! The gateway's two doors: the proxy with our own pages for clients, the admin listener for operators.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Result;
use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::reload::Reload;
use super::{App, Tasks, active, authenticator, edge, threads, upstreams};
use crate::api::{self, AdminState, ApiState, OpenStreams};
use crate::gate::Gate;
use crate::notify::WebhookSettings;
use crate::proxy::{self, Resolver};
use crate::store::Outbox;
use crate::store::replica::Reads;
use crate::store::writer::WriterHandle;
use crate::telemetry::Metrics;
use crate::upstream::Fleet;

/// What the doors show beside the gate.
pub(super) struct Doors {
    pub(super) reads: Arc<Reads>,
    pub(super) outbox: Arc<dyn Outbox>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) webhooks: Arc<ArcSwap<Vec<WebhookSettings>>>,
}

impl App {
    /// The admin listener, and the proxy for the clients' listener.
    pub(super) fn open_doors(
        self,
        gate: &Arc<Gate>,
        doors: Doors,
        writer: &WriterHandle,
        (draining, stopping): (&Arc<AtomicBool>, &watch::Receiver<bool>),
        tasks: &mut Tasks,
    ) -> Result<(TcpListener, Arc<proxy::Proxy>)> {
        let Doors { reads, outbox, metrics, webhooks } = doors;
        let auth = authenticator(&self.settings, &self.clock)?;
        tasks.spawn(auth.keep_fresh());
        let auth = Arc::new(ArcSwap::new(auth));
        let resolver = Arc::new(Resolver::default());
        tasks.spawn(Arc::clone(&resolver).keep_fresh());
        let upstreams = Arc::new(ArcSwap::from_pointee(upstreams(&self.settings)));
        let prices = Arc::new(ArcSwap::from_pointee(self.settings.prices.clone()));
        let fleet = Arc::<Fleet>::default();
        tasks.spawn(proxy::keep_checked(Arc::clone(&upstreams), Arc::clone(&fleet)));
        let edge = Arc::new(ArcSwap::from_pointee(edge(&self.settings)));
        tasks.spawn(active::keep_active_users(Arc::clone(gate), Arc::clone(&reads), Arc::clone(&metrics)));
        let admin_state = AdminState {
            gate: Arc::clone(gate),
            reads: Arc::clone(&reads),
            metrics: Arc::clone(&metrics),
            writer: writer.clone(),
            draining: Arc::clone(draining),
        };
        tasks.spawn(serve_admin(self.admin, api::admin_router(admin_state)));
        let clock = self.clock.clone();
        if let Some(path) = self.reload_from {
            let reload = Reload {
                path,
                settings: self.settings,
                gate: Arc::clone(gate),
                auth: Arc::clone(&auth),
                upstreams: Arc::clone(&upstreams),
                prices: Arc::clone(&prices),
                edge: Arc::clone(&edge),
                webhooks,
                metrics: Arc::clone(&metrics),
                clock: self.clock,
            };
            tasks.spawn(reload.run());
        }
        let api = ApiState {
            gate: Arc::clone(gate),
            reads,
            outbox,
            clock,
            auth: Arc::clone(&auth),
            metrics: Arc::clone(&metrics),
            draining: Arc::clone(draining),
            streams: OpenStreams::default(),
        };
        let parts = proxy::Parts {
            gate: Arc::clone(gate),
            auth,
            upstreams,
            fleet,
            prices,
            resolver,
            metrics,
            pages: api::router(api),
            edge,
            stopping: stopping.clone(),
            threads: threads(),
        };
        Ok((self.clients, proxy::build(parts)))
    }
}

async fn serve_admin(listener: TcpListener, router: axum::Router) {
    let served = async {
        listener.set_nonblocking(true)?;
        axum::serve(tokio::net::TcpListener::from_std(listener)?, router).await
    };
    if let Err(error) = served.await {
        tracing::error!(%error, "the admin listener stopped");
    }
}
