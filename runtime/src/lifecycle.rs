//! Start and stop in order: one token that says *stop*, one tracker that knows what still runs.
//!
//! Every task of a process is spawned on the tracker, so that a stop can wait for it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The life of a process.
#[derive(Debug, Clone, Default)]
pub struct Lifecycle {
    /// Cancelled when the process shall stop.
    pub stop: CancellationToken,
    /// Knows every task.
    pub tasks: TaskTracker,
    /// Whether it can do its work no more; then it is not ready.
    pub fault: Fault,
}

/// Something that failed, and that only a new process heals.
#[derive(Debug, Clone, Default)]
pub struct Fault(Arc<OnceLock<&'static str>>);

impl Fault {
    /// Says which part failed. False, if one had failed before.
    pub fn set(&self, part: &'static str) -> bool {
        self.0.set(part).is_ok()
    }

    /// The part that failed first.
    pub fn get(&self) -> Option<&'static str> {
        self.0.get().copied()
    }
}

impl Lifecycle {
    /// A life that has just begun.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs until a signal comes, then says *stop* and waits for the tasks, at most `patience`.
    pub async fn run_until(&self, signals: Signals, patience: Duration) {
        let signal = signals.wait().await;
        tracing::info!(signal, "stopping");
        if !self.stop(patience).await {
            tracing::warn!("not everything ended in time");
        }
    }

    /// Says *stop* and waits for the tasks, at most `patience`. True if all ended.
    pub async fn stop(&self, patience: Duration) -> bool {
        self.stop.cancel();
        self.tasks.close();
        tokio::time::timeout(patience, self.tasks.wait()).await.is_ok()
    }
}

/// SIGTERM and SIGINT, caught from here on: made before a process says that it is ready, so that
/// one that comes right then drains it too.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Begins to catch them.
    pub fn catch() -> std::io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        Ok(Self { terminate, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for one and names it.
    async fn wait(mut self) -> &'static str {
        // Both arms only wait: nothing is lost when the other wins.
        tokio::select! {
            biased;
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_stop_waits_for_tasks_and_not_for_ever() {
        let life = Lifecycle::new();
        let stop = life.stop.clone();
        life.tasks.spawn(async move { stop.cancelled().await });
        assert!(life.stop(Duration::from_secs(1)).await);

        let life = Lifecycle::new();
        life.tasks.spawn(std::future::pending::<()>());
        assert!(!life.stop(Duration::from_secs(1)).await);
    }
}
