//! The cost of signing in with a token that nobody has shown before: on a socket that is open
//! already, and on one that is opened for it.
//!
//! Beside it stands the least that such a sign-in takes: one strict check of an Ed25519 signature
//! over as many bytes. It is made here, on the generator's core, in the same round.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context;
use ed25519_dalek::{Signer, SigningKey};
use futures_util::SinkExt;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use crate::measure::{allow_sockets, at_least_one, cpu_time, own_cpu_time};
use crate::report::{Report, Row};
use crate::rounds::Rounds;
use crate::server::{Arm, Entrance, Placement, Server};
use crate::socket;

/// Sockets that sign in at the same time.
const SLOTS: usize = 32;
/// Calls that are under way on the socket that mints.
const MINTING: usize = 32;

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many tokens each measurement has, all different.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = at_least_one)]
    tokens: usize,
    /// How often.
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = at_least_one)]
    rounds: usize,
    /// The tollgate binary, if it is not the one beside this one.
    #[arg(long, value_name = "PATH")]
    server: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy)]
enum Part {
    Verify,
    SignInAgain,
    ConnectAndSignIn,
}

const PARTS: [(Part, &str); 3] = [
    (Part::Verify, "signature alone"),
    (Part::SignInAgain, "on an open socket"),
    (Part::ConnectAndSignIn, "on a new socket"),
];

/// What one of them took.
#[derive(Debug, Clone, Copy)]
struct Sample {
    /// Microseconds of CPU each.
    cpu: f64,
    /// How many a second.
    rate: f64,
}

/// Measures and prints.
pub(crate) async fn run(args: &Args, placement: Placement) -> anyhow::Result<()> {
    allow_sockets(2 * SLOTS)?;
    let measure = async |(part, _)| match part {
        Part::Verify => verify(args.tokens),
        Part::SignInAgain | Part::ConnectAndSignIn => {
            let server = Server::start(Arm::Tollgate, args.server.as_deref(), placement).await?;
            let tokens = Arc::new(Tokens::mint(&server, args.tokens).await?);
            let before = (Instant::now(), cpu_time(server.pid)?);
            let mut slots = JoinSet::new();
            for _ in 0..SLOTS {
                let (entrance, tokens) = (server.entrance.clone(), Arc::clone(&tokens));
                match part {
                    Part::ConnectAndSignIn => slots.spawn(connect_and_sign_in(entrance, tokens)),
                    Part::SignInAgain | Part::Verify => {
                        slots.spawn(sign_in_again(entrance, tokens))
                    }
                };
            }
            while let Some(ended) = slots.join_next().await {
                ended??;
            }
            let cpu = cpu_time(server.pid)?.saturating_sub(before.1);
            Ok(sample(args.tokens, cpu.as_secs_f64(), before.0.elapsed().as_secs_f64()))
        }
    };
    let rounds = Rounds::run(args.rounds, &PARTS, measure).await?;
    let row = |name: &str, of: fn(Sample) -> f64, ratio: fn(f64, f64) -> f64| Row {
        name: name.to_owned(),
        figures: (0..).zip(PARTS).map(|(n, (_, name))| (name, rounds.figure(n, of))).collect(),
        ratios: vec![
            (
                "open socket: of the signature",
                rounds.within(|[v, again, _]| ratio(of(v), of(again))),
            ),
            ("new socket: of the signature", rounds.within(|[v, _, new]| ratio(of(v), of(new)))),
        ],
    };
    let rows = vec![
        // Both as speeds: how much of the rate of the signature alone is left.
        row("server CPU, us each", |s| s.cpu, |verify, sign_in| verify / sign_in),
        row("a second", |s| s.rate, |verify, sign_in| sign_in / verify),
    ];
    let head = format!(
        "{} tokens, each shown once, {SLOTS} sockets at a time, {} rounds; {placement}",
        args.tokens, args.rounds
    );
    Report { head, rows }.print(args.json)
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn sample(count: usize, cpu: f64, wall: f64) -> Sample {
    Sample { cpu: cpu * 1e6 / count as f64, rate: count as f64 / wall }
}

/// Checks as many signatures, each of its own message, as long as a token without its signature.
fn verify(count: usize) -> anyhow::Result<Sample> {
    const LENGTH: usize = 460;
    let key = SigningKey::from_bytes(&[7; 32]);
    let message = |n: usize| {
        let mut message = [b'x'; LENGTH];
        let number = n.to_be_bytes();
        message.iter_mut().zip(number).for_each(|(byte, digit)| *byte = digit);
        message
    };
    let signed: Vec<_> = (0..count).map(|n| (message(n), key.sign(&message(n)))).collect();
    let public = key.verifying_key();
    let before = (Instant::now(), own_cpu_time()?);
    for (message, signature) in &signed {
        public.verify_strict(message, signature)?;
    }
    let cpu = own_cpu_time()?.saturating_sub(before.1);
    Ok(sample(count, cpu.as_secs_f64(), before.0.elapsed().as_secs_f64()))
}

/// Auth frames, each with a token of its own, given out once.
struct Tokens {
    frames: Vec<String>,
    next: AtomicUsize,
}

impl Tokens {
    /// Has IAM sign them.
    async fn mint(server: &Server, count: usize) -> anyhow::Result<Self> {
        let mut socket = socket::open(&server.entrance).await?;
        let mut frames = Vec::with_capacity(count);
        while frames.len() < count {
            let batch = MINTING.min(count - frames.len());
            for id in 0..batch {
                let call = json!({ "id": id, "service": "iam",
                    "request": { "operation": "mint-token", "workspace": "default" } });
                socket.feed(Message::text(call.to_string())).await?;
            }
            socket.flush().await?;
            for _ in 0..batch {
                let answer: Value = serde_json::from_str(&socket::next_text(&mut socket).await?)?;
                let token = answer.pointer("/response/jwt").and_then(Value::as_str);
                let token = token.with_context(|| format!("no token was minted: {answer}"))?;
                frames.push(socket::auth_frame(token));
            }
        }
        Ok(Self { frames, next: AtomicUsize::new(0) })
    }

    fn take(&self) -> Option<&str> {
        self.frames.get(self.next.fetch_add(1, Ordering::Relaxed)).map(String::as_str)
    }
}

async fn sign_in_again(entrance: Entrance, tokens: Arc<Tokens>) -> anyhow::Result<()> {
    let mut socket = socket::open(&entrance).await?;
    while let Some(frame) = tokens.take() {
        socket::sign_in(&mut socket, frame).await?;
    }
    Ok(())
}

async fn connect_and_sign_in(entrance: Entrance, tokens: Arc<Tokens>) -> anyhow::Result<()> {
    while let Some(frame) = tokens.take() {
        let mut socket = socket::connect(entrance.address).await?;
        socket::sign_in(&mut socket, frame).await?;
        // A reset: the port of a socket that says goodbye would wait a minute.
        socket.get_ref().set_zero_linger()?;
    }
    Ok(())
}
