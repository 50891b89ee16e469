//! What travels along the road: plain data.

use std::sync::Arc;
use std::time::Duration;

use tollgate_proto::iam::{Check, Operation};
use tollgate_proto::ids::FlowId;

/// A request whose service, workspace and needs are settled.
#[derive(Debug)]
pub(crate) struct Call {
    /// What the registry calls it: `text-completion`, `config:get`, `iam:whoami`.
    pub(crate) name: Arc<str>,
    /// What must hold before it runs.
    pub(crate) needs: Needs,
    /// The flow that it addresses, for flow services.
    pub(crate) flow: Option<FlowId>,
    /// What runs it.
    pub(crate) target: Target,
    /// How long it may take.
    pub(crate) budget: Duration,
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

/// What runs a call, with what it is given.
#[derive(Debug)]
pub(crate) enum Target {
    /// A backend gets the request as JSON.
    Backend(Arc<str>, String),
    /// Registered, and nothing is configured to run it.
    Nothing,
    /// IAM gets the operation that was parsed.
    Iam(Operation),
}
