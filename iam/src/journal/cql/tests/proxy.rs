//! A way to the cluster on which requests and answers get lost: whoever asks is told of a timeout
//! in the middle of a lightweight transaction, whether it was done or not.
//!
//! Frames of CQL's binary protocol, version 4: version, flags, stream (2 bytes), opcode, length
//! (4 bytes), body.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

const HEADER: usize = 9;
const RESPONSE: u8 = 0x84;
const ERROR: u8 = 0x00;
const EXECUTE: u8 = 0x0A;
const WRITE_TIMEOUT: i32 = 0x1100;
const SERIAL: u16 = 8;

/// How much gets lost.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Faults {
    /// It was done, and nobody says so.
    pub(super) answers_lost: f64,
    /// It was not done.
    pub(super) requests_lost: f64,
}

pub(super) struct Proxy {
    pub(super) address: SocketAddr,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Shared {
    faults: Mutex<Faults>,
    injected: AtomicU64,
}

impl Proxy {
    pub(super) async fn start(cluster: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (shared, cluster) = (Arc::<Shared>::default(), cluster.to_owned());
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, cluster, Arc::clone(&shared)));
        Self { address, shared, _tasks: tasks }
    }

    /// From now on.
    pub(super) fn inject(&self, faults: Faults) {
        *self.shared.faults.lock().unwrap() = faults;
    }

    /// How often.
    pub(super) fn injected(&self) -> u64 {
        self.shared.injected.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn strikes(&self, chance: impl Fn(&Faults) -> f64) -> bool {
        let strikes = rand::random_bool(chance(&self.faults.lock().unwrap()));
        self.injected.fetch_add(u64::from(strikes), Ordering::Relaxed);
        strikes
    }
}

async fn accept(listener: TcpListener, cluster: String, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let server = TcpStream::connect(&cluster).await.unwrap();
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let to_client = Arc::new(tokio::sync::Mutex::new(to_client));
        let lost = Arc::<Mutex<HashSet<[u8; 2]>>>::default();
        let requests = requests(
            from_client,
            to_server,
            Arc::clone(&to_client),
            Arc::clone(&lost),
            Arc::clone(&shared),
        );
        connections.spawn(requests);
        connections.spawn(answers(from_server, to_client, lost));
    }
}

type ToClient = Arc<tokio::sync::Mutex<OwnedWriteHalf>>;
/// The streams whose answers will be lost.
type Lost = Arc<Mutex<HashSet<[u8; 2]>>>;

async fn requests(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    back: ToClient,
    lost: Lost,
    shared: Arc<Shared>,
) {
    while let Some(frame) = read_frame(&mut from).await {
        let stream = [frame[2], frame[3]];
        if frame[4] == EXECUTE {
            if shared.strikes(|faults| faults.requests_lost) {
                let _ = back.lock().await.write_all(&timeout(stream)).await;
                continue;
            }
            if shared.strikes(|faults| faults.answers_lost) {
                lost.lock().unwrap().insert(stream);
            }
        }
        if to.write_all(&frame).await.is_err() {
            return;
        }
    }
}

async fn answers(mut from: OwnedReadHalf, to: ToClient, lost: Lost) {
    while let Some(mut frame) = read_frame(&mut from).await {
        let stream = [frame[2], frame[3]];
        if lost.lock().unwrap().remove(&stream) {
            frame = timeout(stream);
        }
        if to.lock().await.write_all(&frame).await.is_err() {
            return;
        }
    }
}

async fn read_frame(from: &mut OwnedReadHalf) -> Option<Vec<u8>> {
    let mut frame = vec![0; HEADER];
    from.read_exact(&mut frame).await.ok()?;
    let length = u32::from_be_bytes([frame[5], frame[6], frame[7], frame[8]]) as usize;
    frame.resize(HEADER + length, 0);
    from.read_exact(&mut frame[HEADER..]).await.ok()?;
    Some(frame)
}

/// What a coordinator says that gave up in the middle.
fn timeout([high, low]: [u8; 2]) -> Vec<u8> {
    let text = |text: &str| {
        let length = u16::try_from(text.len()).unwrap().to_be_bytes();
        [length.as_slice(), text.as_bytes()].concat()
    };
    let received = 0_i32.to_be_bytes();
    let needed = 1_i32.to_be_bytes();
    let body = [
        WRITE_TIMEOUT.to_be_bytes().as_slice(),
        &text("lost on the way"),
        &SERIAL.to_be_bytes(),
        &received,
        &needed,
        &text("CAS"),
    ]
    .concat();
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [[RESPONSE, 0, high, low, ERROR].as_slice(), &length, &body].concat()
}
