//! The floor of `scripts/bench`: the smallest Pingora proxy, one worker, one upstream, the allocator and the size
//! of the product's pool, and nothing of what the product does. It must not know tollgate.
//!
//! `bench-bare PORT UPSTREAM_PORT`.

use std::net::{Ipv4Addr, SocketAddr};

use async_trait::async_trait;
use pingora::prelude::{HttpPeer, ProxyHttp, Session, http_proxy_service};
use pingora::server::Server;
use pingora::server::configuration::ServerConf;
use pingora::{Error, ErrorType, Result};

/// As in the product, so that the difference is the product's work and not the allocator's.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Idle upstream connections kept: as many as the product keeps.
const POOL_SIZE: usize = 512;

struct Bare {
    upstream: SocketAddr,
}

#[async_trait]
impl ProxyHttp for Bare {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _session: &mut Session, _ctx: &mut ()) -> Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.upstream, false, String::new())))
    }
}

fn main() -> Result<()> {
    let port = |at| std::env::args().nth(at).and_then(|port| port.parse::<u16>().ok());
    let (Some(listen), Some(upstream)) = (port(1), port(2)) else {
        return Err(Error::explain(ErrorType::InternalError, "usage: bench-bare PORT UPSTREAM_PORT"));
    };
    let conf = ServerConf { threads: 1, upstream_keepalive_pool_size: POOL_SIZE, ..ServerConf::default() };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let upstream = SocketAddr::from((Ipv4Addr::LOCALHOST, upstream));
    let mut service = http_proxy_service(&server.configuration, Bare { upstream });
    service.add_tcp(&format!("127.0.0.1:{listen}"));
    server.add_service(service);
    server.run_forever()
}
