//! Heads of requests that two readers could read differently are refused: where a proxy in front of
//! us sees one request or one caller, we shall not see another.
//!
//! In: heads that hyper let through; it has refused those that are no HTTP, too long, or of two
//! lengths. Out: the request, or 400 and the end of the connection.
//! Never: a repair. Who sends such a head is broken or hostile.

use axum::extract::Request;
use axum::http::header::{AUTHORIZATION, CONNECTION, HOST, ORIGIN, TRANSFER_ENCODING};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::answer::{bad_request, wrong_method};

/// Passes on requests whose head has one meaning.
pub(super) async fn check(request: Request, next: Next) -> Response {
    match *request.method() {
        Method::TRACE | Method::CONNECT => return closing(wrong_method().await.into_response()),
        // A route for GET would take it, and do all of the work.
        Method::HEAD => return wrong_method().await.into_response(),
        _ => {}
    }
    if let Err(reason) = check_fields(request.headers(), request.version()) {
        return closing(bad_request(reason));
    }
    // RFC 9112 §6.1: a connection ends with the request that had a Content-Length too, and hyper
    // has taken that out of the head already.
    let is_chunked = request.headers().contains_key(TRANSFER_ENCODING);
    let response = next.run(request).await;
    if is_chunked { closing(response) } else { response }
}

fn check_fields(headers: &HeaderMap, version: Version) -> Result<(), &'static str> {
    let count = |name: &HeaderName| headers.get_all(name).iter().count();
    // RFC 9112 §3.2.
    match count(&HOST) {
        1 => {}
        0 if version != Version::HTTP_11 => {}
        _ => return Err("one Host is needed"),
    }
    if count(&AUTHORIZATION) > 1 {
        return Err("Authorization is repeated");
    }
    // RFC 6454 §7.3.
    if count(&ORIGIN) > 1 {
        return Err("Origin is repeated");
    }
    let mut encodings = headers.get_all(TRANSFER_ENCODING).iter();
    match (encodings.next(), encodings.next()) {
        (None, _) => Ok(()),
        (Some(encoding), None) if encoding.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
        (Some(_), _) => Err("no Transfer-Encoding but chunked is taken"),
    }
}

fn closing(mut response: Response) -> Response {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}
