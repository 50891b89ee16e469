//! The two sockets of a relay, and how long one may leave unread what the other says.

use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use super::Event;
use crate::socket::{End, Incoming, Socket};

/// Messages in one turn; then they leave, and other tasks have their turn.
const TURN: usize = 16;

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Backend,
}

pub(super) struct Pair {
    pub(super) client: Socket,
    pub(super) backend: Socket,
}

impl Pair {
    /// Moves what is ready, if messages may be read, and sends what is buffered. Ready when
    /// something went its way, and when one of the two has ended.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, reads: bool) -> Poll<Event> {
        let mut moved = false;
        let Self { client, backend } = self;
        if reads {
            for side in [Side::Client, Side::Backend] {
                let step = match side {
                    Side::Client => pump(client, backend, cx),
                    Side::Backend => pump(backend, client, cx),
                };
                moved |= step.moved;
                if let Some(end) = step.end {
                    return Poll::Ready(Event::Ended(side, end));
                }
            }
        }
        for (side, socket) in [(Side::Client, client), (Side::Backend, backend)] {
            if socket.backlog().is_none() {
                continue;
            }
            match socket.poll_flush(cx) {
                Poll::Ready(Ok(())) => moved = true,
                Poll::Ready(Err(_)) => return Poll::Ready(Event::Ended(side, End::Gone)),
                Poll::Pending => {}
            }
        }
        if moved { Poll::Ready(Event::Moved) } else { Poll::Pending }
    }
}

struct Step {
    moved: bool,
    end: Option<End>,
}

/// Reads from one and writes to the other, as long as there is something and there is room.
fn pump(from: &mut Socket, to: &mut Socket, cx: &mut Context<'_>) -> Step {
    let mut step = Step { moved: false, end: None };
    for _ in 0..TURN {
        if !to.has_room() {
            break;
        }
        match from.poll_read(cx) {
            Poll::Ready(Incoming::Text(text)) => to.write(text),
            Poll::Ready(Incoming::Binary(bytes)) => to.write_binary(bytes),
            // Pings are answered on their own side.
            Poll::Ready(Incoming::Control) => {}
            Poll::Ready(Incoming::End(end)) => {
                step.end = Some(end);
                break;
            }
            Poll::Pending => break,
        }
        step.moved = true;
    }
    step
}

/// Watches that a side which has something to read reads some of it in time.
#[derive(Debug)]
pub(super) struct Stall {
    limit: Duration,
    /// When it is over, and how much had left when that was set.
    armed: Option<(Instant, u64)>,
}

impl Stall {
    pub(super) fn after(limit: Duration) -> Self {
        Self { limit, armed: None }
    }

    /// Sees how much has left by now; `None` when nothing waits.
    pub(super) fn watch(&mut self, backlog: Option<u64>) {
        self.armed = match (backlog, self.armed) {
            (None, _) => None,
            (Some(sent), Some((due, before))) if sent == before => Some((due, before)),
            (Some(sent), _) => Some((Instant::now() + self.limit, sent)),
        };
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.armed.map(|(due, _)| due)
    }

    /// Whether nothing has left since it was armed, for too long.
    pub(super) fn is_over(&self, backlog: Option<u64>) -> bool {
        matches!((self.armed, backlog), (Some((due, before)), Some(sent))
            if due <= Instant::now() && before == sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_reads_anything_is_not_stalled() {
        let mut stall = Stall::after(Duration::from_secs(30));
        stall.watch(Some(0));
        tokio::time::advance(Duration::from_secs(29)).await;
        stall.watch(Some(0));
        assert!(!stall.is_over(Some(0)));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(stall.is_over(Some(0)));
        assert!(!stall.is_over(Some(1)), "it has read something meanwhile");
        stall.watch(Some(1));
        assert!(!stall.is_over(Some(1)), "the time begins anew");
        stall.watch(None);
        assert_eq!(stall.due(), None);
    }
}
