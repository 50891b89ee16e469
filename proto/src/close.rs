//! The one table of close codes, with the advice that a `closing` frame gives for each.

/// What a client should do after a close.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reconnect {
    /// At once.
    Now,
    /// After a pause that doubles.
    Backoff,
    /// With another credential.
    Reauth,
    /// Not at all: the same would happen again.
    Never,
}

impl Reconnect {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Now => "now",
            Self::Backoff => "backoff",
            Self::Reauth => "reauth",
            Self::Never => "never",
        }
    }
}

macro_rules! close_codes {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $reason:literal, $reconnect:ident;)*) => {
        /// Why the gateway closes a socket.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum CloseCode { $($(#[$doc])* $variant,)* }

        impl CloseCode {
            /// Every code, in the order of the table.
            pub const ALL: &[CloseCode] = &[$(CloseCode::$variant,)*];

            /// The number in the close frame.
            pub const fn code(self) -> u16 {
                match self { $(Self::$variant => $code,)* }
            }

            /// The reason in the close frame, the `closing` frame, the log line and the metric.
            pub const fn reason(self) -> &'static str {
                match self { $(Self::$variant => $reason,)* }
            }

            /// The advice to the client.
            pub const fn reconnect(self) -> Reconnect {
                match self { $(Self::$variant => Reconnect::$reconnect,)* }
            }
        }
    };
}

close_codes! {
    /// The client said goodbye.
    Normal = 1000, "normal", Now;
    /// The process stops without time for a drain.
    GoingAway = 1001, "going-away", Backoff;
    /// The peer broke RFC 6455.
    Protocol = 1002, "protocol-error", Never;
    /// A kind of data that is not taken.
    Unsupported = 1003, "unsupported", Never;
    /// A text message that is not UTF-8.
    BadUtf8 = 1007, "bad-utf8", Never;
    /// An Origin that is not on the list, or a connection in clear where TLS is required.
    Policy = 1008, "policy", Never;
    /// A message beyond the hard limit.
    TooLarge = 1009, "too-large", Never;
    /// A fault of ours.
    Internal = 1011, "internal", Backoff;
    /// The drain's deadline has passed.
    Drained = 1012, "drained", Now;
    /// No room for another connection or call.
    Overloaded = 1013, "overloaded", Backoff;
    /// One malformed frame after another.
    Malformed = 4400, "malformed", Never;
    /// The credential expired, or too many were refused.
    AuthFailed = 4401, "auth-failed", Reauth;
    /// The authority behind the socket was taken away, or somebody closed it.
    Revoked = 4403, "revoked", Reauth;
    /// No credential came in time.
    AuthTimeout = 4408, "auth-timeout", Backoff;
    /// Over the rate for too long.
    RateAbuse = 4429, "rate-abuse", Backoff;
    /// The client reads too slowly.
    SlowConsumer = 4430, "slow-consumer", Backoff;
    /// Too many connections.
    ConnectionCap = 4431, "connection-cap", Backoff;
    /// The tier's session time is over.
    SessionOver = 4440, "session-over", Now;
    /// The workspace was disabled.
    WorkspaceDisabled = 4451, "workspace-disabled", Never;
    /// IAM could not be asked while the socket authenticated, or was not heard of for too long.
    IamUnreachable = 4503, "iam-unreachable", Backoff;
    /// No pong came.
    HeartbeatMissed = 4504, "heartbeat-missed", Now;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_ascending_and_legal() {
        let codes: Vec<_> = CloseCode::ALL.iter().map(|c| c.code()).collect();
        assert!(codes.is_sorted_by(|a, b| a < b));
        assert!(codes.iter().all(|c| (1000..1016).contains(c) || (4000..5000).contains(c)));
        assert!(CloseCode::ALL.iter().all(|c| c.reason().len() <= 123), "RFC 6455 §5.5");
    }
}
