//! What the gateway counts: every metric, and every label with its closed set of values.
//!
//! In: increments of atomics from along the road. Out: `/metrics`, and docs/METRICS.md, which is
//! made of the words here.
//! Never: a label that a client can choose. Operations and backends are those of the registry.

use std::borrow::Cow;

use tollgate_proto::close::CloseCode;
use tollgate_proto::error::ErrorKind;
use tollgate_proto::iam::Via;
use tollgate_runtime::metrics::{
    Asked, Counter, Counters, Gauge, Histogram, Label, Names, PerName,
};
use tollgate_runtime::tls::TlsFailure;

tollgate_runtime::metrics! {
    /// The metrics of one gateway.
    pub(crate) struct Metrics, "tollgate_gateway" {
        /// TCP connections that were accepted.
        connections: Counter,
        /// Connections for which there was no room: some are told so, the others are left.
        connections_refused: Counter,
        /// Connections that could not be accepted: usually the process is out of descriptors.
        accept_errors: Counter,
        /// TLS handshakes that failed.
        tls_failures: Counters<TlsFailure>,
        /// Answers to HTTP requests, upgrades included, by path and class of status.
        http_responses: Counters<(Route, StatusClass)>,
        /// Sockets that are open.
        sockets_open: Gauge,
        /// Sockets that were opened.
        sockets: Counter,
        /// Sockets that ended: the code and reason of our close frame, or 0 where the client said
        /// goodbye (`client`) or was gone without a word (`gone`).
        socket_closes: Counters<Closed>,
        /// Messages that came in over sockets.
        received_messages: Counter,
        /// Messages that went out over sockets.
        sent_messages: Counter,
        /// What those that came in hold, without the framing.
        received_bytes: Counter,
        /// What those that went out hold, without the framing.
        sent_bytes: Counter,
        /// Frames that were answered with an error and never became a call: malformed, of unknown
        /// type, too many, from nobody, about a service that is not there.
        frames_refused: Counters<Error>,
        /// Credentials that were judged. `refused`: by IAM or by their form; `unreachable`: they
        /// could not be judged.
        authentications: Counters<(Through, Judged)>,
        /// Calls that ended, over sockets and HTTP: `ok` or the type of the error that the caller
        /// was told. Errors inside a service's own answer are `ok` here.
        calls: PerName<CallMetrics, Counters<CallEnd>>,
        /// How long calls took, from the frame to the last frame.
        call_duration_seconds: PerName<CallMetrics, Histogram>,
        /// Calls that run.
        calls_in_flight: Gauge,
        /// Calls that wait until others of their socket have ended.
        calls_waiting: Gauge,
        /// Requests to backends. `busy`: not sent, too many were running; `unreachable`: no server
        /// took it; `broken`: the connection broke; `dropped`: the call ended before the head of the
        /// answer came.
        upstream_requests: PerName<UpstreamMetrics, Counters<Sent>>,
        /// How long the head of a backend's answer took.
        upstream_duration_seconds: PerName<UpstreamMetrics, Histogram>,
        /// Servers of backends that are passed over until a probe reaches them.
        upstream_servers_lost: PerName<UpstreamMetrics, Gauge>,
        /// Questions to IAM. `refused`: it answered with a refusal; `unreachable`: it gave no answer
        /// that could be used.
        iam_questions: Counters<(Asked, Answered)>,
        /// How long answers of IAM took.
        iam_question_duration_seconds: Histogram,
        /// Look-ups in what IAM said before.
        cache_lookups: Counters<(Cached, Found)>,
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let (operations, upstreams) = (Names::default(), Names::default());
        Self {
            connections: Counter::default(),
            connections_refused: Counter::default(),
            accept_errors: Counter::default(),
            tls_failures: Counters::default(),
            http_responses: Counters::default(),
            sockets_open: Gauge::default(),
            sockets: Counter::default(),
            socket_closes: Counters::default(),
            received_messages: Counter::default(),
            sent_messages: Counter::default(),
            received_bytes: Counter::default(),
            sent_bytes: Counter::default(),
            frames_refused: Counters::default(),
            authentications: Counters::default(),
            calls: PerName::new("operation", &operations, |of| &of.ends),
            call_duration_seconds: PerName::new("operation", &operations, |of| &of.duration),
            calls_in_flight: Gauge::default(),
            calls_waiting: Gauge::default(),
            upstream_requests: PerName::new("backend", &upstreams, |of| &of.sent),
            upstream_duration_seconds: PerName::new("backend", &upstreams, |of| &of.duration),
            upstream_servers_lost: PerName::new("backend", &upstreams, |of| &of.lost),
            iam_questions: Counters::default(),
            iam_question_duration_seconds: Histogram::default(),
            cache_lookups: Counters::default(),
        }
    }
}

/// The calls of one operation.
#[derive(Debug, Default)]
pub(crate) struct CallMetrics {
    pub(crate) ends: Counters<CallEnd>,
    pub(crate) duration: Histogram,
}

/// The requests to one backend.
#[derive(Debug, Default)]
pub(crate) struct UpstreamMetrics {
    pub(crate) sent: Counters<Sent>,
    pub(crate) duration: Histogram,
    pub(crate) lost: Gauge,
}

