//! Stands between the clients of a test and the gateway: whatever goes through, in either
//! direction, must be what `docs/asyncapi.json` says.
//!
//! In: connections of any client, ours or not. Out: the same bytes on the other side, and
//! complaints. Sockets under TLS pass unseen. Never: a byte changed, or a frame made.

mod exchange;
mod tap;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::protocol::Protocol;
use exchange::Exchange;

/// A listener in front of a gateway. Its connections end with it.
pub struct Witness {
    /// Where clients connect.
    pub address: SocketAddr,
    complaints: Complaints,
    /// Ends with the value.
    _accepting: JoinSet<()>,
}

#[derive(Clone, Default)]
struct Complaints(Arc<Mutex<Vec<String>>>);

impl Complaints {
    fn put(&self, complaint: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(complaint);
    }
}

/// Who sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Client,
    Gateway,
}

impl Witness {
    /// Listens for a gateway.
    ///
    /// # Errors
    /// There is no port, or no document.
    pub async fn before(gateway: SocketAddr) -> anyhow::Result<Self> {
        let protocol = Protocol::read()?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let complaints = Complaints::default();
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, gateway, protocol, complaints.clone()));
        Ok(Self { address, complaints, _accepting: accepting })
    }

    /// What was not as it should be, so far.
    pub fn complaints(&self) -> Vec<String> {
        self.complaints.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        let complaints = self.complaints();
        // One panic is enough.
        if !std::thread::panicking() {
            assert!(complaints.is_empty(), "{}", complaints.join("\n"));
        }
    }
}

async fn accept(
    listener: TcpListener,
    gateway: SocketAddr,
    protocol: &'static Protocol,
    complaints: Complaints,
) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        connections.spawn(serve(client, gateway, protocol, complaints.clone()));
    }
}

async fn serve(
    client: TcpStream,
    gateway: SocketAddr,
    protocol: &'static Protocol,
    complaints: Complaints,
) {
    let Ok(server) = TcpStream::connect(gateway).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((from_client, to_client), (from_server, to_server)) =
        (client.into_split(), server.into_split());
    let exchange = Mutex::new(Exchange::new(protocol));
    let told = tokio::try_join!(
        pass(End::Client, from_client, to_server, &exchange),
        pass(End::Gateway, from_server, to_client, &exchange),
    );
    // Either way the connection ends here; a reset is passed on as an end.
    if let Err(Some(complaint)) = told {
        complaints.put(complaint);
    }
}

/// Passes bytes on until there are no more. Fails with a complaint, or without one when a
/// connection is gone.
async fn pass(
    end: End,
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    exchange: &Mutex<Exchange>,
) -> Result<(), Option<String>> {
    let mut bytes = vec![0; 64 << 10];
    loop {
        let count = from.read(&mut bytes).await.map_err(|_| None)?;
        if count == 0 {
            return to.shutdown().await.map_err(|_| None);
        }
        exchange
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take(end, &bytes[..count])
            .map_err(Some)?;
        to.write_all(&bytes[..count]).await.map_err(|_| None)?;
    }
}
