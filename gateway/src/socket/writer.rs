//! Frames go into the write buffer; a flush sends what is there in one write.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode as Code;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};
use tollgate_proto::close::CloseCode;

use super::{Ready, Socket};

/// Answers of calls wait in their queue while this much is unsent.
const CALLS_WAIT_ABOVE: usize = 256 << 10;
/// A client that reads nothing and causes this much beside the answers of its calls costs too much.
const OVERFLOW_ABOVE: usize = 1 << 20;
/// How long a closing handshake may take.
const GOODBYE: Duration = Duration::from_secs(1);

impl Socket {
    /// Puts a text message into the write buffer.
    pub(crate) fn write(&mut self, text: impl Into<Utf8Bytes>) {
        self.queue(Message::Text(text.into()));
    }

    /// Puts a binary message into it.
    pub(crate) fn write_binary(&mut self, bytes: Bytes) {
        self.queue(Message::Binary(bytes));
    }

    fn queue(&mut self, message: Message) {
        self.unflushed = true;
        self.traffic.send(message.len());
        if !self.has_room() {
            self.piled = self.piled.saturating_add(message.len());
        }
        self.queued = self.queued.saturating_add(message.len());
        // The message is taken even when nothing can be sent now. A socket that is closing
        // takes none, and its end is on the way.
        let _ = self.protocol.write(&mut Corked, message);
    }

    /// Puts a ping of the protocol into the write buffer.
    pub(crate) fn ping(&mut self) {
        self.unflushed = true;
        let _ = self.protocol.write(&mut Corked, Message::Ping(Bytes::new()));
    }

    /// Whether answers of calls may be written now.
    pub(crate) fn has_room(&self) -> bool {
        self.queued < CALLS_WAIT_ABOVE
    }

    /// Whether the client has left too much unread.
    pub(crate) fn overflows(&self) -> bool {
        self.piled > OVERFLOW_ABOVE
    }

    /// Keeps what was written from leaving, or lets it leave.
    pub(crate) fn cork(&mut self, corked: bool) {
        self.corked = corked;
    }

    /// Whether it is kept.
    pub(crate) fn is_corked(&self) -> bool {
        self.corked
    }

    /// Whether something waits to leave, and how much has left so far.
    pub(crate) fn backlog(&self) -> Option<u64> {
        self.unflushed.then_some(self.sent)
    }

    /// Sends what is buffered, as far as the client takes it.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let Self { stream, protocol, sent, .. } = self;
        match protocol.flush(&mut Ready { stream, cx, sent }) {
            Ok(()) => {
                self.unflushed = false;
                self.queued = 0;
                self.piled = 0;
                Poll::Ready(Ok(()))
            }
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// Sends all that is buffered, if the peer takes it in time.
    pub(crate) async fn deliver(&mut self, within: Duration) {
        let _ = timeout(within, poll_fn(|cx| self.poll_flush(cx))).await;
    }

    /// Says goodbye and waits a moment for the client to say so too.
    pub(crate) async fn close(mut self, code: CloseCode) {
        let frame = CloseFrame { code: Code::from(code.code()), reason: code.reason().into() };
        // The answer of a ping that was just read would come behind the goodbye.
        let _ = self.protocol.flush(&mut Corked);
        let _ = self.protocol.close(&mut Corked, Some(frame));
        self.finish().await;
    }

    /// Sends the rest and ends our side; then reads, for a moment, what the client still sends:
    /// closing over it would be a reset, which could overtake what was sent.
    pub(crate) async fn finish(&mut self) {
        let goodbye = async {
            match poll_fn(|cx| self.poll_flush(cx)).await {
                // The latter is how tungstenite says that the answer to a goodbye has left.
                Ok(()) | Err(Error::ConnectionClosed) => {}
                Err(_) => return,
            }
            let _ = self.stream.shutdown().await;
            let mut rest = vec![0; 4 << 10];
            while matches!(self.stream.read(&mut rest).await, Ok(1..)) {}
        };
        // A client that neither reads nor closes is left.
        let _ = timeout(GOODBYE, goodbye).await;
    }
}

/// A stream that takes nothing now: what is written stays in the buffer.
struct Corked;

impl io::Read for Corked {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }
}

impl io::Write for Corked {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::WouldBlock.into())
    }
}
