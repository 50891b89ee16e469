//! Figures become a table for people or JSON for programs, on stdout.

use std::fmt::Write as _;
use std::io::Write;

use serde_json::{Value, json};

use crate::quartiles::Quartiles;

/// The generator is the limit when it runs more than this part of the time.
const SATURATED: f64 = 0.95;

/// In which form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

impl Output {
    /// As the flag `--json` says.
    pub(crate) fn new(json: bool) -> Self {
        if json { Self::Json } else { Self::Table }
    }
}

/// Name of a state, bytes of the bare server and of Tollgate, and their ratio.
pub(crate) type IdleRow = (&'static str, Quartiles, Quartiles, Quartiles);

/// What one depth came to.
pub(crate) struct EchoRow {
    /// Calls outstanding on each socket.
    pub(crate) depth: u64,
    /// Server CPU in microseconds a reply: bare, Tollgate, and Tollgate over bare.
    pub(crate) cpu: [Quartiles; 3],
    /// Replies a second: bare, Tollgate, and Tollgate over bare.
    pub(crate) rate: [Quartiles; 3],
    /// How busy the generator was with the two.
    pub(crate) busy: [Quartiles; 2],
}

/// One figure of a hop.
pub(crate) struct HopRow {
    /// What it is, with its unit.
    pub(crate) name: &'static str,
    /// Of the bare echo, of the bare client, of Tollgate between the two.
    pub(crate) figures: [Quartiles; 3],
    /// Tollgate over what it takes at least.
    pub(crate) ratio: Quartiles,
    /// How that is reckoned.
    pub(crate) meaning: &'static str,
}

/// Prints the memory of sockets.
pub(crate) fn idle(
    output: Output,
    sockets: usize,
    rounds: usize,
    rows: &[IdleRow],
) -> anyhow::Result<()> {
    if output == Output::Json {
        let rows = rows.iter().map(|(state, bare, tollgate, ratio)| {
            json!({
                "state": state,
                "bare_bytes": bare.to_json(),
                "tollgate_bytes": tollgate.to_json(),
                "ratio": ratio.to_json(),
            })
        });
        let rows: Vec<Value> = rows.collect();
        return print(&json!({ "sockets": sockets, "rounds": rounds, "rows": rows }).to_string());
    }
    let mut text = format!("{sockets} sockets, {rounds} rounds; bytes of RSS a socket\n");
    text.push_str(&line(["", "bare", "tollgate", "ratio (quartiles)"]));
    for (state, bare, tollgate, ratio) in rows {
        let (bare, tollgate) = (format!("{:.0}", bare.median), format!("{:.0}", tollgate.median));
        text.push_str(&line([state, &bare, &tollgate, &ratio_text(*ratio)]));
    }
    print(text.trim_end())
}

/// Prints the cost of calls.
pub(crate) fn echo(output: Output, head: &str, rows: &[EchoRow]) -> anyhow::Result<()> {
    if output == Output::Json {
        let rows: Vec<Value> = rows.iter().map(echo_json).collect();
        return print(&json!({ "run": head, "rows": rows }).to_string());
    }
    let mut text = format!("{head}\n");
    text.push_str(&line(["", "bare", "tollgate", "ratio (quartiles)"]));
    for EchoRow { depth, cpu, rate, busy } in rows {
        let [bare, tollgate, ratio] = cpu;
        let (bare, tollgate) = (format!("{:.2}", bare.median), format!("{:.2}", tollgate.median));
        let name = format!("depth {depth}: server CPU us a reply");
        text.push_str(&line([&name, &bare, &tollgate, &ratio_text(*ratio)]));
        let [bare, tollgate, ratio] = rate;
        let (bare, tollgate) = (format!("{:.0}", bare.median), format!("{:.0}", tollgate.median));
        let name = format!("depth {depth}: replies/s");
        text.push_str(&line([&name, &bare, &tollgate, &ratio_text(*ratio)]));
        let [bare, tollgate] = busy.map(|busy| format!("{:.2}", busy.median));
        let limit = busy.iter().any(|busy| busy.median > SATURATED);
        let note = if limit { "generator is the limit" } else { "" };
        let name = format!("depth {depth}: generator busy");
        text.push_str(&line([&name, &bare, &tollgate, note]));
    }
    print(text.trim_end())
}

/// Prints the cost of a service behind Tollgate.
pub(crate) fn hop(output: Output, head: &str, rows: &[HopRow]) -> anyhow::Result<()> {
    if output == Output::Json {
        let rows = rows.iter().map(|HopRow { name, figures, ratio, meaning }| {
            let [echo, client, tollgate] = figures.map(Quartiles::to_json);
            let figures = json!({ "echo": echo, "client": client, "tollgate": tollgate });
            json!({ "name": name, "figures": figures, "ratio": ratio.to_json(), "is": meaning })
        });
        let rows: Vec<Value> = rows.collect();
        return print(&json!({ "run": head, "rows": rows }).to_string());
    }
    let mut text = format!("{head}\n");
    for HopRow { name, figures, ratio, meaning } in rows {
        let [echo, client, tollgate] = figures.map(|figure| format!("{:.2}", figure.median));
        let _ = writeln!(text, "{name}: echo {echo}, HTTP client {client}, tollgate {tollgate}");
        let _ = writeln!(text, "  {meaning} = {}", ratio_text(*ratio));
    }
    print(text.trim_end())
}

fn echo_json(row: &EchoRow) -> Value {
    let three = |figures: &[Quartiles; 3]| {
        let [bare, tollgate, ratio] = figures.map(Quartiles::to_json);
        json!({ "bare": bare, "tollgate": tollgate, "ratio": ratio })
    };
    let [bare, tollgate] = row.busy.map(Quartiles::to_json);
    json!({
        "depth": row.depth,
        "server_cpu_us_per_reply": three(&row.cpu),
        "replies_per_second": three(&row.rate),
        "generator_busy": { "bare": bare, "tollgate": tollgate },
    })
}

fn line([name, bare, tollgate, ratio]: [&str; 4]) -> String {
    let text = format!("{name:<34}{bare:>11}{tollgate:>11}  {ratio}");
    format!("{}\n", text.trim_end())
}

fn ratio_text(Quartiles { low, median, high }: Quartiles) -> String {
    format!("{median:.3} ({low:.3}–{high:.3})")
}

fn print(text: &str) -> anyhow::Result<()> {
    match writeln!(std::io::stdout(), "{text}") {
        // A reader that has gone away has seen enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}
