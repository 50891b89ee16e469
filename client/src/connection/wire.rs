//! The socket as the connection uses it: one poll that writes what is due and reads what is there.
//!
//! In: frames to write, bytes from the server. Out: the text of each message, one turn at a time;
//! how the socket ended. Never: a wait for the server to read while it waits for us to.

use std::collections::VecDeque;
use std::task::{Context, Poll, ready};

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use tollgate_proto::close::CloseCode;

use crate::error::{Closed, Ended};

/// Messages that are read at a time, between two looks at everything else.
const TURN: usize = 32;
/// RFC 6455, 7.4.1: the close frame had no code.
const NO_CODE: u16 = 1005;

/// How much a turn read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// All that was there.
    Partial,
    /// As much as it may; there may be more.
    Full,
}

/// A socket, in clear or under TLS.
pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub(super) struct Wire {
    socket: Socket,
    /// Bounded by what is pushed: a batch of calls when it is empty, a cancel for each call in
    /// flight, a few credentials and pongs.
    outbox: VecDeque<Message>,
    is_dirty: bool,
    has_heard: bool,
}

impl Wire {
    pub(super) fn new(socket: Socket) -> Self {
        Self { socket, outbox: VecDeque::new(), is_dirty: false, has_heard: false }
    }

    /// Queues a frame; [`poll_turn`](Self::poll_turn) writes it.
    pub(super) fn push(&mut self, frame: String) {
        self.outbox.push_back(Message::text(frame));
    }

    /// Queues a ping of the WebSocket protocol, which every server answers.
    pub(super) fn push_ping(&mut self) {
        self.outbox.push_back(Message::Ping(Bytes::new()));
    }

    /// Whether everything that was pushed is written.
    pub(super) fn is_idle(&self) -> bool {
        self.outbox.is_empty()
    }

    /// Whether anything came since the last time this was asked.
    pub(super) fn take_heard(&mut self) -> bool {
        std::mem::take(&mut self.has_heard)
    }

    /// Writes what is due, flushes once, then reads up to a turn of messages and gives the text
    /// of each to `take`, whose answer, if any, is written next. Ready also when nothing was read
    /// and the outbox became empty, so that whoever waits for [`is_idle`](Self::is_idle) looks.
    pub(super) fn poll_turn(
        &mut self,
        cx: &mut Context<'_>,
        mut take: impl FnMut(&str) -> Result<Option<String>, Ended>,
    ) -> Poll<Result<Turn, Ended>> {
        let was_idle = self.is_idle();
        if let Poll::Ready(Err(error)) = self.poll_write(cx) {
            return Poll::Ready(Err(ended_by(&error)));
        }
        let became_idle = !was_idle && self.is_idle();
        for taken in 0..TURN {
            let message = match self.socket.poll_next_unpin(cx) {
                Poll::Pending if taken == 0 && !became_idle => return Poll::Pending,
                Poll::Pending => return Poll::Ready(Ok(Turn::Partial)),
                Poll::Ready(None) => return Poll::Ready(Err(lost_without_a_word())),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(ended_by(&error))),
                Poll::Ready(Some(Ok(message))) => message,
            };
            self.has_heard = true;
            match message {
                Message::Text(text) => match take(&text) {
                    Ok(None) => {}
                    Ok(Some(answer)) => self.push(answer),
                    Err(ended) => return Poll::Ready(Err(ended)),
                },
                Message::Close(frame) => return Poll::Ready(Err(closed_by(frame).into())),
                // The library answers pings itself; binary frames are of a later protocol.
                Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
        Poll::Ready(Ok(Turn::Full))
    }

    /// Says goodbye and waits for the server to do the same.
    pub(super) async fn close(mut self, code: CloseCode) -> Result<(), Error> {
        let frame = CloseFrame { code: code.code().into(), reason: code.reason().into() };
        self.socket.close(Some(frame)).await?;
        while let Some(message) = self.socket.next().await {
            message?;
        }
        Ok(())
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        while !self.outbox.is_empty() {
            ready!(self.socket.poll_ready_unpin(cx))?;
            if let Some(message) = self.outbox.pop_front() {
                self.socket.start_send_unpin(message)?;
                self.is_dirty = true;
            }
        }
        if self.is_dirty {
            ready!(self.socket.poll_flush_unpin(cx))?;
            self.is_dirty = false;
        }
        Poll::Ready(Ok(()))
    }
}

fn closed_by(frame: Option<CloseFrame>) -> Closed {
    match frame {
        Some(frame) => Closed::new(frame.code.into(), frame.reason.as_str()),
        None => Closed::new(NO_CODE, "no reason given"),
    }
}

fn lost_without_a_word() -> Ended {
    Closed::lost("the server hung up").into()
}

fn ended_by(error: &Error) -> Ended {
    match error {
        Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => lost_without_a_word(),
        Error::Io(error) => Closed::lost(error.to_string()).into(),
        other => Ended::Protocol(other.to_string()),
    }
}
