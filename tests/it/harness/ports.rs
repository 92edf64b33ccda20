//! Ports that stay this test's own, so that a gateway can be started again on the port it had.
//!
//! They lie below the range that the system gives to outgoing connections, and a locked file keeps other tests off them.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// First port, and how many are tried: below 32768, where Linux begins to choose by itself.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// How far apart two processes begin to look.
const STRIDE: u32 = 97;

/// The next port this process looks at, relative to its own start.
static NEXT: AtomicU16 = AtomicU16::new(0);

/// A port on 127.0.0.1 that no other test takes while this lives.
pub struct Port {
    number: u16,
    _lock: File,
}

impl Port {
    /// A free one.
    pub fn free() -> Self {
        let locks = std::env::temp_dir().join("tollgate-it-ports");
        std::fs::create_dir_all(&locks).unwrap();
        for _ in 0..COUNT {
            let step = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
            let offset = (std::process::id().wrapping_mul(STRIDE).wrapping_add(step)) % u32::from(COUNT);
            let number = FIRST + u16::try_from(offset).unwrap();
            let lock = File::create(locks.join(number.to_string())).unwrap();
            if lock.try_lock().is_ok() && TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok() {
                return Self { number, _lock: lock };
            }
        }
        panic!("no free port from {FIRST} on");
    }

    /// The address.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.number))
    }
}
