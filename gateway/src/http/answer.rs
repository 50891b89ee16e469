//! What HTTP callers are answered.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::header::{CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use http_body_util::BodyExt;
use tokio::time::timeout;
use tollgate_proto::error::{ErrorKind, WireError};

use super::body::{Bounded, Fault, Pace};
use crate::reply;

/// How much of a body beyond its limit is taken in for the sake of the answer.
const MOST_SKIPPED: usize = 16 << 20;
/// How long its next piece may take.
const LULL: Duration = Duration::from_secs(1);
/// When whoever found no room may try again.
const COME_BACK_AFTER_MS: u64 = 5_000;

/// 200 with a JSON body.
pub(super) fn ok(body: String) -> Response {
    json(StatusCode::OK, body)
}

/// A refusal: its status and `{"error":"…"}`.
pub(super) fn refuse(error: &WireError) -> Response {
    let status =
        StatusCode::from_u16(error.kind.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json(status, reply::http_error(error));
    // In whole seconds, and never too early.
    if let Some(after) = error.retry_after_ms.map(|ms| ms.div_ceil(1_000).max(1)) {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(after));
    }
    response
}

/// 403 to whoever came in clear where that is not allowed.
pub(super) fn tls_required() -> Response {
    json(StatusCode::FORBIDDEN, r#"{"error":"tls required"}"#.into())
}

/// 503 to whoever came when there were too many, and the end of the connection.
pub(super) fn no_room() -> Response {
    let unavailable = WireError::new(ErrorKind::Unavailable);
    let mut response =
        refuse(&WireError { retry_after_ms: Some(COME_BACK_AFTER_MS), ..unavailable });
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// 400 with a message of its own.
pub(super) fn bad_request(message: &'static str) -> Response {
    refuse(&WireError::with_message(ErrorKind::InvalidRequest, message))
}

/// A path that is none of ours. The text is what existing clients see, who ask to learn whether
/// a gateway is there at all.
pub(super) async fn no_such_path() -> (StatusCode, &'static str) {
    (StatusCode::NOT_FOUND, "404: Not Found")
}

/// A path of ours, asked in another way.
pub(super) async fn wrong_method() -> (StatusCode, &'static str) {
    (StatusCode::METHOD_NOT_ALLOWED, "405: Method Not Allowed")
}

/// The body of a request as text: at most so many bytes, as they were sent, in time, UTF-8.
pub(super) async fn read_body(
    request: Request,
    most: usize,
    pace: Pace,
) -> Result<String, Response> {
    let body = unencoded(request)?;
    if body.size_hint().lower() > most as u64 {
        skip(body).await;
        return Err(bad_body(Fault::TooLarge));
    }
    let mut body = Bounded::new(body, most, pace);
    match (&mut body).collect().await {
        Ok(read) => {
            String::from_utf8(read.to_bytes().into()).map_err(|_| bad_request("invalid json"))
        }
        Err(fault) => {
            if fault == Fault::TooLarge {
                skip(body.into_rest()).await;
            }
            Err(bad_body(fault))
        }
    }
}

/// The body of a request, if it is as it was meant.
#[expect(clippy::result_large_err, reason = "an answer is an answer")]
pub(super) fn unencoded(request: Request) -> Result<Body, Response> {
    if request.headers().contains_key(CONTENT_ENCODING) {
        let body = r#"{"error":"a body with a Content-Encoding is not taken"}"#;
        return Err(json(StatusCode::UNSUPPORTED_MEDIA_TYPE, body.into()));
    }
    Ok(request.into_body())
}

/// The answer to a body that cannot be taken.
pub(super) fn bad_body(fault: Fault) -> Response {
    match fault {
        Fault::TooLarge => refuse(&ErrorKind::TooLarge.into()),
        Fault::Broken => bad_request("the body could not be read"),
        Fault::Over(over) => refuse(&over.kind().into()),
        Fault::TooSlow => {
            let body = r#"{"error":"the body came too slowly"}"#;
            json(StatusCode::REQUEST_TIMEOUT, body.into())
        }
    }
}

/// Takes in some more of a body that is refused: a client that reads no answer before all is sent
/// would find the connection closed instead. One that sends nothing more is not waited for.
pub(super) async fn skip(body: Body) {
    let mut rest = Bounded::new(body, MOST_SKIPPED, Pace::Stranger);
    while let Ok(Some(Ok(_))) = timeout(LULL, rest.frame()).await {}
}

fn json(status: StatusCode, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;
    use futures_util::stream;

    use super::*;

    #[test]
    fn nobody_is_told_to_come_back_too_early() {
        let check = |ms, seconds| {
            let limited = WireError::new(ErrorKind::RateLimited);
            let refusal = refuse(&WireError { retry_after_ms: Some(ms), ..limited });
            assert_eq!(refusal.headers()[RETRY_AFTER], seconds);
        };
        check(0, "1");
        check(1_000, "1");
        check(1_001, "2");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_given_up() {
        let endless = stream::pending::<Result<Bytes, std::io::Error>>();
        let request = Request::new(Body::from_stream(endless));
        let refusal = read_body(request, 1, Pace::Stranger).await.unwrap_err();
        assert_eq!(refusal.status(), StatusCode::REQUEST_TIMEOUT);
        let body = axum::body::to_bytes(refusal.into_body(), 64).await.unwrap();
        // As docs/openapi.json has it.
        assert_eq!(body, r#"{"error":"the body came too slowly"}"#);
    }
}
