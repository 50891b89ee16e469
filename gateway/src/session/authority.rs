//! Who is authenticated on a socket: credentials are judged one at a time, and the phase machine
//! says what follows.

use std::future::pending;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use secrecy::SecretString;
use tokio::time::Instant;
use tollgate_proto::close::CloseCode;
use tollgate_proto::error::ErrorKind;
use tollgate_proto::frame::client::AuthFrame;
use tollgate_proto::frame::server::{AuthFailed, AuthOk, Notice, SessionLimits};
use tollgate_proto::iam::{Actor, Identity};
use tollgate_proto::ids::SocketId;

use super::phase::{Action, Input, Phase, step};
use super::reauth::{self, Refused};
use super::terms::Terms;
use super::timers::take_due;
use super::{Ending, Flow, Session};
use crate::auth::{authenticate, is_ending, life};
use crate::authorise::Caller;
use crate::handles::{Handles, Limits};
use crate::iam::NotAuthenticated;
use crate::iam::cache::Known;
use crate::sessions::Held;

/// The first refusal is answered after this, each further one after twice the time.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How long a client that knows only the frames of old may stay without an identity.
const UNBOUND_OF_OLD: Duration = Duration::from_hours(1);

/// A credential that is being judged.
pub(super) struct Checking {
    future: BoxFuture<'static, Judgement>,
    /// It came with the upgrade: no frame answers it.
    pub(super) silent: bool,
    terms: Terms,
}

type Judgement = Result<Taken, NotAuthenticated>;

/// A credential that was taken.
struct Taken {
    known: Known,
    /// Calls in flight that this identity may not make.
    refused: Refused,
}

/// A credential that was judged.
pub(super) struct Verdict {
    judgement: Judgement,
    silent: bool,
    terms: Terms,
}

/// Waits for the verdict on the credential that is being judged.
pub(super) async fn judged(checking: &mut Option<Checking>) -> Verdict {
    let Some(current) = checking else { return pending().await };
    let judgement = (&mut current.future).await;
    let terms = std::mem::take(&mut current.terms);
    let verdict = Verdict { judgement, silent: current.silent, terms };
    *checking = None;
    verdict
}

impl Session {
    /// Judges the token that came with the upgrade.
    pub(super) fn check_early(&mut self, token: SecretString) {
        let frame = AuthFrame { token: Some(token), ..AuthFrame::default() };
        self.check(frame, true);
    }

    /// Judges the token of an auth frame.
    pub(super) fn check(&mut self, frame: AuthFrame, silent: bool) {
        let (terms, claims) = (Terms::of(&frame, self.usual_frame), self.claims());
        let (handles, client) = (Arc::clone(&self.handles), Arc::clone(&self.client));
        let pause = FIRST_PAUSE.saturating_mul(1 << self.refusals.min(10)).min(LONGEST_PAUSE);
        let judge = async move {
            let questions = &handles.questions;
            match authenticate(questions, frame.token.as_ref(), &client).await {
                Ok(known) => {
                    let identity = &known.identity;
                    let refused = reauth::refused(questions, identity, claims, &client).await;
                    Ok(Taken { known, refused })
                }
                Err(reason) => {
                    if let NotAuthenticated::Refused(_) = reason {
                        tokio::time::sleep(pause).await;
                    }
                    Err(reason)
                }
            }
        };
        self.checking = Some(Checking { future: judge.boxed(), silent, terms });
    }

    pub(super) fn on_verdict(&mut self, verdict: Verdict) -> Flow {
        let Verdict { judgement, silent, terms } = verdict;
        self.iam_silent = matches!(judgement, Err(NotAuthenticated::Unreachable(_)));
        match judgement {
            Ok(taken) => {
                self.refusals = 0;
                self.terms = terms;
                let trusted = Instant::now() < self.handles.questions.trusted_until();
                self.perform(Input::Accepted { trusted }, Some(taken), silent)?;
            }
            Err(NotAuthenticated::Refused(_)) => {
                self.refusals += 1;
                self.perform(Input::Refused { in_a_row: self.refusals }, None, silent)?;
            }
            Err(NotAuthenticated::Unreachable(_)) => self.perform(Input::Unjudged, None, silent)?,
        }
        self.take_way()
    }

