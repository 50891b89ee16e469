//! What HTTP callers are answered.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::FromRequest;
use axum::extract::Request;
use axum::extract::rejection::BytesRejection;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use tollgate_proto::error::{ErrorKind, WireError};

use super::BODY_DEADLINE;
use crate::reply;

/// 200 with a JSON body.
pub(super) fn ok(body: String) -> Response {
    json(StatusCode::OK, body)
}

/// A refusal: its status and `{"error":"…"}`.
pub(super) fn refuse(error: &WireError) -> Response {
    let status =
        StatusCode::from_u16(error.kind.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json(status, reply::http_error(error));
    if let Some(after) = error.retry_after_ms.map(|ms| Duration::from_millis(ms).as_secs().max(1)) {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(after));
    }
    response
}

/// 403 to whoever came in clear where that is not allowed.
pub(super) fn tls_required() -> Response {
    json(StatusCode::FORBIDDEN, r#"{"error":"tls required"}"#.into())
}

/// 400 with a message of its own.
pub(super) fn bad_request(message: &'static str) -> Response {
    refuse(&WireError::with_message(ErrorKind::InvalidRequest, message))
}

/// The body of a request as text: within its limit, in time, UTF-8.
pub(super) async fn read_body(request: Request) -> Result<String, Response> {
    let bytes = match tokio::time::timeout(BODY_DEADLINE, Bytes::from_request(request, &())).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(BytesRejection::FailedToBufferBody(error)))
            if error.status() == StatusCode::PAYLOAD_TOO_LARGE =>
        {
            return Err(refuse(&ErrorKind::TooLarge.into()));
        }
        Ok(Err(_)) => return Err(bad_request("the body could not be read")),
        Err(_) => {
            return Err(json(
                StatusCode::REQUEST_TIMEOUT,
                r#"{"error":"the body came too slowly"}"#.into(),
            ));
        }
    };
    String::from_utf8(bytes.into()).map_err(|_| bad_request("invalid json"))
}

fn json(status: StatusCode, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}
