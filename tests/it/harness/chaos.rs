//! A TCP proxy that can break, freeze, slow down or lose what passes: it stands before a store or an upstream. Owns
//! connections only; it must not know what they carry.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::Port;

/// How much is passed on at once.
const PIECE_BYTES: usize = 16 * 1024;

/// What the proxy does to its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    /// Everything passes.
    Clear,
    /// New connections are refused, open ones are reset.
    Broken,
    /// Each piece of a reply comes so much later.
    Delayed(Duration),
    /// Requests arrive, replies are lost: the effect is there, the caller never learns of it.
    RepliesLost,
}

/// The proxy.
pub struct ChaosProxy {
    /// Where clients connect.
    pub address: SocketAddr,
    target: Arc<Mutex<SocketAddr>>,
    weather: watch::Sender<Weather>,
    broken: watch::Receiver<bool>,
    serving: JoinHandle<()>,
    _port: Port,
}

impl ChaosProxy {
    /// Starts one before `target`, in clear weather.
    pub async fn before(target: SocketAddr) -> Self {
        let port = Port::free();
        let address = port.address();
        let (weather, seen) = watch::channel(Weather::Clear);
        let (is_broken, broken) = watch::channel(true);
        let target = Arc::new(Mutex::new(target));
        let serving = tokio::spawn(serve(address, Arc::clone(&target), seen, is_broken));
        let proxy = Self { address, target, weather, broken, serving, _port: port };
        proxy.set(Weather::Clear).await;
        proxy
    }

    /// Changes the weather; true of the listener when this returns.
    pub async fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
        let wanted = weather == Weather::Broken;
        self.broken.clone().wait_for(|broken| *broken == wanted).await.unwrap();
    }

    /// Breaks every connection; new ones go to another server, as after a fail-over behind one name.
    pub async fn redirect(&self, target: SocketAddr) {
        self.set(Weather::Broken).await;
        *self.target.lock().unwrap() = target;
        self.set(Weather::Clear).await;
    }
}

impl Drop for ChaosProxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(
    address: SocketAddr,
    target: Arc<Mutex<SocketAddr>>,
    mut weather: watch::Receiver<Weather>,
    is_broken: watch::Sender<bool>,
) {
    let for_connections = weather.clone();
    loop {
        let listener = TcpListener::bind(address).await.unwrap();
        is_broken.send_replace(false);
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let (client, _) = accepted.unwrap();
                    let target = *target.lock().unwrap();
                    tokio::spawn(carry(client, target, for_connections.clone()));
                }
                _ = weather.wait_for(|weather| *weather == Weather::Broken) => break,
            }
        }
        drop(listener);
        is_broken.send_replace(true);
        if weather.wait_for(|weather| *weather != Weather::Broken).await.is_err() {
            return;
        }
    }
}

/// One connection, until either side ends it or the weather does.
async fn carry(mut client: TcpStream, target: SocketAddr, weather: watch::Receiver<Weather>) {
    client.set_zero_linger().unwrap();
    client.set_nodelay(true).unwrap();
    let mut until_broken = weather.clone();
    let carried = async {
        let Ok(mut server) = TcpStream::connect(target).await else { return };
        server.set_nodelay(true).unwrap();
        let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
        // the end of one direction must not cut the other: a client may close its side and still read
        tokio::join!(pass(from_client, to_server, None), pass(from_server, to_client, Some(weather)));
    };
    tokio::select! {
        () = carried => {}
        // dropped with a linger of zero: the client sees a reset
        _ = until_broken.wait_for(|weather| *weather == Weather::Broken) => {}
    }
}

async fn pass(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    reply_weather: Option<watch::Receiver<Weather>>,
) {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let length = from.read(&mut piece).await.unwrap_or(0);
        let weather = reply_weather.as_ref().map_or(Weather::Clear, |weather| *weather.borrow());
        match weather {
            Weather::RepliesLost => {
                if length == 0 {
                    return;
                }
                continue;
            }
            Weather::Delayed(by) => tokio::time::sleep(by).await,
            Weather::Clear | Weather::Broken => {}
        }
        if length == 0 {
            to.shutdown().await.ok();
            return;
        }
        if to.write_all(&piece[..length]).await.is_err() {
            return;
        }
    }
}
