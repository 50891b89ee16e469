//! A request's body as it comes in: no longer than it may be, and no slower.
//!
//! Only the time that we wait for the client counts: a backend that takes its time with what is
//! passed on does not make a client slow.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::tenure::{Over, Tenure};

/// How long any body may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes a second after which somebody has more time.
const SLOWEST: u32 = 10 << 10;

/// How fast a body must come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// Within ten seconds, whatever it is.
    Stranger,
    /// Ten seconds, and one for each 10 KiB that have come.
    Friend,
}

impl Pace {
    fn allows(self, received: usize) -> Duration {
        match self {
            Self::Stranger => PATIENCE,
            Self::Friend => {
                let seconds = f64::from(u32::try_from(received).unwrap_or(u32::MAX));
                PATIENCE + Duration::from_secs_f64(seconds / f64::from(SLOWEST))
            }
        }
    }
}

/// What is wrong with a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    TooLarge,
    TooSlow,
    /// It ended before its end.
    Broken,
    /// The permit to send it holds no more.
    Over(Over),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "the body is too large",
            Self::TooSlow => "the body came too slowly",
            Self::Broken => "the body broke off",
            Self::Over(_) => "the client may send no more of it",
        })
    }
}

impl Error for Fault {}

/// What became of a body that others read.
#[derive(Debug, Clone, Default)]
pub(super) struct Fate(Arc<(OnceLock<Fault>, AtomicUsize)>);

impl Fate {
    pub(super) fn fault(&self) -> Option<Fault> {
        self.0.0.get().copied()
    }

    /// How much has come so far.
    pub(super) fn received(&self) -> usize {
        self.0.1.load(Ordering::Relaxed)
    }
}

/// A body within its bounds.
pub(super) struct Bounded {
    body: Body,
    most: usize,
    pace: Pace,
    received: usize,
    /// How long the client let us wait, up to now.
    waited: Duration,
    /// Since when it does.
    waiting: Option<Instant>,
    sleep: Pin<Box<Sleep>>,
    /// Under which permit it is passed on, if it is.
    tenure: Option<Tenure>,
    fate: Fate,
}

impl Bounded {
    pub(super) fn new(body: Body, most: usize, pace: Pace) -> Self {
        Self {
            body,
            most,
            pace,
            received: 0,
            waited: Duration::ZERO,
            waiting: None,
            sleep: Box::pin(sleep_until(Instant::now() + PATIENCE)),
            tenure: None,
            fate: Fate::default(),
        }
    }

    /// One that is read only as long as a permit holds.
    pub(super) fn under(self, tenure: Tenure) -> Self {
        Self { tenure: Some(tenure), ..self }
    }

    /// Tells what became of it, whoever reads it.
    pub(super) fn fate(&self) -> Fate {
        self.fate.clone()
    }

    /// What has not been read.
    pub(super) fn into_rest(self) -> Body {
        self.body
    }

    /// The client is not waited for from now on.
    fn rest(&mut self, now: Instant) {
        if let Some(since) = self.waiting.take() {
            self.waited += now.saturating_duration_since(since);
        }
    }

    fn fail(&self, fault: Fault) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        // The first one is what went wrong.
        let _ = self.fate.0.0.set(fault);
        Poll::Ready(Some(Err(fault)))
    }
}

impl HttpBody for Bounded {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        match self.tenure.as_mut().map(|tenure| tenure.poll(cx)) {
            None | Some(Poll::Ready(Ok(()))) => {}
            Some(Poll::Ready(Err(over))) => return self.fail(Fault::Over(over)),
            Some(Poll::Pending) => {
                self.rest(Instant::now());
                return Poll::Pending;
            }
        }
        let came = Pin::new(&mut self.body).poll_frame(cx);
        let now = Instant::now();
        let Poll::Ready(came) = came else {
            let since = *self.waiting.get_or_insert(now);
            let left = self.pace.allows(self.received).saturating_sub(self.waited);
            if self.sleep.deadline() != since + left {
                self.sleep.as_mut().reset(since + left);
            }
            ready!(self.sleep.as_mut().poll(cx));
            return self.fail(Fault::TooSlow);
        };
        self.rest(now);
        match came {
            None => Poll::Ready(None),
            Some(Err(_)) => self.fail(Fault::Broken),
            Some(Ok(frame)) => {
                let length = frame.data_ref().map_or(0, Bytes::len);
                if length > self.most - self.received {
                    return self.fail(Fault::TooLarge);
                }
                self.received += length;
                self.fate.0.1.store(self.received, Ordering::Relaxed);
                Poll::Ready(Some(Ok(frame)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http_body_util::BodyExt;

    use super::*;

    /// A body of pieces that come so long after each other.
    fn pieces(count: usize, length: usize, pause: Duration) -> Body {
        Body::from_stream(stream::unfold(0, move |n| async move {
            tokio::time::sleep(pause).await;
            (n < count).then(|| (Ok::<_, Fault>(vec![0_u8; length]), n + 1))
        }))
    }

    async fn read(body: Body, most: usize, pace: Pace) -> Result<usize, Fault> {
        let read = Bounded::new(body, most, pace).collect().await;
        read.map(|read| read.to_bytes().len())
    }

    #[tokio::test(start_paused = true)]
    async fn a_friend_has_time_for_much_and_a_stranger_has_not() {
        let second = Duration::from_secs(1);
        assert_eq!(read(pieces(60, 10 << 10, second), 1 << 20, Pace::Friend).await, Ok(600 << 10));
        let slower = read(pieces(60, 5 << 10, second), 1 << 20, Pace::Friend).await;
        assert_eq!(slower, Err(Fault::TooSlow));
        let stranger = read(pieces(60, 10 << 10, second), 1 << 20, Pace::Stranger).await;
        assert_eq!(stranger, Err(Fault::TooSlow));
        assert_eq!(read(pieces(2, 10, second), 19, Pace::Friend).await, Err(Fault::TooLarge));
        assert_eq!(read(pieces(2, 10, second), 20, Pace::Friend).await, Ok(20));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_takes_its_time_reading_does_not_make_the_client_slow() {
        let mut body = Bounded::new(Body::from(vec![0; 10]), 10, Pace::Stranger);
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert!(body.frame().await.is_some_and(|frame| frame.is_ok()));
        let mut body = Bounded::new(pieces(20, 1, Duration::from_millis(400)), 20, Pace::Stranger);
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_secs(3)).await;
            assert!(body.frame().await.is_some_and(|frame| frame.is_ok()));
        }
    }
}
