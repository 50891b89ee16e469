//! What travels along the road: plain data.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::Instant;
use tollgate_proto::iam::{Check, Order};
use tollgate_proto::ids::FlowId;
use tollgate_proto::json::Object;

use crate::metrics::CallMetrics;

/// A request whose service, workspace and needs are settled.
#[derive(Debug)]
pub(crate) struct Call {
    /// What the registry calls it: `text-completion`, `config:get`, `iam:whoami`.
    pub(crate) name: Arc<str>,
    /// Where its end is counted.
    pub(crate) metrics: Arc<CallMetrics>,
    /// The service, as the caller named it.
    pub(crate) service: Arc<str>,
    /// What must hold before it runs.
    pub(crate) needs: Needs,
    /// The flow that it addresses, for flow services.
    pub(crate) flow: Option<FlowId>,
    /// What runs it.
    pub(crate) target: Target,
    /// When it was taken in: its time runs from then, whatever it waits for.
    pub(crate) taken: Instant,
    /// How long it may take.
    pub(crate) budget: Duration,
    /// The trace that it belongs to, if the caller said so.
    pub(crate) traceparent: Option<TraceParent>,
}

impl Call {
    /// When its time is over; never, if that is beyond what the clock can tell.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.taken.checked_add(self.budget)
    }
}

/// W3C trace context, version 00: `00-<trace>-<span>-<flags>` in lower-case hex.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TraceParent(Arc<str>);

impl TraceParent {
    /// Reads it. One that breaks the rules is none, as the standard has it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let is_hex = |part: &str| part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let is_id = |part: &str| is_hex(part) && part.bytes().any(|b| b != b'0');
        let mut parts = text.split('-');
        let parts = [parts.next()?, parts.next()?, parts.next()?, parts.next()?];
        let [version, trace, span, flags] = parts;
        let valid = text.len() == 55
            && version == "00"
            && (trace.len(), span.len(), flags.len()) == (32, 16, 2)
            && is_id(trace)
            && is_id(span)
            && is_hex(flags);
        valid.then(|| Self(text.into()))
    }

    /// The trace alone: 32 hexadecimal digits.
    pub(crate) fn trace_id(&self) -> &str {
        self.0.get(3..35).unwrap_or_default()
    }

    /// The context as text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// What must hold before a call runs.
#[derive(Debug)]
pub(crate) enum Needs {
    /// Nothing: a public operation.
    Nothing,
    /// An identity. IAM itself decides on the record that the operation concerns.
    Identity,
    /// An identity that may do this.
    Check(Check),
}

impl Needs {
    /// What IAM must allow, if that is it.
    pub(crate) fn check(&self) -> Option<&Check> {
        match self {
            Self::Check(check) => Some(check),
            Self::Nothing | Self::Identity => None,
        }
    }
}

/// What runs a call, with what it is given.
#[derive(Debug)]
pub(crate) enum Target {
    /// A backend gets the request.
    Backend(Arc<str>, Object<'static>),
    /// A backend is passed bytes, or passes them.
    Passage(Arc<str>),
    /// Registered, and nothing is configured to run it.
    Nothing,
    /// IAM gets the order that was parsed, unless it was taken back before.
    Iam(Box<Order>, Arc<Fate>),
}

/// Whether a change was sent to IAM or taken back before: settled once, by whoever comes first. What
/// was sent may be done, so its own answer is waited for, whatever happens to its caller.
#[derive(Debug, Default)]
pub(crate) struct Fate(OnceLock<Settled>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Settled {
    Sent,
    TakenBack,
}

impl Fate {
    /// Whether it may be sent.
    pub(crate) fn send(&self) -> bool {
        *self.0.get_or_init(|| Settled::Sent) == Settled::Sent
    }

    /// Whether it never will be.
    pub(crate) fn take_back(&self) -> bool {
        *self.0.get_or_init(|| Settled::TakenBack) == Settled::TakenBack
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_context_is_taken_whole_or_not_at_all() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let (trace, span) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
        let parsed = TraceParent::parse(good).unwrap();
        assert_eq!((parsed.as_str(), parsed.trace_id()), (good, trace));
        for bad in [
            String::new(),
            good.to_uppercase(),
            format!("{good}-"),
            format!("{good}\r\nx: y"),
            format!("01-{trace}-{span}-01"),
            format!("00-{}-{span}-01", "0".repeat(32)),
            format!("00-{trace}-{}-01", "0".repeat(16)),
            format!("00-{span}-{trace}-01"),
            format!("00-{trace}-{span}-\r\n"),
        ] {
            assert_eq!(TraceParent::parse(&bad), None, "{bad:?}");
        }
    }
}
