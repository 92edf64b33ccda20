//! The chaos proxy does what it says: the fault tests stand on it.

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::harness::{ChaosProxy, Weather, within};

/// A server that sends back each byte, raised by one, and tells which bytes it got.
async fn server() -> (std::net::SocketAddr, mpsc::UnboundedReceiver<u8>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, heard) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let tell = tell.clone();
            tokio::spawn(async move {
                while let Ok(byte) = socket.read_u8().await {
                    tell.send(byte).ok();
                    if socket.write_u8(byte + 1).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (address, heard)
}

async fn ask(socket: &mut TcpStream, byte: u8) -> std::io::Result<u8> {
    socket.write_u8(byte).await?;
    within("a reply", socket.read_u8()).await
}

#[tokio::test]
async fn clear_weather_passes_both_ways_and_the_end_as_well() {
    let (target, _heard) = server().await;
    let proxy = ChaosProxy::before(target).await;
    let mut socket = TcpStream::connect(proxy.address).await.unwrap();
    for byte in 0..100 {
        assert_eq!(ask(&mut socket, byte).await.unwrap(), byte + 1);
    }
    socket.write_all(&[7, 8]).await.unwrap();
    socket.shutdown().await.unwrap();
    let mut rest = Vec::new();
    within("the end", socket.read_to_end(&mut rest)).await.unwrap();
    assert_eq!(rest, [8, 9]);
}

#[tokio::test]
async fn broken_resets_open_connections_and_refuses_new_ones_until_restored() {
    let (target, _heard) = server().await;
    let proxy = ChaosProxy::before(target).await;
    let mut socket = TcpStream::connect(proxy.address).await.unwrap();
    assert_eq!(ask(&mut socket, 1).await.unwrap(), 2);
    proxy.set(Weather::Broken).await;
    let error = within("a reset", socket.read_u8()).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    let error = TcpStream::connect(proxy.address).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    proxy.set(Weather::Clear).await;
    let mut socket = TcpStream::connect(proxy.address).await.unwrap();
    assert_eq!(ask(&mut socket, 1).await.unwrap(), 2);
}

#[tokio::test]
async fn lost_replies_leave_the_effect() {
    let (target, mut heard) = server().await;
    let proxy = ChaosProxy::before(target).await;
    let mut socket = TcpStream::connect(proxy.address).await.unwrap();
    assert_eq!(ask(&mut socket, 1).await.unwrap(), 2);
    assert_eq!(heard.recv().await, Some(1));
    proxy.set(Weather::RepliesLost).await;
    socket.write_u8(20).await.unwrap();
    assert_eq!(within("the request", heard.recv()).await, Some(20));
    let silence = tokio::time::timeout(Duration::from_millis(100), socket.read_u8()).await;
    assert!(silence.is_err(), "a reply came through: {silence:?}");
    proxy.set(Weather::Clear).await;
    assert_eq!(ask(&mut socket, 30).await.unwrap(), 31, "the lost reply stays lost");
}

#[tokio::test]
async fn delayed_replies_come_late_and_whole() {
    let (target, mut heard) = server().await;
    let proxy = ChaosProxy::before(target).await;
    let mut socket = TcpStream::connect(proxy.address).await.unwrap();
    proxy.set(Weather::Delayed(Duration::from_millis(300))).await;
    socket.write_u8(1).await.unwrap();
    assert_eq!(within("the request", heard.recv()).await, Some(1), "requests are not delayed");
    let early = tokio::time::timeout(Duration::from_millis(50), socket.read_u8()).await;
    assert!(early.is_err(), "the reply was not delayed");
    assert_eq!(within("the reply", socket.read_u8()).await.unwrap(), 2);
}
