//! Paths are matched byte for byte: an escape is another path. A flow alone may have any name, so
//! that its part is decoded, once.
//!
//! In: paths that the router has matched. Out: their parts.

use tollgate_proto::error::{ErrorKind, WireError};

use crate::percent;

/// The service of `/api/v1/{kind}`, as it was sent.
pub(super) fn service(path: &str) -> Option<&str> {
    path.strip_prefix("/api/v1/").filter(|kind| !is_escaped(kind))
}

/// `/api/v1/flow/{flow}/{what}/{kind}`.
pub(super) struct OfFlow<'a> {
    flow: &'a str,
    /// As it was sent.
    pub(super) kind: &'a str,
}

impl<'a> OfFlow<'a> {
    pub(super) fn of(path: &'a str) -> Option<Self> {
        let (flow, rest) = path.strip_prefix("/api/v1/flow/")?.split_once('/')?;
        let (_, kind) = rest.split_once('/')?;
        (!is_escaped(kind)).then_some(Self { flow, kind })
    }

    /// The name of the flow.
    pub(super) fn flow(&self) -> Result<String, WireError> {
        let name = String::from_utf8(percent::decode(self.flow));
        name.map_err(|_| {
            WireError::with_message(ErrorKind::InvalidRequest, "the flow is not UTF-8")
        })
    }
}

fn is_escaped(part: &str) -> bool {
    part.contains('%')
}
