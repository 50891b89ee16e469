//! What is passed on: a socket of a flow, whose messages are none of the gateway's business.

use hyper::header::{AUTHORIZATION, HeaderMap, InvalidHeaderValue};
use hyper::http::response::Parts;
use hyper::{Method, Request, StatusCode};
use tollgate_proto::error::{ErrorKind, WireError};

use super::answer::retry_after;
use super::headers::{add_context, identify};
use super::{Failed, Http};
use crate::authorise::Permit;
use crate::upstream::{Answer, Failure, Opened, Place, RequestBody};

impl Http {
    /// Opens a WebSocket to the service.
    pub(crate) async fn connect(&self, permit: &Permit) -> Result<Opened, WireError> {
        let headers = self.headers_of_passage(permit).map_err(|_| ErrorKind::Internal)?;
        let opened = self.upstream.upgrade(&headers).await;
        opened.map_err(|failure| {
            let failed = match &failure {
                Failure::Refused(head) => Failed::new(refusal(head), failure.to_string()),
                Failure::Busy | Failure::Unreachable(_) | Failure::Broken(_) => failure.into(),
            };
            self.log(permit, failed)
        })
    }

    /// Asks the service for bytes, or sends it some.
    pub(crate) async fn exchange(
        &self,
        permit: &Permit,
        method: Method,
        place: Place<'_>,
        body: RequestBody,
    ) -> Result<Answer, WireError> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.headers_mut() =
            self.headers_of_passage(permit).map_err(|_| ErrorKind::Internal)?;
        let answer = self.upstream.send(request, place).await;
        answer.map_err(|failure| self.log(permit, failure.into()))
    }

    /// The largest answer that is read whole.
    pub(crate) fn max_answer(&self) -> usize {
        self.max_answer
    }

    /// Tells the log that an answer is of no use, and what the caller is told.
    pub(crate) fn refused(&self, permit: &Permit, head: &Parts) -> WireError {
        let reason = format!("it answered {}", head.status);
        self.log(permit, Failed::new(refusal(head), reason))
    }

    fn headers_of_passage(&self, permit: &Permit) -> Result<HeaderMap, InvalidHeaderValue> {
        let mut headers = HeaderMap::new();
        if let Some(authorization) = self.headers.get(AUTHORIZATION) {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        identify(&mut headers, permit)?;
        add_context(&mut headers, permit)?;
        Ok(headers)
    }
}

/// What the caller is told of an answer that is no success.
fn refusal(head: &Parts) -> WireError {
    let kind = match head.status {
        StatusCode::NOT_FOUND => ErrorKind::NotFound,
        StatusCode::TOO_MANY_REQUESTS => ErrorKind::RateLimited,
        StatusCode::SERVICE_UNAVAILABLE => ErrorKind::Unavailable,
        _ => return ErrorKind::UpstreamError.into(),
    };
    WireError { retry_after_ms: retry_after(&head.headers), ..WireError::new(kind) }
}
