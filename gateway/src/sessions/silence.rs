//! The feed is silent, and somebody waits for it.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::iam::Questions;

/// How long what calls say is kept while the feed is silent.
pub(crate) const LONGEST_HOLD: Duration = Duration::from_secs(30);

/// That it has been silent for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLong;

/// One who waits, if it is silent.
#[derive(Debug, Default)]
pub(crate) struct Silence(Option<Pin<Box<Sleep>>>);

impl Silence {
    /// Pending while the feed is silent. Its return wakes whoever stands here.
    pub(crate) fn poll(
        &mut self,
        questions: &Questions,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), TooLong>> {
        let trusted_until = questions.trusted_until();
        if Instant::now() < trusted_until {
            self.0 = None;
            return Poll::Ready(Ok(()));
        }
        let over = trusted_until + LONGEST_HOLD;
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(over)));
        sleep.as_mut().poll(cx).map(|()| Err(TooLong))
    }
}
