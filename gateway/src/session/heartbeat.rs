//! Finds out that a client is gone which did not say so; only for clients that asked for it.
//!
//! A client of old is never pinged and never closed for silence: some run their event loop only
//! inside calls. TCP finds those dead.

use std::ops::ControlFlow;

use tokio::time::Instant;
use tollgate_proto::close::CloseCode;
use tollgate_proto::frame::Feature;

use super::{Ending, Flow, Session};
use crate::handles::Rhythm;

/// What is known of the life of a client that asked for heartbeats.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pulse {
    /// As it was told.
    pub(super) rhythm: Rhythm,
    /// Anything came since the last ping: whoever talks need not answer it too.
    heard: bool,
    /// A ping has left, or waits to.
    asked: bool,
}

impl Session {
    /// Begins anew, if the client asked for it.
    pub(super) fn set_pulse(&mut self, rhythm: Rhythm) {
        let wanted = self.terms.has(Feature::Heartbeat);
        self.pulse = wanted.then_some(Pulse { rhythm, heard: false, asked: false });
        self.timers.beat = wanted.then(|| Instant::now() + rhythm.interval);
    }

    /// Something came.
    pub(super) fn note_heard(&mut self) {
        if let Some(pulse) = &mut self.pulse {
            pulse.heard = true;
        }
    }

    /// Pings, or looks whether the last ping was answered.
    pub(super) fn on_beat(&mut self, now: Instant) -> Flow {
        let Some(pulse) = &mut self.pulse else { return Flow::Continue(()) };
        let Rhythm { interval, patience } = pulse.rhythm;
        let pause = match (pulse.asked, pulse.heard) {
            (false, _) => {
                (pulse.asked, pulse.heard) = (true, false);
                self.socket.ping();
                patience
            }
            (true, true) => {
                pulse.asked = false;
                interval.saturating_sub(patience)
            }
            // The ping is behind what the client has not read yet: `write_stall` watches that.
            (true, false) if self.socket.backlog().is_some() => patience,
            (true, false) => {
                return ControlFlow::Break(Ending::Close(CloseCode::HeartbeatMissed));
            }
        };
        self.timers.beat = Some(now + pause);
        Flow::Continue(())
    }
}
