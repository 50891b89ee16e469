//! What connections of a gateway to IAM run through, so that a test can cut them.
//!
//! In: connections, and the state that the cable is in. Out: the same bytes on the other side. Never: a
//! byte lost that was not refused. What waits while the cable is silent comes when it is whole again:
//! late answers are part of what a gateway has to stand.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// A cable. Its connections end with it.
pub struct Cable {
    /// Where the gateway connects.
    pub address: SocketAddr,
    state: watch::Sender<State>,
    _accepting: JoinSet<()>,
}

/// How much gets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// All of it.
    Whole,
    /// Nothing: connections are gone, and new ones end at once.
    Broken,
    /// Nothing, and nobody is told.
    Silent,
    /// Questions, and no answers.
    Deaf,
}

#[derive(Clone, Copy)]
enum Way {
    ToIam,
    ToGateway,
}

impl State {
    fn carries(self, way: Way) -> bool {
        match (self, way) {
            (Self::Whole, _) | (Self::Deaf, Way::ToIam) => true,
            (Self::Broken | Self::Silent, _) | (Self::Deaf, Way::ToGateway) => false,
        }
    }
}

impl Cable {
    /// Lays one.
    pub async fn to(iam: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (state, seen) = watch::channel(State::Whole);
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, iam, seen));
        Ok(Self { address, state, _accepting: accepting })
    }

    /// Puts it in this state; gives the time from which on it was.
    pub fn turn(&self, state: State) -> Instant {
        self.state.send_replace(state);
        Instant::now()
    }
}

async fn accept(listener: TcpListener, iam: SocketAddr, state: watch::Receiver<State>) {
    let mut connections = JoinSet::new();
    while let Ok((gateway, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        connections.spawn(serve(gateway, iam, state.clone()));
    }
}

async fn serve(gateway: TcpStream, iam: SocketAddr, state: watch::Receiver<State>) {
    let mut breaks = state.clone();
    let passed = async {
        let iam = TcpStream::connect(iam).await?;
        gateway.set_nodelay(true)?;
        iam.set_nodelay(true)?;
        let ((questions, to_gateway), (answers, to_iam)) = (gateway.into_split(), iam.into_split());
        tokio::try_join!(
            pass(questions, to_iam, Way::ToIam, state.clone()),
            pass(answers, to_gateway, Way::ToGateway, state),
        )
    };
    // A break before bytes. Either way both connections end here.
    tokio::select! {
        biased;
        _ = breaks.wait_for(|state| *state == State::Broken) => {}
        _ = passed => {}
    }
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    way: Way,
    mut state: watch::Receiver<State>,
) -> io::Result<()> {
    let mut bytes = vec![0; 16 << 10];
    loop {
        let count = from.read(&mut bytes).await?;
        // An error: the cable is gone, and this task with it.
        let _ = state.wait_for(|state| state.carries(way)).await;
        if count == 0 {
            return to.shutdown().await;
        }
        to.write_all(&bytes[..count]).await?;
    }
}
