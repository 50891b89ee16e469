//! Tells whether a task is in the midst of something.
//!
//! Whoever takes something away marks it as gone and then waits until those have passed who may have
//! looked before that. What they do next they do with the mark in sight.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::task::yield_now;

/// Odd while a task is being polled.
#[derive(Debug, Default)]
pub(crate) struct Gate(AtomicU64);

impl Gate {
    /// Runs a task: each of its polls goes through the gate.
    pub(crate) async fn around<F: Future>(&self, run: F) -> F::Output {
        let mut run = pin!(run);
        poll_fn(|cx| {
            let _inside = Inside::of(self);
            run.as_mut().poll(cx)
        })
        .await
    }

    /// Waits until the poll is over that is under way, if one is.
    pub(super) async fn passed(&self) {
        let now = self.0.load(Ordering::SeqCst);
        while now % 2 == 1 && self.0.load(Ordering::SeqCst) == now {
            yield_now().await;
        }
    }
}

/// One poll.
struct Inside<'a>(&'a Gate);

impl<'a> Inside<'a> {
    fn of(gate: &'a Gate) -> Self {
        // Before whatever the task looks at, as the mark comes before what `passed` looks at.
        gate.0.fetch_add(1, Ordering::SeqCst);
        Self(gate)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::thread;

    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn whoever_is_inside_is_waited_for_and_nobody_else() {
        let gate = Gate::default();
        gate.passed().await;
        let (entered, inside) = channel();
        let (leave, left) = channel::<()>();
        thread::scope(|scope| {
            let task = gate.around(async move {
                entered.send(()).unwrap();
                left.recv().unwrap();
                yield_now().await;
            });
            scope.spawn(move || {
                let mut task = pin!(task);
                // Its first poll waits for us, and there is no second one.
                assert!(task.as_mut().now_or_never().is_none());
            });
            inside.recv().unwrap();
            let mut passed = pin!(gate.passed());
            for _ in 0..100 {
                assert!(passed.as_mut().now_or_never().is_none());
            }
            leave.send(()).unwrap();
        });
        gate.passed().now_or_never().unwrap();
    }
}
