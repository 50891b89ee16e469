//! Bytes become messages, or the reason why there are no more.

use std::io;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::{Ready, Socket};

/// What came off the socket.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// A text message, checked to be UTF-8.
    Text(Utf8Bytes),
    /// A binary message.
    Binary(Bytes),
    /// A ping or pong of the protocol; a ping's answer is in the write buffer.
    Control,
    /// Nothing more will come.
    End(End),
}

/// Why nothing more will come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The peer said goodbye, with this code.
    Closed(Option<u16>),
    /// The connection is gone.
    Gone,
    /// A message beyond the limit.
    TooLarge,
    /// A text message that is not UTF-8.
    BadUtf8,
    /// The peer broke RFC 6455.
    Protocol,
}

impl Socket {
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Incoming> {
        let Self { stream, protocol, sent, .. } = self;
        let read = protocol.read(&mut Ready { stream, cx, sent });
        Poll::Ready(match read {
            Ok(Message::Text(text)) => {
                self.traffic.receive(text.len());
                Incoming::Text(text)
            }
            Ok(Message::Binary(bytes)) => {
                self.traffic.receive(bytes.len());
                Incoming::Binary(bytes)
            }
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {
                self.unflushed = true;
                Incoming::Control
            }
            Ok(Message::Close(frame)) => {
                self.unflushed = true;
                Incoming::End(End::Closed(frame.map(|frame| frame.code.into())))
            }
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                return Poll::Pending;
            }
            Err(error) => Incoming::End(end_of(&error)),
        })
    }
}

fn end_of(error: &Error) -> End {
    match error {
        Error::Capacity(_) => End::TooLarge,
        Error::Utf8(_) => End::BadUtf8,
        // A peer that is gone breaks the protocol too: it said no goodbye.
        Error::Protocol(
            tokio_tungstenite::tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
        )
        | Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Io(_)
        | Error::Tls(_)
        | Error::WriteBufferFull(_)
        | Error::AttackAttempt
        | Error::Url(_)
        | Error::Http(_)
        | Error::HttpFormat(_) => End::Gone,
        Error::Protocol(_) => End::Protocol,
    }
}
