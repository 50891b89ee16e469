//! What was measured, and what must hold of it.

use std::time::Duration;

use anyhow::ensure;

/// The times of all cuts so far.
#[derive(Debug, Default)]
pub(super) struct Figures {
    /// From the cut to the last thing that anybody got before the link was back.
    pub(super) late: Vec<Duration>,
    /// From the return of the link to the next thing that somebody got who may have it.
    pub(super) healed: Vec<Duration>,
    /// From the return of the link to the end of somebody who may have nothing.
    pub(super) ended: Vec<Duration>,
}

impl Figures {
    /// Fails unless nothing came later than that, and all was well again within that.
    pub(super) fn hold(&self, late: Duration, healed: Duration) -> anyhow::Result<()> {
        let longest = |times: &[Duration]| times.iter().max().copied().unwrap_or_default();
        let served = longest(&self.late);
        ensure!(served <= late, "something came {served:?} after the cut");
        for times in [&self.healed, &self.ended] {
            let took = longest(times);
            ensure!(took <= healed, "it took {took:?} until all was well");
        }
        Ok(())
    }

    #[expect(clippy::print_stderr, reason = "figures of a run that somebody asked for")]
    pub(super) fn print(mut self, what: &str) {
        for (name, times) in [
            ("last success after the cut", &mut self.late),
            ("next success after the return", &mut self.healed),
            ("end of the revoked after the return", &mut self.ended),
        ] {
            times.sort_unstable();
            let at = |percent| {
                let last = times.len().saturating_sub(1);
                times.get(last * percent / 100).copied().unwrap_or_default()
            };
            eprintln!("{what}: {name}: p50 {:?}, p99 {:?}, max {:?}", at(50), at(99), at(100));
        }
    }
}
