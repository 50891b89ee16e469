//! WebSocket frames by hand, for what no library would send: broken ones, one octet at a time.
//!
//! In: bytes. Out: what the server sends, frame by frame, checked to be frames that a server may
//! send. Never: a WebSocket library, whose opinion is what the tests are about.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// The opcodes of RFC 6455 §5.2.
pub mod opcode {
    /// More of a message.
    pub const CONTINUATION: u8 = 0;
    /// A text message.
    pub const TEXT: u8 = 1;
    /// A binary message.
    pub const BINARY: u8 = 2;
    /// The end.
    pub const CLOSE: u8 = 8;
    /// A question.
    pub const PING: u8 = 9;
    /// Its answer.
    pub const PONG: u8 = 10;
}

/// The bit of the last frame of a message.
pub const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;
/// The length follows in two bytes, or in eight.
const LENGTH_16: u8 = 0x7e;
const LENGTH_64: u8 = 0x7f;
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
/// Nothing here takes longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// The frame of a client: masked, its length in as few bytes as it takes.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = match payload.len() {
        short @ 0..126 => vec![first, MASKED | u8::try_from(short).unwrap_or_default()],
        length => match u16::try_from(length) {
            Ok(length) => [&[first, MASKED | LENGTH_16][..], &length.to_be_bytes()].concat(),
            Err(_) => [&[first, MASKED | LENGTH_64][..], &(length as u64).to_be_bytes()].concat(),
        },
    };
    push_masked(&mut bytes, payload);
    bytes
}

/// The same with the length in eight bytes, whatever it is and whatever is announced.
pub fn frame_of_length(first: u8, announced: u64, payload: &[u8]) -> Vec<u8> {
    let mut bytes = [&[first, MASKED | LENGTH_64][..], &announced.to_be_bytes()].concat();
    push_masked(&mut bytes, payload);
    bytes
}

/// A frame without a mask, which a client must not send.
pub fn unmasked(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len().min(125)).unwrap_or_default();
    [&[first, length][..], payload].concat()
}

/// A message in pieces of at most so many bytes.
pub fn fragments(opcode: u8, payload: &[u8], size: usize) -> Vec<u8> {
    let last = payload.len().div_ceil(size).max(1) - 1;
    let mut bytes = Vec::with_capacity(payload.len() + (last + 1) * 14);
    for n in 0..=last {
        let piece = &payload[n * size..payload.len().min((n + 1) * size)];
        let first = if n == 0 { opcode } else { opcode::CONTINUATION };
        bytes.extend(frame(if n == last { FIN | first } else { first }, piece));
    }
    bytes
}

/// A close frame with a code and a reason.
pub fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(FIN | opcode::CLOSE, &[&code.to_be_bytes()[..], reason].concat())
}

fn push_masked(bytes: &mut Vec<u8>, payload: &[u8]) {
    bytes.extend(MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

/// What the server sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// A text message.
    Text(String),
    /// An answer to a ping.
    Pong(Vec<u8>),
    /// A close frame: its code, or none.
    Close(Option<u16>),
    /// The end of the stream, in order: not a reset.
    End,
}

/// A WebSocket on which a test writes the bytes.
pub struct Wire {
    /// Where the bytes go.
    pub writer: OwnedWriteHalf,
    /// Where frames come from.
    pub reader: Reader<OwnedReadHalf>,
}

/// The frames that the server sends.
pub struct Reader<R>(BufReader<R>);

/// The head of an upgrade, but for the empty line at its end.
pub const HANDSHAKE: &str = "GET /api/v1/socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n\
                             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

impl Wire {
    /// Connects and shakes hands.
    pub async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let (wire, head) = Self::open_with(address, "").await?;
        ensure!(head.starts_with("http/1.1 101 "), "{head}");
        Ok(wire)
    }

    /// The same with more lines in the head; gives the head of the answer, in small letters.
    pub async fn open_with(address: SocketAddr, lines: &str) -> anyhow::Result<(Self, String)> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (reader, writer) = stream.into_split();
        let mut wire = Self { writer, reader: Reader::new(reader) };
        let head = format!("{HANDSHAKE}{lines}\r\n");
        wire.writer.write_all(head.as_bytes()).await?;
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let read = wire.reader.0.read_line(&mut head);
            ensure!(tokio::time::timeout(PATIENCE, read).await?? > 0, "ended in the head: {head}");
        }
        Ok((wire, head.to_ascii_lowercase()))
    }
}

impl<R: AsyncRead + Unpin> Reader<R> {
    /// Behind the head.
    pub fn new(stream: R) -> Self {
        Self(BufReader::new(stream))
    }

    /// The next thing that the server sends.
    pub async fn next(&mut self) -> anyhow::Result<Seen> {
        tokio::time::timeout(PATIENCE, self.read()).await.context("nothing came")?
    }

    async fn read(&mut self) -> anyhow::Result<Seen> {
        let mut head = [0; 2];
        if self.0.read(&mut head[..1]).await? == 0 {
            return Ok(Seen::End);
        }
        self.0.read_exact(&mut head[1..]).await?;
        let [first, second] = head;
        let length = match second {
            LENGTH_16 => u64::from(self.0.read_u16().await?),
            LENGTH_64 => self.0.read_u64().await?,
            short => u64::from(short),
        };
        ensure!(first & 0x70 == 0 && second & MASKED == 0, "{head:x?} is no frame of a server");
        ensure!(first & FIN != 0, "a server sends whole messages: {head:x?}");
        let mut payload = vec![0; usize::try_from(length)?];
        self.0.read_exact(&mut payload).await?;
        match first & 0xf {
            opcode::TEXT => Ok(Seen::Text(String::from_utf8(payload)?)),
            opcode::PONG => Ok(Seen::Pong(payload)),
            opcode::CLOSE => match *payload {
                [] => Ok(Seen::Close(None)),
                [high, low, ref reason @ ..] => {
                    std::str::from_utf8(reason)?;
                    Ok(Seen::Close(Some(u16::from_be_bytes([high, low]))))
                }
                [_] => bail!("a close frame of one byte"),
            },
            other => bail!("a server sends no opcode {other}"),
        }
    }
}
