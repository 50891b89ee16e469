//! ① A WebSocket over a TCP connection, as one task uses it; mostly the client's.
//!
//! In: bytes. Out: messages, and the reason when there are no more. Writing puts frames into a
//! buffer; flushing is a poll of its own, so that reading goes on while a slow client drains, and
//! everything that is ready leaves in one write.
//!
//! Built on tungstenite's protocol machine itself: its limits can be raised after authentication,
//! and one task needs no lock and no second waker.

mod counted;
mod reader;
mod writer;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tollgate_runtime::stream::Stream;

pub(crate) use counted::Counted;
pub(crate) use reader::{End, Incoming};

/// The largest message of a peer that has not authenticated.
pub(crate) const STRANGER_MESSAGE: usize = 16 << 10;
/// Read with every call of the operating system, and kept for the life of the socket.
const READ_BUFFER: usize = 4 << 10;
/// Never reached: what is buffered leaves when the session flushes.
const WRITE_THRESHOLD: usize = 1 << 40;

/// What a socket has done, in one poll.
#[derive(Debug)]
pub(crate) enum Io {
    /// A message, or the end.
    Read(Incoming),
    /// All that was written has left.
    Flushed,
}

/// Messages with something in them, and what is in them.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Traffic {
    pub(crate) received: u64,
    pub(crate) received_bytes: u64,
    pub(crate) sent: u64,
    pub(crate) sent_bytes: u64,
}

impl Traffic {
    fn receive(&mut self, bytes: usize) {
        self.received += 1;
        self.received_bytes += bytes as u64;
    }

    fn send(&mut self, bytes: usize) {
        self.sent += 1;
        self.sent_bytes += bytes as u64;
    }
}

/// One socket: a client's, or one of ours to a backend.
pub(crate) struct Socket {
    stream: Stream,
    protocol: WebSocketContext,
    /// Something waits in the write buffer.
    unflushed: bool,
    /// What waits there must not leave.
    corked: bool,
    /// Bytes written since the buffer was last empty.
    queued: usize,
    /// Those of them that were written when there was no room for answers of calls.
    piled: usize,
    /// Bytes that the operating system has taken, ever: tells a slow reader from a stuck one.
    sent: u64,
    traffic: Traffic,
}

impl Socket {
    /// A client's socket whose handshake is done; `early` is what the client sent behind it.
    pub(crate) fn new(stream: Stream, early: Vec<u8>) -> Self {
        Self::with_role(Role::Server, stream, early)
    }

    /// A socket that we opened ourselves.
    pub(crate) fn to_backend(stream: Stream, early: Vec<u8>) -> Self {
        Self::with_role(Role::Client, stream, early)
    }

    fn with_role(role: Role, stream: Stream, early: Vec<u8>) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(WRITE_THRESHOLD)
            .max_write_buffer_size(usize::MAX)
            .max_message_size(Some(STRANGER_MESSAGE))
            .max_frame_size(Some(STRANGER_MESSAGE));
        let protocol = WebSocketContext::from_partially_read(early, role, Some(config));
        Self {
            stream,
            protocol,
            unflushed: false,
            corked: false,
            queued: 0,
            piled: 0,
            sent: 0,
            traffic: Traffic::default(),
        }
    }

    /// What came and went so far.
    pub(crate) fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// Raises the limits for a peer that has authenticated.
    pub(crate) fn trust(&mut self, max_message: usize) {
        self.protocol.set_config(|config| {
            config.max_message_size = Some(max_message);
            // Existing clients send every message as one frame.
            config.max_frame_size = Some(max_message);
        });
    }

    /// Waits for a message or for the end of a flush, whichever comes first.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Io> {
        if self.unflushed && !self.corked {
            match self.poll_flush(cx) {
                Poll::Ready(Ok(())) => return Poll::Ready(Io::Flushed),
                Poll::Ready(Err(_)) => return Poll::Ready(Io::Read(Incoming::End(End::Gone))),
                Poll::Pending => {}
            }
        }
        self.poll_read(cx).map(Io::Read)
    }
}

/// The stream as tungstenite wants it: what is not ready would block.
struct Ready<'a, 'c> {
    stream: &'a mut Stream,
    cx: &'a mut Context<'c>,
    sent: &'a mut u64,
}

impl io::Read for Ready<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut buffer = ReadBuf::new(buffer);
        match Pin::new(&mut *self.stream).poll_read(self.cx, &mut buffer) {
            Poll::Ready(result) => result.map(|()| buffer.filled().len()),
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl io::Write for Ready<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match Pin::new(&mut *self.stream).poll_write(self.cx, bytes) {
            Poll::Ready(result) => {
                result.inspect(|count| *self.sent = self.sent.wrapping_add(*count as u64))
            }
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        // TLS has a buffer of its own.
        match Pin::new(&mut *self.stream).poll_flush(self.cx) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}