    /// Feeds the machine with anything but a credential, and does what it says.
    pub(super) fn advance(&mut self, input: Input) -> Flow {
        self.perform(input, None, false)
    }

    /// Feeds the machine and does what it says.
    fn perform(&mut self, input: Input, mut taken: Option<Taken>, silent: bool) -> Flow {
        let (next, actions) = step(self.phase, input);
        self.phase = next;
        let mut cancelled = 0;
        for action in actions {
            match action {
                Action::Bind => {
                    if let Some(taken) = taken.take() {
                        self.bind(taken, silent);
                    }
                }
                Action::TellRefused if !silent => self.socket.write(AuthFailed::refused().write()),
                Action::TellUnjudged if !silent => {
                    self.socket.write(AuthFailed::unreachable().write());
                }
                Action::ExtendDeadline => self.extend_deadline(),
                Action::EndCalls(kind) => cancelled = self.end_calls(*kind),
                Action::Review => self.review(),
                Action::TellExpiring => self.tell_expiring(),
                Action::Unbind => {
                    (self.caller, self.standing, self.reviewing) = (None, None, None);
                    self.extend_deadline();
                }
                Action::TellExpired => self.socket.write(Notice::AuthExpired {}.write()),
                Action::TellRevoked(code) => self.tell_revoked(*code),
                Action::Close(code) => {
                    self.count_ended(1, cancelled);
                    return ControlFlow::Break(Ending::Close(*code));
                }
                // No frame answers a token that came with the upgrade; and the consequences of a
                // call are those of `calls.rs`, which asks the machine itself.
                Action::TellRefused
                | Action::TellUnjudged
                | Action::Run
                | Action::Hold
                | Action::Refuse(_) => {}
            }
        }
        // What nobody may have any more stands before whatever else could be said.
        if self.caller.is_none() && self.socket.is_corked() {
            return ControlFlow::Break(Ending::Close(CloseCode::SlowConsumer));
        }
        Flow::Continue(())
    }

    /// Notes that IAM no longer knows who made a call. One who was replaced meanwhile, or is about
    /// to be, is nobody's concern any more, and what ends of itself has a grace time.
    pub(super) fn note_ended(&mut self, actor: &Actor) {
        let now_ms = self.handles.clock.now_ms();
        let is_ours = self
            .caller
            .as_deref()
            .map(Caller::identity)
            .is_some_and(|identity| identity.actor == *actor && !is_ending(identity, now_ms));
        if is_ours && self.checking.is_none() {
            self.follows = Some(Input::AuthorityEnded);
        }
    }

    /// Does what follows from that, after the call has had its last frame.
    pub(super) fn follow(&mut self) -> Flow {
        match self.follows.take() {
            Some(input) => self.advance(input),
            None => Flow::Continue(()),
        }
    }

    fn extend_deadline(&mut self) {
        let deadline = self.handles.rules.load().limits.auth_deadline;
        match (self.phase, self.terms.negotiated) {
            (Phase::New, _) => self.timers.extend_first_auth(deadline),
            (Phase::Unbound, true) => self.timers.auth_within(deadline),
            // A client of old that is closed while idle hangs in its next call.
            (Phase::Unbound, false) => self.timers.auth_within(UNBOUND_OF_OLD),
            (Phase::Bound(_) | Phase::Grace(_), _) => {}
        }
    }

    fn bind(&mut self, taken: Taken, silent: bool) {
        let Taken { known, refused } = taken;
        let Handles { sessions, questions, .. } = &*self.handles;
        let held = Held::BySocket { id: SocketId(self.id), client: Arc::clone(&self.client) };
        let standing = sessions.enter(held, &known, &self.gate, questions);
        let identity = Arc::clone(&known.identity);
        let (life, leeway) = life(&identity, self.handles.clock.now_ms());
        self.timers.bind(life, life.unwrap_or_default().mul_f64(0.85), leeway);
        // What a client is told here holds until it authenticates again.
        let limits = &self.handles.rules.load().limits;
        self.seat.trust();
        self.socket.trust(limits.max_message);
        self.inflight.limit(limits.into());
        self.set_pulse(limits.heartbeat);
        tracing::debug!(conn.id = %self.id, principal = %identity.actor.user, "authenticated");
        if !silent {
            let mut answer = self.auth_ok(&identity, life, limits);
            if self.greeted && self.terms.negotiated {
                let (kept, dropped) = self.kept_and_dropped(&refused);
                (answer.kept, answer.dropped) = (Some(kept), Some(dropped));
            }
            self.greeted = true;
            self.socket.write(answer.write());
        }
        self.caller = Some(Arc::new(Caller::new(known)));
        // What was said of the old one is no matter of the new one.
        (self.standing, self.cause, self.reviewing) = (Some(standing), None, None);
        self.swap_calls(refused);
    }

