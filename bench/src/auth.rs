//! The cost of signing in with a token that nobody has shown before: on a socket that is open
//! already, and on one that is opened for it.
//!
//! Beside it stands the least that such a sign-in takes: one strict check of an Ed25519 signature
//! over as many bytes. It is made here, on the generator's core, in the same round.

use std::sync::Arc;

use ed25519_dalek::{Signer, SigningKey};
use tokio::time::Instant;

use crate::common::Common;
use crate::measure::{allow_sockets, at_least_one, own_cpu_time};
use crate::report::{Report, Row};
use crate::rounds::Rounds;
use crate::server::{Arm, Placement, Server};
use crate::sign_ins::{self, SLOTS, Sample, Tokens, Work};

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many tokens each measurement has, all different.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = at_least_one)]
    tokens: usize,
    /// How often.
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = at_least_one)]
    rounds: usize,
    #[command(flatten)]
    common: Common,
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

/// Measures and prints.
pub(crate) async fn run(args: &Args, placement: Placement) -> anyhow::Result<()> {
    allow_sockets(2 * SLOTS)?;
    let measure = async |(part, _)| match part {
        Part::Verify => verify(args.tokens),
        Part::SignInAgain | Part::ConnectAndSignIn => {
            let server = Server::start(Arm::Tollgate, args.common.server(), placement).await?;
            let tokens = Arc::new(Tokens::mint(&server.entrance, args.tokens).await?);
            let work = match part {
                Part::ConnectAndSignIn => Work::NewSockets,
                Part::SignInAgain | Part::Verify => Work::OpenSockets,
            };
            sign_ins::measure(&server, &tokens, work).await
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
    Report { head, rows }.print(args.common.json)
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
    Ok(Sample::of(count, cpu, before.0.elapsed()))
}
