//! What a service is told beside the request: who calls, from headers that only the gateway writes.

use hyper::header::{HeaderMap, HeaderName, HeaderValue, InvalidHeaderValue};
use tokio::time::Instant;

use crate::authorise::Permit;
use crate::percent;

const SERVICE: HeaderName = HeaderName::from_static("tollgate-service");
const FLOW: HeaderName = HeaderName::from_static("tollgate-flow");
const WORKSPACE: HeaderName = HeaderName::from_static("tollgate-workspace");
const PRINCIPAL: HeaderName = HeaderName::from_static("tollgate-principal");
const USER_CONTEXT: HeaderName = HeaderName::from_static("tollgate-user-context");
const DEADLINE: HeaderName = HeaderName::from_static("tollgate-deadline-ms");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Adds what the permit says.
pub(super) fn identify(headers: &mut HeaderMap, permit: &Permit) -> Result<(), InvalidHeaderValue> {
    let call = permit.call();
    headers.insert(SERVICE, header(&call.service)?);
    if let Some(flow) = &call.flow {
        headers.insert(FLOW, header(flow.as_str())?);
    }
    if let Some(workspace) = permit.workspace() {
        headers.insert(WORKSPACE, header(workspace.as_str())?);
    }
    if let Some(identity) = permit.identity() {
        headers.insert(PRINCIPAL, header(&identity.actor.user.to_string())?);
    }
    if let Some(traceparent) = &call.traceparent {
        headers.insert(TRACEPARENT, header(traceparent.as_str())?);
    }
    Ok(())
}

/// Adds what IAM minted for the backends. Calls carry it in their body.
pub(super) fn add_context(
    headers: &mut HeaderMap,
    permit: &Permit,
) -> Result<(), InvalidHeaderValue> {
    let context = permit.identity().and_then(|identity| identity.user_context.as_deref());
    if let Some(context) = context {
        headers.insert(USER_CONTEXT, header(context)?);
    }
    Ok(())
}

/// Adds how much of the call's time is left.
pub(super) fn add_deadline(headers: &mut HeaderMap, deadline: Instant) {
    let left = deadline.saturating_duration_since(Instant::now()).as_millis();
    headers.insert(DEADLINE, u64::try_from(left).unwrap_or(u64::MAX).into());
}

/// A name as a header's value: what is not visible ASCII, and the percent sign, percent-encoded.
fn header(name: &str) -> Result<HeaderValue, InvalidHeaderValue> {
    let encoded = percent::encode(name, |byte| byte.is_ascii_graphic() && byte != b'%');
    HeaderValue::from_str(&encoded)
}

#[cfg(test)]
mod tests {
    use super::header;

    #[test]
    fn no_name_ends_a_header_or_starts_another() {
        let check = |name: &str, expect: &str| assert_eq!(header(name).unwrap(), expect);
        check("default", "default");
        check("thru/any/thing", "thru/any/thing");
        check("a\r\ntollgate-principal: admin", "a%0D%0Atollgate-principal:%20admin");
        check("50%", "50%25");
        check("größe", "gr%C3%B6%C3%9Fe");
        check("", "");
    }
}