    fn auth_ok(&self, identity: &Identity, life: Option<Duration>, limits: &Limits) -> AuthOk {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        // Clients that came together shall not come back together: up to 5 % earlier.
        let jitter = f64::from(self.id.as_bytes()[15]) / 255.0 * 0.05;
        AuthOk {
            session: self.id.to_string(),
            principal: identity.actor.user.to_string(),
            expires_in_ms: life.map(millis),
            reauth_in_ms: life.map(|life| millis(life.mul_f64(0.85 - jitter))),
            heartbeat_ms: self.pulse.as_ref().map(|pulse| millis(pulse.rhythm.interval)),
            limits: SessionLimits {
                max_message: limits.max_message as u64,
                max_inflight: limits.max_inflight as u64,
                ..SessionLimits::default()
            },
            features: self.terms.features.iter().map(|one| one.as_str().to_owned()).collect(),
            ..AuthOk::new(&identity.default_workspace)
        }
    }

    fn tell_revoked(&mut self, code: CloseCode) {
        let scope = match code {
            CloseCode::WorkspaceDisabled => "workspace",
            _ => "credential",
        };
        let (scope, reconnect) = (scope.to_owned(), code.reconnect().as_str().to_owned());
        self.socket.write(Notice::AuthRevoked { scope, reconnect }.write());
    }

    fn tell_expiring(&mut self) {
        if let Some(expired) = self.timers.expired {
            let left = expired.saturating_duration_since(Instant::now());
            let expires_in_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
            self.socket.write(Notice::AuthExpiring { expires_in_ms }.write());
        }
    }

    /// Does what is due.
    pub(super) fn on_timers(&mut self) -> Flow {
        let now = Instant::now();
        if take_due(&mut self.timers.auth, now) {
            let iam_silent = self.iam_silent || self.checking.is_some();
            self.advance(Input::AuthDeadline { iam_silent })?;
        }
        if take_due(&mut self.timers.life_ending, now) {
            self.advance(Input::LifeEnding)?;
        }
        if take_due(&mut self.timers.expired, now) {
            self.timers.grace_over = Some(now + self.handles.rules.load().limits.grace);
            self.advance(Input::Expired)?;
        }
        if take_due(&mut self.timers.grace_over, now) {
            self.keep_unread();
            self.advance(Input::GraceOver)?;
        }
        if take_due(&mut self.timers.held_over, now) {
            self.advance(Input::HeldTooLong)?;
        }
        if take_due(&mut self.timers.drain_over, now) {
            self.end_calls(ErrorKind::Unavailable);
            return ControlFlow::Break(Ending::Close(CloseCode::Drained));
        }
        if take_due(&mut self.timers.beat, now) {
            self.on_beat(now)?;
        }
        self.end_overdue(now);
        match (self.timers.stalled, self.socket.backlog()) {
            (Some((due, sent)), Some(now_sent)) if due <= now && sent == now_sent => {
                ControlFlow::Break(Ending::Close(CloseCode::SlowConsumer))
            }
            _ => Flow::Continue(()),
        }
    }

    /// Arms the timer of a client that does not read while something waits for it.
    pub(super) fn watch_the_reader(&mut self) {
        self.timers.stalled = match (self.socket.backlog(), self.timers.stalled) {
            _ if self.socket.is_corked() => None,
            (None, _) => None,
            (Some(sent), Some((due, before))) if sent == before => Some((due, before)),
            (Some(sent), _) => {
                let within = self.handles.rules.load().limits.write_stall;
                Some((Instant::now() + within, sent))
            }
        };
    }
}
