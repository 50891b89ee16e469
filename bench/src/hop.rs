//! The cost of a service behind Tollgate, over HTTP, beside the two things that it takes at
//! least: a bare WebSocket echo, and a bare HTTP client of the same service.
//!
//! Many sockets show the CPU a call, one socket with one call the time that the gateway adds.

use crate::common::{Calls, Common};
use crate::frame::{Content, Frames};
use crate::load::{self, Sample, Shape};
use crate::measure::{allow_sockets, at_least_one};
use crate::report::{Report, Row};
use crate::rounds::Rounds;
use crate::server::{Arm, Placement, Server};
use crate::upstream;

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many sockets carry calls when CPU is measured.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = at_least_one)]
    connections: usize,
    #[command(flatten)]
    calls: Calls,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Clone, Copy)]
enum Part {
    Echo,
    Client,
    Hop,
}

const PARTS: [(Part, &str); 3] =
    [(Part::Echo, "bare echo"), (Part::Client, "bare HTTP client"), (Part::Hop, "tollgate")];

/// Measures and prints.
pub(crate) async fn run(args: &Args, placement: Placement) -> anyhow::Result<()> {
    allow_sockets(2 * args.connections)?;
    let measure = async |connections| {
        let shape = Shape { connections, depth: 1, time: args.calls.time() };
        Rounds::run(args.calls.rounds, &PARTS, async |(part, _)| {
            measure(args, placement, shape, part).await
        })
        .await
    };
    let (many, one) = (measure(args.connections).await?, measure(1).await?);
    let row = |name: &str, rounds: &Rounds<Sample>, of: fn(Sample) -> f64, ratio| Row {
        name: name.to_owned(),
        figures: (0..).zip(PARTS).map(|(n, (_, name))| (name, rounds.figure(n, of))).collect(),
        ratios: vec![ratio],
    };
    let cpu = many.within(|[echo, client, hop]| hop.cpu / (echo.cpu + client.cpu));
    let time = one.within(|[echo, client, hop]| (hop.p50 - client.p50) / echo.p50);
    let rows = vec![
        row("gateway CPU, us a call", &many, |s| s.cpu, ("tollgate / (echo + client)", cpu)),
        row("one call at a time: p50, us", &one, |s| s.p50, ("(tollgate - client) / echo", time)),
    ];
    let (connections, Calls { rounds, seconds, bytes }) = (args.connections, args.calls);
    let head = format!(
        "{connections} connections, frames of {bytes} bytes, {rounds} rounds of {seconds} s; {placement}"
    );
    Report { head, rows }.print(args.common.json)
}

async fn measure(
    args: &Args,
    placement: Placement,
    shape: Shape,
    part: Part,
) -> anyhow::Result<Sample> {
    let frames = |arm| Frames::new(arm, args.calls.bytes, Content::Text);
    match part {
        Part::Echo => {
            let server = Server::start(Arm::Bare, None, placement).await?;
            load::run(&server, &frames(Arm::Bare), shape).await
        }
        Part::Client => {
            let service = Server::start(Arm::Upstream, None, placement).await?;
            upstream::ask(&service, args.calls.bytes, shape).await
        }
        Part::Hop => {
            // On the generator's core, with the generator: the gateway has its own.
            let service = Server::start(Arm::Upstream, None, Placement::Free).await?;
            let arm = Arm::Hop(service.entrance.address);
            let server = Server::start(arm, args.common.server(), placement).await?;
            load::run(&server, &frames(arm), shape).await
        }
    }
}
