//! The threads that hash: a few of their own, behind the rest of the process.
//!
//! max(1, cores / 2) run at once; [`QUEUE`] more wait up to [`PATIENCE`], and beyond that callers
//! are refused, known and unknown alike. The work of nobody else waits on these threads, and the
//! scheduler prefers every other thread to them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::refused::Refused;

/// How many wait for the pool at most.
pub const QUEUE: usize = 32;
/// How long they wait at most.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// How far the threads stand back. Not 19, the farthest: then anything else that runs on the
/// machine would switch logins off.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// What a thread of the pool does next.
pub type Work = Box<dyn FnOnce() + Send>;

/// The threads and the places before them. They end with the last clone.
#[derive(Debug, Clone)]
pub struct Pool {
    threads: usize,
    running: Arc<Semaphore>,
    places: Arc<Semaphore>,
    work: SyncSender<Work>,
}

/// A place in the pool.
#[derive(Debug)]
pub struct Permit {
    _running: OwnedSemaphorePermit,
    _place: OwnedSemaphorePermit,
}

impl Pool {
    /// Starts as many threads as this machine can spare.
    pub fn start() -> std::io::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let threads = (cores / 2).max(1);
        let (pool, queue) = Self::of(threads);
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..threads {
            let queue = Arc::clone(&queue);
            std::thread::Builder::new().name("hash".to_owned()).spawn(move || hash_on(&queue))?;
        }
        Ok(pool)
    }

    /// A pool for threads that somebody else runs, and what they have to do.
    pub fn of(threads: usize) -> (Self, Receiver<Work>) {
        // Whoever sends has a permit, and there are no more of them than threads.
        let (work, queue) = sync_channel(threads);
        let running = Arc::new(Semaphore::new(threads));
        let places = Arc::new(Semaphore::new(threads + QUEUE));
        (Self { threads, running, places, work }, queue)
    }

    /// How many have a thread, and how many wait for one.
    pub fn load(&self) -> (usize, usize) {
        let running = self.threads.saturating_sub(self.running.available_permits());
        let taken = (self.threads + QUEUE).saturating_sub(self.places.available_permits());
        (running, taken.saturating_sub(running))
    }

    /// Waits for a place.
    pub async fn permit(&self) -> Result<Permit, Refused> {
        let busy = || Refused::TooMany { retry_after: PATIENCE };
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| busy())?;
        let running = Arc::clone(&self.running).acquire_owned();
        match tokio::time::timeout(PATIENCE, running).await {
            Ok(Ok(running)) => Ok(Permit { _running: running, _place: place }),
            Ok(Err(_)) | Err(_) => Err(busy()),
        }
    }

    /// Works on one of the threads. The permit goes with the work: whoever stops waiting does not
    /// free a place that is still in use.
    pub async fn run<T: Send + 'static>(
        &self,
        permit: Permit,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refused> {
        let (answer, answered) = oneshot::channel();
        let work = move || {
            let done = work();
            drop(permit);
            // Whoever no longer waits has nothing to be told.
            let _ = answer.send(done);
        };
        self.work.try_send(Box::new(work)).map_err(|_| Refused::internal("no thread hashes"))?;
        answered.await.map_err(|_| Refused::internal("a hash panicked"))
    }
}

fn hash_on(queue: &Mutex<Receiver<Work>>) {
    // On Linux a niceness is a thread's; elsewhere it would be that of the whole process.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::warn!(%error, "a thread that hashes competes with all others");
    }
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(work) = next else { return };
        // Its caller is told by the answer that does not come; the thread goes on.
        if catch_unwind(AssertUnwindSafe(work)).is_err() {
            tracing::error!("a hash panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_full_pool_refuses_at_once_and_a_long_wait_ends() {
        let pool = Pool::start().unwrap();
        let threads = pool.running.available_permits();
        let mut held = Vec::new();
        for _ in 0..threads {
            held.push(pool.permit().await.unwrap());
        }
        let waiting: Vec<_> = (0..QUEUE).map(|_| Box::pin(pool.permit())).collect();
        let waiting = futures_util::future::join_all(waiting);
        tokio::pin!(waiting);
        assert!(futures_util::poll!(&mut waiting).is_pending());
        assert!(matches!(pool.permit().await, Err(Refused::TooMany { .. })));
        assert_eq!(pool.load(), (threads, QUEUE));
        for refused in waiting.await {
            assert!(matches!(refused, Err(Refused::TooMany { .. })));
        }
        drop(held);
        assert!(pool.permit().await.is_ok());
    }

    #[tokio::test]
    async fn a_panic_costs_neither_a_thread_nor_a_place() {
        let pool = Pool::start().unwrap();
        for _ in 0..4 {
            let permit = pool.permit().await.unwrap();
            let panicked = pool.run(permit, || panic!("on purpose")).await;
            assert!(matches!(panicked, Err(Refused::Internal(_))));
        }
        let permit = pool.permit().await.unwrap();
        assert_eq!(pool.run(permit, || 7).await.unwrap(), 7);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_threads_stand_back_and_the_process_does_not() {
        let niceness = || rustix::process::getpriority_process(None).unwrap();
        let own = niceness();
        let pool = Pool::start().unwrap();
        let permit = pool.permit().await.unwrap();
        assert_eq!(pool.run(permit, niceness).await.unwrap(), NICENESS);
        assert_eq!(niceness(), own);
    }
}