tollgate_runtime::label! {
    /// The paths of the public listener.
    pub(crate) enum Route, "route" {
        Socket = "/api/v1/socket",
        SocketOfOld = "/api/socket",
        Bootstrap = "/api/v1/auth/bootstrap",
        BootstrapStatus = "/api/v1/auth/bootstrap-status",
        Login = "/api/v1/auth/login",
        ChangePassword = "/api/v1/auth/change-password",
        Iam = "/api/v1/iam",
        Service = "/api/v1/{kind}",
        FlowService = "/api/v1/flow/{flow}/service/{*kind}",
        DocumentStream = "/api/v1/document-stream",
        ExportCore = "/api/v1/export-core",
        ImportCore = "/api/v1/import-core",
        Metrics = "/api/metrics/{*path}",
        FlowImport = "/api/v1/flow/{flow}/import/{kind}",
        FlowExport = "/api/v1/flow/{flow}/export/{kind}",
        Other = "other",
    }
}

tollgate_runtime::label! {
    /// The first digit of a status.
    pub(crate) enum StatusClass, "status" {
        Informational = "1xx",
        Success = "2xx",
        Redirection = "3xx",
        ClientError = "4xx",
        ServerError = "5xx",
    }
}

tollgate_runtime::label! {
    /// What came of a credential.
    pub(crate) enum Judged, "outcome" {
        Ok = "ok",
        Refused = "refused",
        Unreachable = "unreachable",
    }
}

tollgate_runtime::label! {
    /// What came of a request to a backend.
    pub(crate) enum Sent, "outcome" {
        Answered = "answered",
        Busy = "busy",
        Unreachable = "unreachable",
        Broken = "broken",
        Dropped = "dropped",
    }
}

tollgate_runtime::label! {
    /// What came of it.
    pub(crate) enum Answered, "outcome" {
        Ok = "ok",
        Refused = "refused",
        Unreachable = "unreachable",
    }
}

tollgate_runtime::label! {
    /// What is kept of what IAM said.
    pub(crate) enum Cached, "cache" {
        Identity = "identity",
        /// What it said about other tokens of a user.
        Family = "family",
        Decision = "decision",
    }
}

tollgate_runtime::label! {
    /// Whether it was there.
    pub(crate) enum Found, "outcome" {
        Hit = "hit",
        Miss = "miss",
    }
}

tollgate_runtime::label! {
    /// How a credential came.
    pub(crate) enum Through, "via" {
        Socket = "socket",
        Http = "http",
    }
}

impl Route {
    /// The route of a path as the router matched it.
    pub(crate) fn of(matched: Option<&str>) -> Self {
        let is_it = |route: &Self| Some(route.text()) == matched;
        Self::ALL.iter().copied().find(is_it).unwrap_or(Self::Other)
    }
}

impl StatusClass {
    /// The class of a status.
    pub(crate) fn of(status: u16) -> Self {
        match status {
            ..200 => Self::Informational,
            200..300 => Self::Success,
            300..400 => Self::Redirection,
            400..500 => Self::ClientError,
            500.. => Self::ServerError,
        }
    }
}

impl From<Via> for Through {
    fn from(via: Via) -> Self {
        match via {
            Via::Socket => Self::Socket,
            Via::Http => Self::Http,
        }
    }
}

/// How a socket ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closed {
    /// We closed it.
    Ours(CloseCode),
    /// The client said goodbye.
    Client,
    /// It was gone without a word.
    Gone,
}

impl Closed {
    /// The code of our close frame; 0 without one.
    pub(crate) fn code(self) -> u16 {
        match self {
            Self::Ours(code) => code.code(),
            Self::Client | Self::Gone => 0,
        }
    }

    /// In a word.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Ours(code) => code.reason(),
            Self::Client => "client",
            Self::Gone => "gone",
        }
    }
}

impl Label for Closed {
    const COUNT: usize = CloseCode::ALL.len() + 2;

    fn names() -> Vec<&'static str> {
        vec!["code", "reason"]
    }

    fn index(self) -> usize {
        match self {
            Self::Ours(code) => code as usize,
            Self::Client => CloseCode::ALL.len(),
            Self::Gone => CloseCode::ALL.len() + 1,
        }
    }

    fn values(index: usize) -> Vec<Cow<'static, str>> {
        let closed = match CloseCode::ALL.get(index) {
            Some(code) => Self::Ours(*code),
            None if index == Self::Client.index() => Self::Client,
            None => Self::Gone,
        };
        vec![closed.code().to_string().into(), closed.reason().into()]
    }
}

/// An error of the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Error(pub(crate) ErrorKind);

impl Label for Error {
    const COUNT: usize = ErrorKind::ALL.len();

    fn names() -> Vec<&'static str> {
        vec!["error"]
    }

    fn index(self) -> usize {
        self.0 as usize
    }

    fn values(index: usize) -> Vec<Cow<'static, str>> {
        vec![ErrorKind::ALL.get(index).map_or("", |kind| kind.as_str()).into()]
    }
}

/// How a call ended: `None` is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CallEnd(pub(crate) Option<ErrorKind>);

impl CallEnd {
    /// In a word.
    pub(crate) fn as_str(self) -> &'static str {
        self.0.map_or("ok", ErrorKind::as_str)
    }
}

impl Label for CallEnd {
    const COUNT: usize = 1 + ErrorKind::ALL.len();

    fn names() -> Vec<&'static str> {
        vec!["outcome"]
    }

    fn index(self) -> usize {
        self.0.map_or(0, |kind| 1 + kind as usize)
    }

    fn values(index: usize) -> Vec<Cow<'static, str>> {
        let kind = index.checked_sub(1).and_then(|index| ErrorKind::ALL.get(index).copied());
        vec![Self(kind).as_str().into()]
    }
}

#[cfg(test)]
mod tests;
