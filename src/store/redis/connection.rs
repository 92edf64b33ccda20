//! This gateway's connections to the server, and the tasks that live as long as they do.
//!
//! It must not know domains or numbers.

use std::sync::Arc;

use fred::clients::SubscriberClient;
use fred::interfaces::{ClientLike, ClusterInterface, PubsubInterface};
use tokio::task::AbortHandle;

use super::breaker::Breaker;
use super::errors::fault;
use super::events::Events;
use super::link::Link;
use super::process::Processes;
use super::registry::{self, CHANNEL, Gateways};
use super::settings::{RedisSettings, lasting};
use crate::store::StoreError;

/// Connected, registered and listening.
pub(super) struct Connection {
    pub(super) link: Arc<Link>,
    subscriber: SubscriberClient,
    gateway_id: String,
    tasks: [AbortHandle; 3],
}

impl Connection {
    /// Connects, registers the gateway and begins to listen.
    pub(super) async fn open(
        settings: &RedisSettings,
        events: &Arc<Events>,
        gateways: &Arc<Gateways>,
    ) -> Result<Self, StoreError> {
        let failed = |error| fault("connect", &error);
        let config = settings.config()?;
        let mut builder = lasting(&config);
        let client = builder.build().map_err(failed)?;
        let subscriber = builder.with_config(|config| config.fail_fast = true).build_subscriber_client();
        let subscriber = subscriber.map_err(failed)?;
        client.init().await.map_err(failed)?;
        subscriber.init().await.map_err(failed)?;
        subscriber.subscribe(CHANNEL).await.map_err(failed)?;
        let processes = Processes::new(config);
        if processes.is_cluster() {
            processes.set_routing(client.cached_cluster_state());
        } else {
            // now, so that the first request does not spend its 100 ms on it
            processes.load(None, None).await?;
        }
        let (breaker, events) = (Breaker::default(), Arc::clone(events));
        let link = Arc::new(Link { client, processes, breaker, events: Arc::clone(&events) });
        let gateway_id = settings.registry_id();
        registry::heartbeat(&link, gateways, &gateway_id).await.map_err(failed)?;
        let beat = tokio::spawn(registry::beat(link.clone(), gateways.clone(), gateway_id.clone()));
        let listen = tokio::spawn(registry::listen(subscriber.clone(), events));
        let doubt = tokio::spawn(registry::doubt(link.clone()));
        let tasks = [beat.abort_handle(), listen.abort_handle(), doubt.abort_handle()];
        Ok(Self { link, subscriber, gateway_id, tasks })
    }

    /// Leaves the registry and closes the connections, so that nobody waits for this gateway.
    pub(super) async fn close(&self) -> Result<(), StoreError> {
        self.stop_tasks();
        let failed = |error| fault("close", &error);
        registry::leave(&self.link, &self.gateway_id).await.map_err(failed)?;
        self.subscriber.quit().await.map_err(failed)?;
        self.link.client.quit().await.map_err(failed)
    }

    fn stop_tasks(&self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.stop_tasks();
    }
}
