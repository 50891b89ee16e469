//! Start and stop in order: one token that says *stop*, one tracker that knows what still runs.
//!
//! Every task of a process is spawned on the tracker, so that a stop can wait for it. SIGTERM and
//! SIGINT stop, a second one of them ends the process at once; SIGHUP reads the configuration again.
//! The service manager is told of each step.

use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::metrics::Exposition;
use crate::supervisor::Supervisor;

/// How long an answer of the probes may take when all else has ended.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// What stands below has this long at least, whatever the rest has taken.
const LEAST: Duration = Duration::from_secs(5);

/// The life of a process.
#[derive(Debug, Clone, Default)]
pub struct Lifecycle {
    /// Cancelled when the process shall stop.
    pub stop: CancellationToken,
    /// Knows every task.
    pub tasks: TaskTracker,
    /// Whether it can do its work no more; then it is not ready.
    pub fault: Fault,
    /// What its services count.
    pub metrics: Exposition,
    /// What the tasks stand on.
    below: Stage,
    /// What tells others how the process is, until all tasks have ended.
    pub(crate) probes: Stage,
}

/// What outlives the tasks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stage {
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
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

    /// The life of a part, which stops with the whole or before it.
    #[must_use]
    pub fn part(&self) -> Self {
        Self { stop: self.stop.child_token(), ..self.clone() }
    }

    /// The life of what this one needs to its end: it stops when all tasks of this one have ended.
    #[must_use]
    pub fn below(&self) -> Self {
        let Stage { stop, tasks } = self.below.clone();
        Self { stop, tasks, below: Stage::default(), ..self.clone() }
    }

    /// Runs until a signal says stop, and calls `reload` for each that asks for it. Then says
    /// *stop* and waits for the tasks: at most for what `patience` gives then, and not beyond a
    /// second signal. The status tells whether all of them ended.
    pub async fn run(
        &self,
        mut signals: Signals,
        reload: impl Fn(),
        patience: impl FnOnce() -> Duration,
    ) -> ExitCode {
        let supervisor = Supervisor::of_environment();
        let work = async {
            supervisor.ready();
            let signal = loop {
                match signals.next().await {
                    Asked::Stop(signal) => break signal,
                    Asked::Reload => {
                        supervisor.reloading();
                        reload();
                        supervisor.ready();
                    }
                }
            };
            supervisor.stopping();
            tracing::info!(signal, "stopping");
            // Both arms only wait, and the process ends behind either.
            tokio::select! {
                biased;
                ended = self.stop(patience()) => ended,
                () = signals.stopped() => false,
            }
        };
        // What is new is told first. The second arm never ends.
        let ended = tokio::select! {
            biased;
            ended = work => ended,
            never = supervisor.reassure() => match never {},
        };
        if ended {
            return ExitCode::SUCCESS;
        }
        tracing::warn!("not everything ended in time");
        ExitCode::FAILURE
    }

    /// Says *stop* and waits for the tasks, at most `patience`, and then for what they stood on.
    /// True if all ended.
    pub async fn stop(&self, patience: Duration) -> bool {
        let Self { below, probes, .. } = self;
        let begun = Instant::now();
        self.stop.cancel();
        for tasks in [&self.tasks, &below.tasks, &probes.tasks] {
            tasks.close();
        }
        let mut ended = timeout(patience, self.tasks.wait()).await.is_ok();
        below.stop.cancel();
        let left = patience.saturating_sub(begun.elapsed()).max(LEAST);
        ended &= timeout(left, below.tasks.wait()).await.is_ok();
        probes.stop.cancel();
        // Whoever asks them slowly holds nothing up.
        let _ = timeout(LAST_WORDS, self.probes.tasks.wait()).await;
        ended
    }
}

/// SIGTERM, SIGINT and SIGHUP, caught from here on: made before a process says that it is ready, so
/// that one that comes right then drains it too.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

/// What a signal asks for.
enum Asked {
    Stop(&'static str),
    Reload,
}

impl Signals {
    /// Begins to catch them.
    pub fn catch() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for one.
    async fn next(&mut self) -> Asked {
        // All arms only wait: nothing is lost when another wins.
        tokio::select! {
            biased;
            _ = self.terminate.recv() => Asked::Stop("SIGTERM"),
            _ = self.interrupt.recv() => Asked::Stop("SIGINT"),
            _ = self.hangup.recv() => Asked::Reload,
        }
    }

    /// Waits for one that says stop, while there is nothing yet to read again or to drain.
    pub async fn stopped(&mut self) {
        while matches!(self.next().await, Asked::Reload) {}
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

    #[tokio::test(start_paused = true)]
    async fn what_tasks_stand_on_stops_behind_them() {
        let life = Lifecycle::new();
        let below = life.below();
        let (stop, below_stop) = (life.stop.clone(), below.stop.clone());
        life.tasks.spawn(async move {
            stop.cancelled().await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert!(!below_stop.is_cancelled());
        });
        let stop = below.stop.clone();
        below.tasks.spawn(async move { stop.cancelled().await });
        assert!(life.stop(Duration::from_secs(2)).await);

        let life = Lifecycle::new();
        life.below().tasks.spawn(std::future::pending::<()>());
        assert!(!life.stop(Duration::from_secs(1)).await);
    }
}
