//! The bytes of one direction become the messages of a socket, if it is one.

use std::io;

use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::End;

/// A longer head belongs to no socket of ours.
const MAX_HEAD: usize = 64 << 10;

/// No gateway of a test takes or sends a longer message.
const MAX_MESSAGE: usize = 256 << 20;

/// One direction of a connection.
pub(super) enum Tap {
    /// The head of a request or an answer is not complete yet.
    Head(End, Vec<u8>),
    /// A socket.
    Socket(Box<WebSocketContext>, Feed),
    /// A socket whose messages a backend and its clients make up among themselves.
    Passed,
    /// Something else, or a socket that is over.
    Other,
}

impl Tap {
    pub(super) fn new(end: End) -> Self {
        Self::Head(end, Vec::new())
    }

    /// Takes bytes, gives the messages that they complete, and what broke the protocol.
    pub(super) fn take(&mut self, bytes: &[u8]) -> (Vec<Message>, Option<Error>) {
        match self {
            Self::Passed | Self::Other => (Vec::new(), None),
            Self::Head(end, head) => {
                head.extend_from_slice(bytes);
                let length = head.windows(4).position(|four| four == b"\r\n\r\n");
                let (end, head) = (*end, head.clone());
                match length {
                    Some(_) if end == End::Client && is_passed_on(&head) => {
                        *self = Self::Passed;
                        (Vec::new(), None)
                    }
                    Some(length) if is_upgrade(end, &head[..length]) => {
                        *self = Self::Socket(Box::new(context(end)), Feed::default());
                        self.take(&head[length + 4..])
                    }
                    None if head.len() < MAX_HEAD => (Vec::new(), None),
                    Some(_) | None => {
                        *self = Self::Other;
                        (Vec::new(), None)
                    }
                }
            }
            Self::Socket(context, feed) => {
                feed.0.extend(bytes);
                let mut messages = Vec::new();
                loop {
                    match context.read(feed) {
                        Ok(message) => messages.push(message),
                        Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                            return (messages, None);
                        }
                        Err(error) => {
                            *self = Self::Other;
                            let over = matches!(error, Error::ConnectionClosed);
                            return (messages, (!over).then_some(error));
                        }
                    }
                }
            }
        }
    }
}

/// Whether this asks for data into or out of a flow.
fn is_passed_on(head: &[u8]) -> bool {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let path = line.split(|byte| *byte == b'?').next().unwrap_or_default();
    let path = String::from_utf8_lossy(path);
    path.starts_with("GET /api/v1/flow/")
        && (path.contains("/import/") || path.contains("/export/"))
}

fn is_upgrade(end: End, head: &[u8]) -> bool {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    match end {
        End::Client => head.contains("\r\nupgrade: websocket"),
        End::Gateway => head.starts_with("http/1.1 101"),
    }
}

/// Reads what the other end of this one would read.
fn context(sender: End) -> WebSocketContext {
    let role = match sender {
        End::Client => Role::Server,
        End::Gateway => Role::Client,
    };
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE));
    WebSocketContext::new(role, Some(config))
}

/// Bytes that came; what is written is for nobody.
#[derive(Default)]
pub(super) struct Feed(std::collections::VecDeque<u8>);

impl io::Read for Feed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match io::Read::read(&mut self.0, buffer)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            count => Ok(count),
        }
    }
}

impl io::Write for Feed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
