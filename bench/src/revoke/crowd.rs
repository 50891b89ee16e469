//! Everybody's sockets, in calls: each sends one in its turn, whether or not answers come (an open
//! loop), and checks every frame that does.
//!
//! In: credentials. Out: the sockets of victims, one at a time and with no call under way, to whoever
//! takes something away; and in the end what the others saw.

use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use anyhow::{Context, bail};
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, Interval, interval_at, timeout};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_util::sync::CancellationToken;

use super::Args;
use super::deployment::Deployment;
use super::victim::Victim;
use crate::server::Entrance;
use crate::socket::{self, Socket};

/// How long the last answers of a socket may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What those saw from whom nothing was taken away.
#[derive(Debug, Default)]
pub(crate) struct Bystanders {
    /// How many there are.
    pub(crate) sockets: usize,
    /// Calls of all sockets that were answered as they should be.
    pub(crate) answers: u64,
    /// Sockets on which anything else came, or nothing.
    pub(crate) harmed: u64,
    /// What it was, the first time.
    pub(crate) first_harm: Option<String>,
}

/// All sockets that were not taken.
pub(crate) struct Crowd {
    tasks: JoinSet<()>,
    stop: CancellationToken,
    sockets: usize,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    answers: AtomicU64,
    harms: Mutex<Vec<String>>,
}

/// A socket that can be taken.
pub(crate) struct Handle(oneshot::Sender<mpsc::Sender<TcpStream>>);

impl Handle {
    /// Takes it, with no call under way.
    pub(crate) fn take(self) -> anyhow::Result<TcpStream> {
        let (give, given) = mpsc::channel();
        let Ok(()) = self.0.send(give) else { bail!("the socket of a victim has ended before") };
        given.recv_timeout(PATIENCE).context("the socket of a victim was not given")
    }
}

impl Crowd {
    /// Opens the sockets over all gateways by turns, and lets them call.
    pub(crate) async fn open(
        args: &Args,
        deployment: &Deployment,
        victims: &[Victim],
        keys: &[String],
    ) -> anyhow::Result<(Self, Vec<Handle>)> {
        let stop = CancellationToken::new();
        let (mut tasks, mut handles) = (JoinSet::new(), Vec::new());
        let shared = Arc::<Shared>::default();
        let period = Duration::from_secs(1).mul_f64(ratio(args.sockets, args.rate));
        let tokens = victims.iter().map(|victim| &victim.token).chain(keys.iter().cycle());
        // Neighbours in the order of their end are of different kinds, and on different gateways.
        let gateways = deployment.gateways.iter().cycle();
        for (number, (token, gateway)) in tokens.zip(gateways).take(args.sockets).enumerate() {
            let entrance = Entrance { address: *gateway, token: Some(token.clone()) };
            let socket = socket::open(&entrance).await.context("a socket was not opened")?;
            let (taker, asked) = oneshot::channel();
            if number < victims.len() {
                handles.push(Handle(taker));
            }
            let first = Instant::now() + period.mul_f64(ratio(number, args.sockets));
            let turns = interval_at(first, period);
            let member = Member { socket, turns, sent: 0, due: 0, shared: Arc::clone(&shared) };
            let stop = stop.clone();
            tasks.spawn(member.live(stop, asked));
        }
        let sockets = args.sockets - victims.len();
        Ok((Self { tasks, stop, sockets, shared }, handles))
    }

    /// Lets nobody call any more, waits for the last answers, and tells what was seen.
    pub(crate) async fn end(mut self) -> anyhow::Result<Bystanders> {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended?;
        }
        let harms = self.shared.harms.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Bystanders {
            sockets: self.sockets,
            answers: self.shared.answers.load(Ordering::Relaxed),
            harmed: harms.len() as u64,
            first_harm: harms.first().cloned(),
        })
    }
}

/// What of so many.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn ratio(part: usize, whole: usize) -> f64 {
    part as f64 / whole as f64
}

struct Member {
    socket: Socket,
    turns: Interval,
    sent: u64,
    /// Calls without an answer.
    due: u64,
    shared: Arc<Shared>,
}

/// What comes next to a socket.
enum Next {
    Stop,
    Turn,
    Heard(Option<Result<Message, Error>>),
    Taken(mpsc::Sender<TcpStream>),
}

