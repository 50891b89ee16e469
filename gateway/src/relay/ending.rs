//! Why a relay ends, and what each side is told of it.

use tollgate_proto::close::CloseCode;
use tollgate_proto::error::ErrorKind;

use super::pair::Side;
use crate::socket::End;
use crate::tenure::Over;

/// Why a relay ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// The process shall stop.
    Stop,
    /// The permit holds no more.
    Over(Over),
    /// A side leaves unread what the other says.
    Stalled(Side),
    /// The client's socket has ended.
    Client(End),
    /// The backend's has.
    Backend(End),
}

/// The codes of the two closes. `None`: that side has gone first.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Goodbye {
    pub(super) to_client: Option<CloseCode>,
    pub(super) to_backend: Option<CloseCode>,
}

impl Ending {
    /// What each side is told. A backend that reads 1000 has got all that its client wanted to say;
    /// anything else tells that more might have come.
    pub(super) fn goodbye(self) -> Goodbye {
        use CloseCode as C;
        let (to_client, to_backend) = match self {
            Self::Stop => (Some(C::Drained), Some(C::GoingAway)),
            Self::Over(Over::Expired) => (Some(C::AuthFailed), Some(C::GoingAway)),
            Self::Over(Over::Revoked | Over::Kicked) => (Some(C::Revoked), Some(C::GoingAway)),
            Self::Over(Over::WorkspaceGone) => (Some(C::WorkspaceDisabled), Some(C::GoingAway)),
            Self::Over(Over::Silent) => (Some(C::IamUnreachable), Some(C::GoingAway)),
            Self::Stalled(Side::Client) => (Some(C::SlowConsumer), Some(C::GoingAway)),
            Self::Stalled(Side::Backend) => (Some(C::Internal), Some(C::GoingAway)),
            Self::Client(End::Closed(None | Some(1000 | 1001 | 1005))) => (None, Some(C::Normal)),
            Self::Client(End::Closed(Some(_)) | End::Gone) => (None, Some(C::GoingAway)),
            Self::Client(End::TooLarge) => (Some(C::TooLarge), Some(C::GoingAway)),
            Self::Client(End::BadUtf8) => (Some(C::BadUtf8), Some(C::GoingAway)),
            Self::Client(End::Protocol) => (Some(C::Protocol), Some(C::GoingAway)),
            Self::Backend(End::Closed(code)) => (Some(passed_on(code)), None),
            Self::Backend(End::Gone) => (Some(C::Internal), None),
            Self::Backend(End::TooLarge) => (Some(C::TooLarge), Some(C::TooLarge)),
            Self::Backend(End::BadUtf8) => (Some(C::Internal), Some(C::BadUtf8)),
            Self::Backend(End::Protocol) => (Some(C::Internal), Some(C::Protocol)),
        };
        Goodbye { to_client, to_backend }
    }
}

impl Ending {
    /// The error of the call that ended so, if it is one.
    pub(super) fn error(self) -> Option<ErrorKind> {
        use ErrorKind as E;
        match self {
            Self::Client(End::Closed(_)) | Self::Backend(End::Closed(None | Some(1000 | 1005))) => {
                None
            }
            Self::Stop | Self::Backend(End::Closed(Some(1001 | 1012 | 1013))) => {
                Some(E::Unavailable)
            }
            Self::Over(over) => Some(over.kind()),
            Self::Stalled(Side::Client) | Self::Client(End::Gone) => Some(E::Cancelled),
            Self::Client(End::TooLarge) => Some(E::TooLarge),
            Self::Client(End::BadUtf8 | End::Protocol) => Some(E::InvalidRequest),
            Self::Stalled(Side::Backend) | Self::Backend(_) => Some(E::UpstreamError),
        }
    }
}

/// What the client is told of a backend's own goodbye: what it may do about it, and nothing else.
fn passed_on(code: Option<u16>) -> CloseCode {
    match code {
        None | Some(1000 | 1005) => CloseCode::Normal,
        Some(1001 | 1012) => CloseCode::Drained,
        // The client's own doing.
        Some(1003) => CloseCode::Unsupported,
        Some(1007) => CloseCode::BadUtf8,
        Some(1009) => CloseCode::TooLarge,
        Some(1013) => CloseCode::Overloaded,
        Some(_) => CloseCode::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(ending: Ending, to_client: Option<u16>, to_backend: Option<u16>) {
        let goodbye = ending.goodbye();
        let codes =
            (goodbye.to_client.map(CloseCode::code), goodbye.to_backend.map(CloseCode::code));
        assert_eq!(codes, (to_client, to_backend), "{ending:?}");
    }

    #[test]
    fn a_backend_is_told_whether_its_client_was_done() {
        for code in [None, Some(1000), Some(1001)] {
            check(Ending::Client(End::Closed(code)), None, Some(1000));
        }
        check(Ending::Client(End::Closed(Some(1011))), None, Some(1001));
        check(Ending::Client(End::Gone), None, Some(1001));
        check(Ending::Stop, Some(1012), Some(1001));
        check(Ending::Over(Over::Expired), Some(4401), Some(1001));
        check(Ending::Over(Over::Revoked), Some(4403), Some(1001));
        check(Ending::Stalled(Side::Client), Some(4430), Some(1001));
    }

    #[test]
    fn a_client_is_told_what_it_may_do_about_it() {
        let closed = |code| Ending::Backend(End::Closed(code));
        check(closed(None), Some(1000), None);
        check(closed(Some(1012)), Some(1012), None);
        check(closed(Some(1009)), Some(1009), None);
        check(closed(Some(4403)), Some(1011), None);
        check(Ending::Backend(End::Gone), Some(1011), None);
    }
}
