//! RFC 6455 row by row, over raw sockets, before and after authentication. The rows are numbered as
//! those of the Autobahn test suite whose ground they cover.
//!
//! Tollgate echoes no raw text, but it answers `{"type":"ping","t":…}` with the same `t`, whoever
//! asks: a message of any size, with any text in it, comes back byte for byte.

mod framing;
mod control;
mod fragmented;
mod utf8;
mod closing;
mod limits;

use anyhow::{Context, ensure};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::OwnedReadHalf;
use tollgate_e2e::Tollgate;
use tollgate_e2e::frames::opcode::{PING, TEXT};
use tollgate_e2e::frames::{FIN, Reader, Seen, Wire, frame};

/// Who sends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Stranger,
    Friend,
}

impl Who {
    /// The largest message that is taken from them. A friend's is a setting, see [`check`].
    fn max_message(self) -> usize {
        match self {
            Self::Stranger => 16 << 10,
            Self::Friend => 20 << 20,
        }
    }
}

/// What must come.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Expect {
    /// This text message.
    Text(String),
    /// A frame that begins so.
    Begins(String),
    /// The answer to a ping of the protocol.
    Pong(Vec<u8>),
    /// The server ends it, with this code.
    Fails(u16),
    /// The answer to a close frame of ours, then the end.
    Closes(Option<u16>),
}

/// A row: what is sent, in pieces of so many bytes, and what must come. Then nothing else comes.
struct Case {
    name: String,
    bytes: Vec<u8>,
    chop: usize,
    expect: Vec<Expect>,
}

fn case(name: impl Into<String>, frames: &[Vec<u8>], expect: &[Expect]) -> Case {
    Case { name: name.into(), bytes: frames.concat(), chop: usize::MAX, expect: expect.to_vec() }
}

impl Case {
    /// The same bytes, so many at a time.
    fn chopped(mut self, chop: usize) -> Self {
        self.chop = chop;
        self
    }
}

/// A message with this text in it, and the answer.
fn echo(text: &str) -> (Vec<u8>, Expect) {
    let message = format!(r#"{{"type":"ping","t":"{text}"}}"#);
    (message.into_bytes(), Expect::Text(format!(r#"{{"type":"pong","t":"{text}"}}"#)))
}

/// A message of so many bytes, and the answer.
fn echo_of(size: usize) -> (Vec<u8>, Expect) {
    echo(&"*".repeat(size - echo("").0.len()))
}

/// What is said about a message that is not JSON.
fn not_json() -> Expect {
    let error =
        r#"{"type":"error","message":"the frame is not JSON","retryable":false,"trace_id":"#;
    Expect::Begins(format!(r#"{{"error":{error}"#))
}

/// Runs the rows for a stranger and for a friend, each on a socket of its own.
async fn check(rows: fn(Who) -> Vec<Case>) -> anyhow::Result<()> {
    let tollgate = Tollgate::start_with(&[("gateway.limits.max_message", "20MiB")]).await?;
    for who in [Who::Stranger, Who::Friend] {
        for case in rows(who) {
            let name = format!("{} ({who:?})", case.name);
            run(&tollgate, who, case).await.context(name)?;
        }
    }
    Ok(())
}

async fn run(tollgate: &Tollgate, who: Who, case: Case) -> anyhow::Result<()> {
    let Wire { mut writer, mut reader } = Wire::open(tollgate.address).await?;
    if who == Who::Friend {
        let auth = json!({ "type": "auth", "token": tollgate.admin_key }).to_string();
        writer.write_all(&frame(FIN | TEXT, auth.as_bytes())).await?;
        let Seen::Text(answer) = reader.next().await? else { anyhow::bail!("no answer") };
        ensure!(answer.starts_with(r#"{"type":"auth-ok""#), "{answer}");
    }
    let Case { bytes, chop, expect, .. } = case;
    let stays = !matches!(expect.last(), Some(Expect::Fails(_) | Expect::Closes(_)));
    let write = async {
        for piece in bytes.chunks(chop) {
            // Whoever is refused in the middle may not get the rest out.
            if writer.write_all(piece).await.is_err() {
                break;
            }
        }
        if stays {
            writer.write_all(&frame(FIN | PING, b"the end of the row")).await?;
        }
        anyhow::Ok(())
    };
    let read = async {
        for expect in &expect {
            see(&mut reader, who, expect).await?;
        }
        let end = if stays { Seen::Pong(b"the end of the row".into()) } else { Seen::End };
        let seen = reader.next().await?;
        ensure!(seen == end, "then {end:?} was expected, and there came {}", brief(&seen));
        anyhow::Ok(())
    };
    tokio::try_join!(write, read)?;
    Ok(())
}

async fn see(reader: &mut Reader<OwnedReadHalf>, who: Who, expect: &Expect) -> anyhow::Result<()> {
    let mut seen = reader.next().await?;
    if let (Who::Friend, Expect::Fails(code), Seen::Text(text)) = (who, expect, &seen) {
        let announced = format!(r#"{{"type":"closing","code":{code},"#);
        ensure!(text.starts_with(&announced), "closing {code} was expected: {}", brief(&seen));
        seen = reader.next().await?;
    }
    let same = match (expect, &seen) {
        (Expect::Text(expect), Seen::Text(seen)) => expect == seen,
        (Expect::Begins(expect), Seen::Text(seen)) => seen.starts_with(expect),
        (Expect::Pong(expect), Seen::Pong(seen)) => expect == seen,
        (Expect::Fails(expect), Seen::Close(Some(seen))) => expect == seen,
        (Expect::Closes(expect), Seen::Close(seen)) => expect == seen,
        _ => false,
    };
    ensure!(same, "{} was expected, and there came {}", brief(expect), brief(&seen));
    Ok(())
}

/// Messages here may have megabytes.
fn brief(value: &impl std::fmt::Debug) -> String {
    let mut text = format!("{value:?}");
    if let Some((at, _)) = text.char_indices().nth(200) {
        text.truncate(at);
    }
    text
}