impl Member {
    async fn live(
        mut self,
        stop: CancellationToken,
        asked: oneshot::Receiver<mpsc::Sender<TcpStream>>,
    ) {
        let shared = Arc::clone(&self.shared);
        let lived = async {
            match self.call(stop, asked).await? {
                Some(taker) => self.give(&taker).await,
                None => {
                    timeout(PATIENCE, self.hear_out()).await.context("calls without an answer")?
                }
            }
        };
        if let Err(harm) = lived.await {
            let harm = format!("{harm:#}");
            shared.harms.lock().unwrap_or_else(PoisonError::into_inner).push(harm);
        }
    }

    /// Calls until it ends, or is taken by somebody.
    async fn call(
        &mut self,
        stop: CancellationToken,
        mut asked: oneshot::Receiver<mpsc::Sender<TcpStream>>,
    ) -> anyhow::Result<Option<mpsc::Sender<TcpStream>>> {
        loop {
            // All four only wait, and lose nothing when another is first. A socket that nobody can
            // take has no sender, and that arm is off.
            let next = tokio::select! {
                biased;
                () = stop.cancelled() => Next::Stop,
                Ok(taker) = &mut asked, if !asked.is_terminated() => Next::Taken(taker),
                message = self.socket.next() => Next::Heard(message),
                _ = self.turns.tick() => Next::Turn,
            };
            match next {
                Next::Stop => return Ok(None),
                Next::Taken(taker) => return Ok(Some(taker)),
                Next::Heard(message) => self.hear(message)?,
                Next::Turn => {
                    self.sent += 1;
                    self.due += 1;
                    self.socket.send(Message::text(call(self.sent))).await?;
                }
            }
        }
    }

    fn hear(&mut self, message: Option<Result<Message, Error>>) -> anyhow::Result<()> {
        let text = socket::text_of(message.context("the server hung up")??)?;
        match Said::by(&text)? {
            Said::Success => self.due = self.due.checked_sub(1).context("a second answer")?,
            Said::Refusal | Said::Word => bail!("{text}"),
        }
        self.shared.answers.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Waits for all answers.
    async fn hear_out(&mut self) -> anyhow::Result<()> {
        while self.due > 0 {
            let message = self.socket.next().await;
            self.hear(message)?;
        }
        Ok(())
    }

    async fn give(mut self, taker: &mpsc::Sender<TcpStream>) -> anyhow::Result<()> {
        timeout(PATIENCE, self.hear_out()).await.context("calls without an answer")??;
        // Whoever took it and has gone away has said why.
        let _ = taker.send(self.socket.into_inner().into_std()?);
        Ok(())
    }
}

/// The frame of a call that is answered at once, in whatever workspace the caller is at home.
pub(crate) fn call(number: u64) -> String {
    format!(
        r#"{{"id":{number},"service":"embeddings","flow":"default","request":{{"of":{number}}}}}"#
    )
}

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    /// An answer of a call, or a part of one.
    Success,
    /// A call that failed.
    Refusal,
    /// Something that the server says of itself.
    Word,
}

impl Said {
    /// Reads a frame.
    pub(crate) fn by(text: &str) -> anyhow::Result<Self> {
        let frame: Value = serde_json::from_str(text).context("a frame that is no JSON")?;
        let response = frame.get("response");
        Ok(match response {
            Some(response) if response.get("error").is_none() => Self::Success,
            Some(_) => Self::Refusal,
            None if frame.get("error").is_some() => Self::Refusal,
            None => Self::Word,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_answers_are_successes() {
        for (frame, said) in [
            (r#"{"id":1,"response":{"echo":{}},"complete":true}"#, Said::Success),
            (r#"{"id":1,"response":{"part":1},"complete":false}"#, Said::Success),
            (r#"{"id":1,"response":{"error":{"type":"x"}},"complete":true}"#, Said::Refusal),
            (r#"{"id":1,"error":{"type":"access-denied"},"complete":true}"#, Said::Refusal),
            (r#"{"type":"auth-revoked","scope":"credential"}"#, Said::Word),
        ] {
            assert_eq!(Said::by(frame).unwrap(), said, "{frame}");
        }
    }
}
