//! Who goes on when: concurrency that a seed decides.
//!
//! Some of the actors that can go on are polled, one after the other; then the writer comes to
//! rest before others are. So operations of many actors share an entry, and one that hashes a
//! password is decided on a later state than it was prepared on, yet nothing hangs on how fast a
//! thread is. This needs a runtime of one thread, with one more that blocks.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::task::{Context, Poll, Wake, Waker};

use rand::RngExt;
use rand::rngs::StdRng;
use tollgate_iam::passwords::pool::Work;

/// The thread that blocks is waited for that often: the writer uses it to decide and to commit,
/// and answers after that.
const ROUNDS: usize = 3;

/// Whether an actor can go on.
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Runs all of them to their ends. What they have to hash is done when they wait for it.
pub(crate) async fn take<F: Future>(
    rng: &mut StdRng,
    actors: Vec<Pin<Box<F>>>,
    hashing: &Receiver<Work>,
) -> Vec<F::Output> {
    let ready = |actor| (Arc::new(Flag(AtomicBool::new(true))), actor, None);
    let mut actors: Vec<_> = actors.into_iter().map(ready).collect();
    while actors.iter().any(|(_, _, end)| end.is_none()) {
        for (flag, actor, end) in actors.iter_mut().filter(|(_, _, end)| end.is_none()) {
            if rng.random_bool(0.7) && flag.0.swap(false, Ordering::SeqCst) {
                let waker = Waker::from(Arc::clone(flag));
                if let Poll::Ready(output) = actor.as_mut().poll(&mut Context::from_waker(&waker)) {
                    *end = Some(output);
                }
                for work in hashing.try_iter() {
                    work();
                }
            }
        }
        rest().await;
    }
    actors.into_iter().filter_map(|(_, _, end)| end).collect()
}

/// Lets everything that does not wait for an actor come to its end.
async fn rest() {
    for _ in 0..ROUNDS {
        tokio::task::yield_now().await;
        finish_blocking();
    }
    tokio::task::yield_now().await;
}

/// Waits for the thread that blocks, which works in order.
fn finish_blocking() {
    let (done, wait) = sync_channel(1);
    tokio::task::spawn_blocking(move || done.send(()));
    wait.recv().unwrap();
}
