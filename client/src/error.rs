//! How connecting, authenticating and calling fail.
//!
//! In: what the gateway or the socket said. Out: enums that a caller can match on; the texts are
//! for people. Never: a credential, or the body of a call.

use std::time::Duration;

use tokio_tungstenite::tungstenite;
use tollgate_proto::close::CloseCode;
use tollgate_proto::frame::AuthFailed;
use tollgate_proto::frame::server::ReceivedError;

use crate::tls::TrustError;

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL is not one that a socket can be opened to.
    #[error("{url:?} is no url of a gateway: {reason}")]
    Url {
        /// The URL as it was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is nobody to trust under `https` and `wss`.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// Nobody answers there.
    #[error("cannot connect to {address}")]
    Io {
        /// Where.
        address: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Something answers there, and it opened no socket.
    #[error("{address} opened no socket")]
    Handshake {
        /// Where.
        address: String,
        /// What it did instead.
        #[source]
        source: Box<tungstenite::Error>,
    },
    /// The socket did not open in time.
    #[error("{address} opened no socket within {after:?}")]
    Timeout {
        /// Where.
        address: String,
        /// How long it was waited.
        after: Duration,
    },
    /// The socket opened, and the credential was not taken.
    #[error(transparent)]
    Auth(#[from] AuthError),
}

/// Why a credential was not taken.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AuthError {
    /// The gateway refused it, or could not judge it (`retryable`). The socket stays open, and a
    /// former identity stays in force.
    #[error("{}", .0.error)]
    Failed(AuthFailed),
    /// The socket went before an answer came.
    #[error(transparent)]
    Ended(#[from] Ended),
    /// No answer came in time.
    #[error("no answer to the credential within {0:?}")]
    Timeout(Duration),
}

/// Why a call has no result.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CallError {
    /// The gateway refused the call or ended it.
    #[error("{}", text_of(.0))]
    Refused(ReceivedError),
    /// The service took the call and answered with an error.
    #[error("{}", text_of(.0))]
    Service(ReceivedError),
    /// The socket went before the last frame came.
    #[error(transparent)]
    Ended(#[from] Ended),
    /// The deadline of the call is over; it was cancelled.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The frames of a stream came faster than they were taken; it was cancelled.
    #[error("the stream was not read fast enough and was cancelled")]
    SlowConsumer,
    /// No gateway would take the body, so it was not sent.
    #[error("the request cannot be sent: {0}")]
    Request(String),
}

impl CallError {
    /// Whether the same call may succeed later, unchanged. A call that the socket was lost under,
    /// or that timed out, may have run: whether to repeat it is the caller's to know.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Refused(error) | Self::Service(error) => error.retryable,
            Self::Ended(_) | Self::Timeout(_) | Self::SlowConsumer | Self::Request(_) => false,
        }
    }

    /// The error's type on the wire, if it came over the wire.
    pub fn kind(&self) -> Option<&str> {
        match self {
            Self::Refused(error) | Self::Service(error) => Some(&error.r#type),
            Self::Ended(_) | Self::Timeout(_) | Self::SlowConsumer | Self::Request(_) => None,
        }
    }
}

fn text_of(error: &ReceivedError) -> String {
    match (error.r#type.as_str(), error.message.as_str()) {
        ("", message) => message.to_owned(),
        (kind, "") => kind.to_owned(),
        (kind, message) => format!("{kind}: {message}"),
    }
}

/// How a socket ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// It was closed, by either side or by the network.
    #[error(transparent)]
    Closed(#[from] Closed),
    /// The server sent what is no frame of the protocol.
    #[error("the server broke the protocol: {0}")]
    Protocol(String),
}

/// A socket that was closed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the connection was closed: {code} {reason}")]
pub struct Closed {
    /// The code of the close frame, or [`Closed::LOST`] if none came.
    pub code: u16,
    /// Its reason, or what happened to the connection.
    pub reason: String,
    /// What the server advises to do now: `now`, `backoff`, `reauth` or `never`.
    pub reconnect: Option<String>,
    /// When, if the server said so.
    pub retry_after: Option<Duration>,
}

impl Closed {
    /// The connection was lost without a close frame (RFC 6455, 7.4.1).
    pub const LOST: u16 = 1006;

    pub(crate) fn new(code: u16, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into(), reconnect: None, retry_after: None }
    }

    /// Closed by this side, as agreed.
    pub(crate) fn ours(reason: impl Into<String>) -> Self {
        Self::new(CloseCode::Normal.code(), reason)
    }

    pub(crate) fn lost(reason: impl Into<String>) -> Self {
        Self::new(Self::LOST, reason)
    }
}
