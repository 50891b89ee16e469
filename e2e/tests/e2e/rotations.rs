//! Signing keys that follow each other, sockets that authenticate again and again with what the old and
//! the new ones have signed, and in the midst of it a drain: no valid token is refused, and every call
//! is answered once.
//!
//! `TOLLGATE_ROTATIONS` says how many keys; a few without it. There are ten authentications for each.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tollgate_e2e::ahead::Ahead;
use tollgate_e2e::far::{Far, Ticker, count};
use tollgate_e2e::raw::{Received, Socket};
use tollgate_e2e::{PASSWORD, Tollgate};

const SOCKETS: usize = 10;
/// For each rotation.
const AUTHENTICATIONS: usize = 10;
/// A key signs when it has been published for so long.
const PUBLISHED: Duration = Duration::from_secs(16);

async fn login(tollgate: &Tollgate) -> anyhow::Result<String> {
    let login = json!({ "username": "ann", "password": PASSWORD });
    let (_, session) = tollgate.post("/api/v1/auth/login", None, &login).await?;
    Ok(session["jwt"].as_str().with_context(|| session.to_string())?.to_owned())
}

/// Rotates as authentications go on, and logs in after each.
async fn rotate(
    tollgate: &Tollgate,
    clock: &Ahead,
    rotations: usize,
    mut done: watch::Receiver<usize>,
    tokens: watch::Sender<Vec<String>>,
) -> anyhow::Result<()> {
    for number in 0..rotations {
        done.wait_for(|done| *done >= number * AUTHENTICATIONS).await?;
        clock.pass(PUBLISHED);
        tollgate.iam(json!({ "operation": "rotate-signing-key" })).await?;
        let token = login(tollgate).await?;
        tokens.send_modify(|tokens| tokens.push(token));
    }
    // The part before the first dot names the key, and nothing else that differs.
    let tokens = tokens.borrow();
    let keys: HashSet<_> = tokens.iter().filter_map(|token| token.split('.').next()).collect();
    ensure!(keys.len() >= rotations, "{} keys have signed", keys.len());
    Ok(())
}

/// A socket that authenticates again and again while it is served.
struct Client {
    socket: Socket,
    /// How often the last frame of each call has come.
    answered: HashMap<String, usize>,
    tokens: watch::Receiver<Vec<String>>,
    done: watch::Sender<usize>,
}

impl Client {
    async fn run(
        address: SocketAddr,
        number: usize,
        times: usize,
        tokens: watch::Receiver<Vec<String>>,
        done: watch::Sender<usize>,
    ) -> anyhow::Result<()> {
        let socket = Socket::open(address).await?;
        let mut client = Self { socket, answered: HashMap::new(), tokens, done };
        client.authenticate(number).await?;
        client.call("stream", json!({})).await?;
        for time in 1..times {
            let pause_ms = (number + time) % 4 * 10;
            client.call(&format!("{time}"), json!({ "pause_ms": pause_ms })).await?;
            client.authenticate(number + time * 7).await?;
        }
        client.socket.send(&json!({ "type": "cancel", "id": "stream" })).await?;
        let code = loop {
            match client.socket.next().await? {
                Received::Frame(frame) => client.note(&frame)?,
                Received::Closed(code) => break code,
                Received::Gone => anyhow::bail!("gone without a close"),
            }
        };
        ensure!(code == 1012, "{code}");
        ensure!(client.answered.values().all(|times| *times == 1), "{:?}", client.answered);
        Ok(())
    }

    async fn call(&mut self, id: &str, request: Value) -> anyhow::Result<()> {
        self.answered.insert(id.to_owned(), 0);
        let call = json!({ "id": id, "service": "mine", "flow": "default", "request": request });
        self.socket.send(&call).await
    }

    /// With one of the tokens so far, old ones among them.
    async fn authenticate(&mut self, choice: usize) -> anyhow::Result<()> {
        let token = {
            let tokens = self.tokens.borrow();
            tokens[choice % tokens.len()].clone()
        };
        let auth = json!({ "type": "auth", "token": token, "features": ["heartbeat"] });
        self.socket.send(&auth).await?;
        loop {
            let frame = self.socket.frame().await?;
            if frame["type"] == "auth-ok" {
                self.done.send_modify(|done| *done += 1);
                return Ok(());
            }
            self.note(&frame)?;
        }
    }

    fn note(&mut self, frame: &Value) -> anyhow::Result<()> {
        match frame["type"].as_str() {
            Some("going-away" | "heartbeat" | "closing") => return Ok(()),
            Some(_) => anyhow::bail!("{frame}"),
            None => {}
        }
        let id = frame["id"].as_str().with_context(|| frame.to_string())?;
        let kind = frame["error"]["type"].as_str();
        ensure!(matches!(kind, None | Some("unavailable" | "cancelled")), "{frame}");
        let times = self.answered.get_mut(id).with_context(|| frame.to_string())?;
        *times += usize::from(frame["complete"] == true);
        ensure!(*times <= 1, "twice: {frame}");
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_valid_token_is_refused_while_keys_change_and_a_gateway_drains() -> anyhow::Result<()> {
    let rotations = count("TOLLGATE_ROTATIONS", 20)?;
    let all = rotations * AUTHENTICATIONS;
    let (clock, ticker) = (Ahead::shared(), Ticker::start().await?);
    let tollgate = Tollgate::start_by(clock.clone(), &[]).await?;
    tollgate.user("ann", "writer").await?;
    let settings = [("gateway.drain", "60s")];
    let far = Far::start(&tollgate.road()?, &ticker.registry(), &settings).await?;
    let (tokens, known) = watch::channel(vec![login(&tollgate).await?]);
    let (done, mut counted) = watch::channel(0);
    let mut clients = JoinSet::new();
    for number in 0..SOCKETS {
        let (times, known, done) = (all / SOCKETS, known.clone(), done.clone());
        clients.spawn(Client::run(far.address, number, times, known, done));
    }
    let drained = async {
        counted.wait_for(|done| *done >= all / 2).await?;
        ensure!(far.stop().await, "something is left behind");
        Ok(())
    };
    let served = async {
        while let Some(client) = clients.join_next().await {
            client??;
        }
        Ok(())
    };
    tokio::try_join!(
        rotate(&tollgate, &clock, rotations, done.subscribe(), tokens),
        drained,
        served
    )?;
    let done = *done.borrow();
    ensure!(done == all, "{done} of {all}");
    Ok(())
}
