//! Memory of idle sockets: the difference that they make to a process, by their number.

use crate::common::Common;
use crate::frame::{Content, Frames};
use crate::measure::{allow_sockets, at_least_one, quiet_memory};
use crate::report::{Report, Row};
use crate::rounds::Rounds;
use crate::server::{Arm, Placement, Server};
use crate::socket;

/// The frame of the one call that each socket makes.
const BYTES: usize = 4 << 10;

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many sockets are open at once.
    #[arg(long, value_name = "N", default_value_t = 5_000, value_parser = at_least_one)]
    sockets: usize,
    /// How often, with fresh servers each time.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = at_least_one)]
    rounds: usize,
    #[command(flatten)]
    common: Common,
}

/// Bytes a socket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// Authenticated where that is asked, and silent since.
    pub(crate) idle: f64,
    /// After one call of 4 KiB on each.
    pub(crate) used: f64,
}

const ARMS: [(Arm, &str); 3] =
    [(Arm::Bare, "bare"), (Arm::Stock, "stock"), (Arm::Tollgate, "tollgate")];

/// Measures and prints.
pub(crate) async fn run(args: &Args) -> anyhow::Result<()> {
    allow_sockets(args.sockets)?;
    let rounds = Rounds::run(args.rounds, &ARMS, async |(arm, _)| measure(arm, args).await).await?;
    let row = |name: &str, of: fn(Memory) -> f64| {
        let figures = ARMS.iter().enumerate().map(|(n, (_, name))| (*name, rounds.figure(n, of)));
        Row {
            name: name.to_owned(),
            figures: figures.collect(),
            ratios: vec![
                ("tollgate / bare", rounds.within(|[bare, _, tollgate]| of(tollgate) / of(bare))),
                (
                    "tollgate / stock",
                    rounds.within(|[_, stock, tollgate]| of(tollgate) / of(stock)),
                ),
            ],
        }
    };
    let rows = vec![row("idle", |m| m.idle), row("after a 4-KiB call", |m| m.used)];
    let head = format!("{} sockets, {} rounds; bytes of RSS a socket", args.sockets, args.rounds);
    Report { head, rows }.print(args.common.json)
}

async fn measure(arm: Arm, args: &Args) -> anyhow::Result<Memory> {
    let server = Server::start(arm, args.common.server(), Placement::Free).await?;
    let frames = Frames::new(arm, BYTES, Content::Text);
    // What is made once, with the first socket and the first call, is no socket's.
    let mut first = socket::open(&server.entrance).await?;
    socket::call(&mut first, &frames).await?;
    let empty = quiet_memory(server.pid).await?;
    let mut sockets = Vec::with_capacity(args.sockets);
    for _ in 0..args.sockets {
        sockets.push(socket::open(&server.entrance).await?);
    }
    let idle = quiet_memory(server.pid).await?;
    for socket in &mut sockets {
        socket::call(socket, &frames).await?;
    }
    let used = quiet_memory(server.pid).await?;
    Ok(Memory { idle: each(idle, empty, args.sockets), used: each(used, empty, args.sockets) })
}

#[expect(clippy::cast_precision_loss, reason = "bytes far below 2^52")]
fn each(after: u64, before: u64, sockets: usize) -> f64 {
    after.saturating_sub(before) as f64 / sockets as f64
}
