//! A request becomes a [`Call`]: its service is found, its workspace settled, and what the caller
//! may not say for itself is taken out of it.
//!
//! One resolver for every path into the gateway: a workspace comes from the envelope (or, over
//! HTTP, from the body), else from the identity, and what was resolved is what is authorised and
//! what the backend is told.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tollgate_proto::error::{ErrorKind, WireError};
use tollgate_proto::iam::{Check, Identity, Order, RequestError};
use tollgate_proto::ids::{FlowId, WorkspaceId};
use tollgate_proto::json::{Object, ObjectError, Value};
use tollgate_proto::resource::Resource;

use super::{Entry, IAM, Registry, Requirement};
use crate::call::{Call, Fate, Needs, Target, TraceParent};

/// Members of a request that the gateway sets, whatever the caller sent.
const WORKSPACE: &str = "workspace";
const USER_CONTEXT: &str = "user-context";

/// What a frame or an HTTP request asks for.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    /// The service.
    pub(crate) service: Cow<'a, str>,
    /// The flow, for flow services.
    pub(crate) flow: Option<Cow<'a, str>>,
    /// The workspace, unless the identity's default is meant.
    pub(crate) workspace: Option<Cow<'a, str>>,
    /// What the service gets, or why it can get nothing.
    pub(crate) body: Result<Object<'a>, ObjectError>,
    /// The caller's own budget.
    pub(crate) deadline: Option<Duration>,
    /// The trace that it belongs to.
    pub(crate) traceparent: Option<TraceParent>,
    /// Where the caller looks whether a change was sent, if it looks.
    pub(crate) fate: Option<Arc<Fate>>,
}

impl Registry {
    /// Settles what a request means when this identity sends it.
    pub(crate) fn resolve(
        &self,
        request: Request<'_>,
        identity: Option<&Identity>,
    ) -> Result<Call, WireError> {
        let Request { service, flow, workspace, body, deadline, traceparent, fate } = request;
        let body = body.map_err(|error| {
            invalid(Cow::Borrowed(match error {
                ObjectError::DuplicateKey => "a key of the request is repeated",
                ObjectError::NotJson | ObjectError::NotAnObject | ObjectError::BeyondLimits => {
                    "the request is not a JSON object"
                }
            }))
        })?;
        let found = match &flow {
            Some(_) => self.flow_service(&service),
            None => self.operation(&service, &body.text("operation").unwrap_or_default()),
        };
        let entry = found.ok_or(ErrorKind::UnknownService)?;
        let budget = deadline.map_or(entry.timeout, |own| own.min(entry.timeout));
        if flow.is_none() && service == IAM {
            return resolve_iam(entry, budget, &body, fate.unwrap_or_default());
        }

        let workspace = resolve_workspace(workspace.as_deref(), identity)?;
        let flow = parse_flow(flow.as_deref())?;
        let resource = match &flow {
            Some(flow) => Resource::Flow { workspace: workspace.clone(), flow: flow.clone() },
            None => Resource::Workspace { workspace: workspace.clone() },
        };
        let target = match &entry.backend {
            Some(backend) => Target::Backend(backend.clone(), rewrite(body, &workspace, identity)),
            None => Target::Nothing,
        };
        Ok(Call {
            name: entry.name.clone(),
            metrics: entry.metrics.clone(),
            service: if *entry.name == *service { entry.name.clone() } else { service.into() },
            needs: needs(entry.requirement, resource),
            flow,
            target,
            taken: Instant::now(),
            budget,
            traceparent,
        })
    }
}

fn resolve_iam(
    entry: &Entry,
    budget: Duration,
    body: &Object<'_>,
    fate: Arc<Fate>,
) -> Result<Call, WireError> {
    let order = Order::read(body).map_err(|error| match error {
        RequestError::UnknownOperation => WireError::new(ErrorKind::UnknownService),
        RequestError::Invalid(message) => invalid(message.into()),
    })?;
    let needs = match entry.requirement {
        Requirement::Public => Needs::Nothing,
        Requirement::Authenticated | Requirement::Capability(_) => Needs::Identity,
    };
    Ok(Call {
        name: entry.name.clone(),
        metrics: entry.metrics.clone(),
        service: IAM.into(),
        needs,
        flow: None,
        target: Target::Iam(Box::new(order), fate),
        taken: Instant::now(),
        budget,
        traceparent: None,
    })
}

/// The one rule for the workspace of a call.
pub(super) fn resolve_workspace(
    named: Option<&str>,
    identity: Option<&Identity>,
) -> Result<WorkspaceId, WireError> {
    // Who asks comes before what is asked.
    let identity = identity.ok_or(ErrorKind::AuthRequired)?;
    match named {
        Some(name) => name.parse().map_err(|e| invalid(format!("{e}").into())),
        None => Ok(identity.default_workspace.clone()),
    }
}

pub(super) fn parse_flow(named: Option<&str>) -> Result<Option<FlowId>, WireError> {
    named.map(str::parse).transpose().map_err(|e| invalid(format!("{e}").into()))
}

pub(super) fn needs(requirement: Requirement, resource: Resource) -> Needs {
    match requirement {
        Requirement::Public => Needs::Nothing,
        Requirement::Authenticated => Needs::Identity,
        Requirement::Capability(capability) => Needs::Check(Check { capability, resource }),
    }
}

/// The request as the backend gets it.
fn rewrite(
    body: Object<'_>,
    workspace: &WorkspaceId,
    identity: Option<&Identity>,
) -> Object<'static> {
    let workspace = (WORKSPACE, Value::Text(workspace.as_str()));
    let context = identity.and_then(|identity| identity.user_context.as_deref());
    match context {
        // It was checked to be JSON when it was minted.
        Some(context) => body.rewrite(&[workspace, (USER_CONTEXT, Value::Json(context))], &[]),
        None => body.rewrite(&[workspace], &[USER_CONTEXT]),
    }
}

fn invalid(message: Cow<'static, str>) -> WireError {
    WireError::with_message(ErrorKind::InvalidRequest, message)
}
