//! A request whose body is none of the gateway's business becomes a [`Call`]: a socket of a flow,
//! or a stream of bytes. The rules of [`resolve`](super::resolve) hold here too; what differs is
//! that nothing inside can be set, so the backend learns the workspace from its headers alone.

use std::sync::Arc;

use tokio::time::Instant;
use tollgate_proto::error::WireError;
use tollgate_proto::iam::Identity;
use tollgate_proto::ids::FlowId;
use tollgate_proto::resource::Resource;

use super::Entry;
use super::resolve::{needs, parse_flow, resolve_workspace};
use crate::call::{Call, Target, TraceParent};

/// What an HTTP request asks for, beside the entry of the registry that it names.
#[derive(Debug, Default)]
pub(crate) struct Asked<'a> {
    /// The flow, where there is one.
    pub(crate) flow: Option<&'a str>,
    /// The workspace, unless the identity's default is meant.
    pub(crate) workspace: Option<&'a str>,
    /// The trace that it belongs to.
    pub(crate) traceparent: Option<TraceParent>,
}

impl Entry {
    /// Settles what a request means when this identity sends it.
    pub(crate) fn resolve_passage(
        &self,
        asked: Asked<'_>,
        identity: Option<&Identity>,
    ) -> Result<Call, WireError> {
        let workspace = resolve_workspace(asked.workspace, identity)?;
        let flow = parse_flow(asked.flow)?;
        let resource = match &flow {
            Some(flow) => Resource::Flow { workspace, flow: flow.clone() },
            None => Resource::Workspace { workspace },
        };
        Ok(self.passage(resource, flow, asked.traceparent))
    }

    /// The same for what belongs to the deployment as a whole.
    pub(crate) fn resolve_deployment(&self, traceparent: Option<TraceParent>) -> Call {
        self.passage(Resource::Deployment, None, traceparent)
    }

    fn passage(
        &self,
        resource: Resource,
        flow: Option<FlowId>,
        traceparent: Option<TraceParent>,
    ) -> Call {
        let target = self.backend.clone().map_or(Target::Nothing, Target::Passage);
        Call {
            name: Arc::clone(&self.name),
            service: (&*self.name).into(),
            needs: needs(self.requirement, resource),
            flow,
            target,
            taken: Instant::now(),
            budget: self.timeout,
            traceparent,
            metrics: self.metrics.clone(),
        }
    }
}
