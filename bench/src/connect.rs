//! The cost of coming back: a socket is opened and shows what the gateway knows already, a session
//! token or an API key.
//!
//! Beside it stands the least that such a connection takes: the bare upgrade, whose server says the
//! frame again.

use std::sync::Arc;

use anyhow::Context;

use crate::common::Common;
use crate::measure::{allow_sockets, at_least_one};
use crate::report::{Report, Row};
use crate::rounds::Rounds;
use crate::server::{Arm, Placement, Server};
use crate::sign_ins::{self, SLOTS, Sample, Tokens, Work};

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many sockets each measurement opens.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = at_least_one)]
    sockets: usize,
    /// How often.
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = at_least_one)]
    rounds: usize,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Clone, Copy)]
enum Shown {
    Stub,
    Token,
    ApiKey,
}

const ARMS: [(Shown, &str); 3] =
    [(Shown::Stub, "stub"), (Shown::Token, "same token"), (Shown::ApiKey, "API key")];

/// Measures and prints.
pub(crate) async fn run(args: &Args, placement: Placement) -> anyhow::Result<()> {
    allow_sockets(2 * SLOTS)?;
    let measure = async |(shown, _)| {
        let (arm, work) = match shown {
            Shown::Stub => (Arm::Bare, Work::NewSocketsOfAStub),
            Shown::Token | Shown::ApiKey => (Arm::Tollgate, Work::NewSockets),
        };
        let server = Server::start(arm, args.common.server(), placement).await?;
        let tokens = match shown {
            // As long as a token is.
            Shown::Stub => Tokens::repeat(&"x".repeat(540), args.sockets),
            Shown::Token => Tokens::repeat_minted(&server.entrance, args.sockets).await?,
            Shown::ApiKey => {
                let key = server.entrance.token.as_deref().context("no key")?;
                Tokens::repeat(key, args.sockets)
            }
        };
        sign_ins::measure(&server, &Arc::new(tokens), work).await
    };
    let rounds = Rounds::run(args.rounds, &ARMS, measure).await?;
    let row = |name: &str, of: fn(Sample) -> f64, ratio: fn(f64, f64) -> f64| Row {
        name: name.to_owned(),
        figures: (0..).zip(ARMS).map(|(n, (_, name))| (name, rounds.figure(n, of))).collect(),
        ratios: vec![
            (
                "same token: of the stub",
                rounds.within(|[stub, token, _]| ratio(of(stub), of(token))),
            ),
            ("API key: of the stub", rounds.within(|[stub, _, key]| ratio(of(stub), of(key)))),
        ],
    };
    let rows = vec![
        // Both as speeds: how much of the rate of the stub is left.
        row("server CPU, us each", |s| s.cpu, |stub, known| stub / known),
        row("a second", |s| s.rate, |stub, known| known / stub),
    ];
    let head = format!(
        "{} sockets, each opened and signed in, {SLOTS} at a time, {} rounds; {placement}",
        args.sockets, args.rounds
    );
    Report { head, rows }.print(args.common.json)
}
