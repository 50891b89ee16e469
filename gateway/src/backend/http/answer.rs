//! The answer of a service: its status and content type say how it is read.
//!
//! | answer | becomes |
//! |---|---|
//! | 2xx, `application/json`, an object | the last body |
//! | 2xx, `application/x-ndjson` or `text/event-stream` | a chunk for each line or event |
//! | another status with `{"error":{"type":…,"message":…}}` | the last body: the service's own error |
//! | 429, 503 without one | `rate-limited`, `unavailable`, with the time of `Retry-After` |
//! | anything else | `upstream-error`; beyond the size limit `too-large` |

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use tollgate_proto::error::{ErrorKind, WireError};
use tollgate_proto::json::{Limits, Object};

use super::Failed;
use super::pieces::{Format, Pieces};
use crate::reply::{Chunks, END_OF_STREAM};
use crate::upstream::Answer;

/// The longest body of an error that is read.
const MAX_ERROR: usize = 64 << 10;
/// Room that is taken before the body comes; more is taken as it comes.
const FIRST_ROOM: usize = 64 << 10;
/// Members that say that a chunk is the last, in the vocabulary of the services.
const END_MARKS: [&str; 3] = ["end_of_stream", "end_of_session", "end_of_dialog"];

/// How an answer is to be read.
enum Kind {
    Whole,
    Stream(Format),
}

/// Reads an answer to its end. The chunks of a stream go out as they come, no faster than they
/// are taken.
pub(super) async fn read(answer: Answer, max: usize, chunks: &Chunks) -> Result<String, Failed> {
    let status = answer.head.status;
    if !status.is_success() {
        return refused(answer, max).await;
    }
    match kind(&answer.head.headers)? {
        Kind::Whole => {
            let text = collect(answer, max).await?;
            parse(&text)?;
            Ok(text)
        }
        Kind::Stream(format) => stream(answer, Pieces::new(format, max), chunks).await,
    }
}

fn kind(headers: &HeaderMap) -> Result<Kind, Failed> {
    if let Some(encoding) = headers.get(CONTENT_ENCODING) {
        return Err(broken(format!("it answered with content-encoding {encoding:?}")));
    }
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match &*essence {
        "application/json" => Ok(Kind::Whole),
        "application/x-ndjson" => Ok(Kind::Stream(Format::Lines)),
        "text/event-stream" => Ok(Kind::Stream(Format::Events)),
        _ => Err(broken(format!("it answered with content-type {value:?}"))),
    }
}

/// The whole body, within its bound.
async fn collect(mut answer: Answer, max: usize) -> Result<String, Failed> {
    let announced = answer.head.headers.get(CONTENT_LENGTH);
    let announced = announced.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > max) {
        return Err(too_large(max));
    }
    let mut body = Vec::with_capacity(announced.unwrap_or_default().min(FIRST_ROOM));
    while let Some(piece) = answer.piece().await? {
        if piece.len() > max - body.len() {
            return Err(too_large(max));
        }
        body.extend_from_slice(&piece);
    }
    String::from_utf8(body).map_err(|_| broken("it answered with bytes that are not UTF-8"))
}

async fn stream(mut answer: Answer, mut pieces: Pieces, chunks: &Chunks) -> Result<String, Failed> {
    // One that calls itself the last waits for the end of the stream, to be the last frame. All
    // others leave at once: a word that is held until the next one comes is a word late.
    let mut last: Option<String> = None;
    loop {
        let came: Option<Bytes> = answer.piece().await?;
        let is_end = came.is_none();
        match came {
            Some(piece) => pieces.push(&piece),
            None => pieces.end(),
        }
        while let Some(piece) = pieces.next().map_err(|_| too_large(pieces.max()))? {
            let text = String::from_utf8(piece)
                .map_err(|_| broken("a chunk of its stream is not UTF-8"))?;
            let is_last = is_last(&parse(&text)?);
            if let Some(before) = last.take() {
                chunks.send(before).await?;
            }
            if is_last {
                last = Some(text);
            } else {
                chunks.send(text).await?;
            }
        }
        if is_end {
            return Ok(last.unwrap_or_else(|| END_OF_STREAM.to_owned()));
        }
    }
}

/// Whether a chunk calls itself the last, or tells an error.
fn is_last(chunk: &Object<'_>) -> bool {
    let marked = |mark: &&str| chunk.get(mark).is_some_and(|value| value.get() == "true");
    END_MARKS.iter().any(marked) || chunk.get("error").is_some_and(|error| error.get() != "null")
}

/// A status that is no success: the service's own error if it gave one, else ours.
async fn refused(answer: Answer, max: usize) -> Result<String, Failed> {
    let (status, retry_after_ms) = (answer.head.status, retry_after(&answer.head.headers));
    let is_json = matches!(kind(&answer.head.headers), Ok(Kind::Whole));
    // Read whatever it is: a connection whose answer has ended can be used again.
    let text = collect(answer, max.min(MAX_ERROR)).await.unwrap_or_default();
    if is_json && tells_an_error(&text) {
        return Ok(text);
    }
    let kind = match status {
        StatusCode::TOO_MANY_REQUESTS => ErrorKind::RateLimited,
        StatusCode::SERVICE_UNAVAILABLE => ErrorKind::Unavailable,
        _ => return Err(broken(format!("it answered {status}"))),
    };
    let error = WireError { retry_after_ms, ..WireError::new(kind) };
    Err(Failed::new(error, format!("it answered {status}")))
}

/// `Retry-After` in seconds; a date is not understood.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<u64> {
    let seconds: u64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    seconds.checked_mul(1_000)
}

/// Whether this is an error that existing clients understand inside `response`.
fn tells_an_error(text: &str) -> bool {
    let Ok(object) = parse(text) else { return false };
    let error = object.get("error").map(|error| Object::parse(error.get(), Limits::BACKEND));
    matches!(error, Some(Ok(error)) if error.text("type").is_some() && error.text("message").is_some())
}

/// The one careful pass: an object, not nested too deep, no number too long. Its size is bounded
/// by its bytes.
fn parse(text: &str) -> Result<Object<'_>, Failed> {
    let object = Object::parse(text, Limits::BACKEND);
    object.map_err(|error| broken(format!("its answer cannot be used: {error}")))
}

fn broken(reason: impl Into<String>) -> Failed {
    Failed::new(ErrorKind::UpstreamError, reason)
}

fn too_large(max: usize) -> Failed {
    let error = WireError::with_message(ErrorKind::TooLarge, "the answer is beyond the size limit");
    Failed::new(error, format!("its answer, or a chunk of it, is larger than {max} bytes"))
}
