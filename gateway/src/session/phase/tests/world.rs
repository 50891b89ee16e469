//! A world as small as it can be: one socket, one credential at a time, two calls, one IAM, one
//! feed. What the loop does about an action, the world does here.

use std::collections::HashSet;

use super::super::*;

/// The truth about a credential, and what the gateway knows of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Credential {
    /// IAM takes it.
    good: bool,
    /// The session was told that it ended, or that something moved when it did.
    marked: bool,
}

/// What became of the question about a doubt: IAM answers whether the credential is good then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Review {
    None,
    Asked,
    Answered(bool),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "each is a thing that can be one way or another")]
struct World {
    phase: Phase,
    /// The credential of whoever is bound.
    bound: Option<Credential>,
    /// One that IAM has taken, and its answer is on the way.
    checking: Option<Credential>,
    /// Calls that run; whether each has something to say.
    calls: [Option<bool>; 2],
    held: bool,
    review: Review,
    /// The feed is trusted.
    trusted: bool,
    /// What it has brought, and the session has not seen.
    told: Option<Input>,
    /// Its silence has lasted for so long.
    too_long: bool,
    refusals: u32,
    expired: bool,
    closed: bool,
}

/// What can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Move {
    SendAuth,
    AuthTaken,
    AuthRefused,
    SendCall,
    CallSpeaks(usize),
    Leaves(usize),
    EndsInIam,
    MovesInIam,
    Looks,
    ReviewAnswered,
    ReviewHeard,
    FeedLost,
    FeedBack,
    TooLong,
    Expires,
    GraceEnds,
}

const MOVES: [Move; 18] = [
    Move::SendAuth,
    Move::AuthTaken,
    Move::AuthRefused,
    Move::SendCall,
    Move::CallSpeaks(0),
    Move::CallSpeaks(1),
    Move::Leaves(0),
    Move::Leaves(1),
    Move::EndsInIam,
    Move::MovesInIam,
    Move::Looks,
    Move::ReviewAnswered,
    Move::ReviewHeard,
    Move::FeedLost,
    Move::FeedBack,
    Move::TooLong,
    Move::Expires,
    Move::GraceEnds,
];

impl Move {
    /// Whether the session's task makes it, which looks at the feed before it does anything else.
    fn is_sessions(self) -> bool {
        !matches!(
            self,
            Self::CallSpeaks(_)
                | Self::EndsInIam
                | Self::MovesInIam
                | Self::Looks
                | Self::ReviewAnswered
                | Self::FeedLost
                | Self::FeedBack
        )
    }
}

pub(super) type Step = fn(Phase, Input) -> (Phase, &'static [Action]);
/// Whether a move could be made, or the rule that it broke.
type Made = Result<bool, &'static str>;

/// Goes everywhere. How many worlds there are, or what breaks a rule first.
pub(super) fn explore(step: Step) -> Result<usize, String> {
    let begin = World::new();
    let (mut seen, mut next) = (HashSet::from([begin]), vec![begin]);
    while let Some(world) = next.pop() {
        for one in MOVES {
            let mut after = world;
            match after.make(one, step) {
                Ok(true) if seen.insert(after) => next.push(after),
                Ok(_) => {}
                Err(rule) => return Err(format!("{rule}, by {one:?} in {world:?}")),
            }
        }
    }
    Ok(seen.len())
}

impl World {
    fn new() -> Self {
        Self {
            phase: Phase::New,
            bound: None,
            checking: None,
            calls: [None; 2],
            held: false,
            review: Review::None,
            trusted: true,
            told: None,
            too_long: false,
            refusals: 0,
            expired: false,
            closed: false,
        }
    }

    #[expect(clippy::too_many_lines, reason = "the table of moves")]
    fn make(&mut self, one: Move, step: Step) -> Made {
        if self.closed || one.is_sessions() && self.has_news() {
            return Ok(false);
        }
        match one {
            Move::SendAuth => {
                let may = self.checking.is_none() && self.phase.way() != Some(Way::Review);
                if may {
                    self.checking = Some(Credential { good: true, marked: false });
                }
                Ok(may)
            }
            Move::AuthTaken => {
                let Some(credential) = self.checking.take() else { return Ok(false) };
                (self.refusals, self.expired) = (0, false);
                self.feed(step, Input::Accepted { trusted: self.trusted }, Some(credential))?;
                self.release(step)
            }
            Move::AuthRefused => {
                if self.checking.take().is_none() {
                    return Ok(false);
                }
                self.refusals = if self.refusals == 0 { 19 } else { 20 };
                self.feed(step, Input::Refused { in_a_row: self.refusals }, None)?;
                if self.refusals == 20 && !self.closed {
                    return Err("who guesses is let");
                }
                self.release(step)
            }
            Move::SendCall if self.checking.is_some() => {
                Ok(!std::mem::replace(&mut self.held, true))
            }
            Move::SendCall => self.call(step),
            Move::CallSpeaks(at) => {
                let is_new = self.calls[at] == Some(false);
                if is_new {
                    self.calls[at] = Some(true);
                }
                Ok(is_new)
            }
            Move::Leaves(at) => {
                let is_open = matches!(self.phase.way(), None | Some(Way::Open));
                if !is_open || self.calls[at] != Some(true) {
                    return Ok(false);
                }
                self.calls[at] = None;
                self.may_leave().map(|()| true)
            }
            Move::EndsInIam => Ok(self.ends_in_iam()),
            Move::MovesInIam => {
                let tells = self.bound.is_some() && self.told.is_none() && self.trusted;
                if tells {
                    self.told = Some(Input::Suspected);
                }
                Ok(tells)
            }
            Move::Looks => self.look(step),
            Move::ReviewAnswered => {
                let asked = self.review == Review::Asked;
                if asked {
                    self.review = Review::Answered(self.bound.is_some_and(|bound| bound.good));
                }
                Ok(asked)
            }
            Move::ReviewHeard => {
                let Review::Answered(good) = self.review else { return Ok(false) };
                self.review = Review::None;
                let input = if good { Input::Confirmed } else { Input::AuthorityEnded };
                self.feed(step, input, None)?;
                if good && self.phase.way() == Some(Way::Review) {
                    return Err("an answer of IAM opens nothing");
                }
                self.take_way(step)
            }
            Move::FeedLost => Ok(std::mem::replace(&mut self.trusted, false)),
            Move::FeedBack => {
                let was_lost = !std::mem::replace(&mut self.trusted, true);
                self.too_long &= !was_lost;
                // It brings what has happened meanwhile.
                if was_lost
                    && let Some(bound) = &mut self.bound
                    && !bound.good
                    && !bound.marked
                {
                    bound.marked = true;
                    self.told = Some(Input::Suspected);
                }
                Ok(was_lost)
            }
            Move::TooLong => {
                if self.too_long || !matches!(self.phase.way(), Some(Way::Held { .. })) {
                    return Ok(false);
                }
                self.too_long = true;
                self.feed(step, Input::HeldTooLong, None)?;
                self.nothing_runs("a call waits for a feed that does not come")
            }
            Move::Expires => {
                if self.bound.is_none() || self.expired {
                    return Ok(false);
                }
                self.expired = true;
                self.feed(step, Input::Expired, None).map(|()| true)
            }
            Move::GraceEnds => {
                if !matches!(self.phase, Phase::Grace(_)) {
                    return Ok(false);
                }
                self.feed(step, Input::GraceOver, None)?;
                self.nothing_runs("a call goes on behind the grace time")
            }
        }
    }

    /// IAM ends the credential that it has just taken, or that of whoever is bound. Of the latter
    /// the session is told while the feed is heard: that it has ended, or that something moved.
    fn ends_in_iam(&mut self) -> bool {
        if let Some(checking) = self.checking.as_mut().filter(|checking| checking.good) {
            checking.good = false;
            return true;
        }
        let Some(bound) = self.bound.as_mut().filter(|bound| bound.good) else { return false };
        bound.good = false;
        if self.trusted {
            bound.marked = true;
            let moved_before = self.told.is_some();
            self.told = Some(if moved_before { Input::Suspected } else { Input::AuthorityEnded });
        }
        true
    }

    fn has_news(&self) -> bool {
        let is_held = matches!(self.phase.way(), Some(Way::Held { .. }));
        self.bound.is_some() && (self.told.is_some() || self.trusted == is_held)
    }

    fn look(&mut self, step: Step) -> Made {
        if !self.has_news() {
            return Ok(false);
        }
        let input = match self.told.take() {
            Some(input) => input,
            None if self.trusted => Input::LeaseBack,
            None => Input::LeaseLost,
        };
        self.feed(step, input, None)?;
        let is_held = matches!(self.phase.way(), Some(Way::Held { .. }));
        match input {
            Input::LeaseLost if !is_held => return Err("silence changes nothing"),
            Input::LeaseBack if is_held => return Err("the end of silence changes nothing"),
            Input::AuthorityEnded if self.bound.is_some() => {
                return Err("whose authority has ended is still somebody");
            }
            Input::Suspected if !is_held && self.review != Review::Asked => {
                return Err("a doubt is not asked about, or was before it came");
            }
            _ => {}
        }
        self.take_way(step)
    }

    fn take_way(&mut self, step: Step) -> Made {
        if self.phase.way() != Some(Way::Review) {
            self.review = Review::None;
        }
        self.release(step)
    }

    fn release(&mut self, step: Step) -> Made {
        let waits = self.checking.is_some() || self.told.is_some();
        if self.held && !waits && self.phase.way() != Some(Way::Review) {
            self.held = false;
            self.call(step)?;
        }
        Ok(true)
    }

    fn call(&mut self, step: Step) -> Made {
        let (phase, actions) = step(self.phase, Input::Call);
        self.phase = phase;
        match actions {
            [Action::Run] => {
                self.may_leave()?;
                if self.phase != Phase::Bound(Way::Open) {
                    return Err("a call is begun while none may be");
                }
                let free = self.calls.iter_mut().find(|call| call.is_none());
                Ok(free.map(|call| *call = Some(false)).is_some())
            }
            [Action::Hold] => Ok(!std::mem::replace(&mut self.held, true)),
            [Action::Refuse(_)] => Ok(true),
            _ => Err("a call comes to something else"),
        }
    }

    /// The rule: whatever leaves does so under an identity that is good as far as the gateway has
    /// been told, and while it is told.
    fn may_leave(&self) -> Result<(), &'static str> {
        match self.bound {
            None => Err("something leaves for nobody"),
            Some(bound) if bound.marked && !bound.good => {
                Err("something leaves under what has ended")
            }
            Some(_) if !self.trusted => Err("something leaves in silence"),
            Some(_) => Ok(()),
        }
    }

    fn nothing_runs(&self, otherwise: &'static str) -> Made {
        if self.calls == [None; 2] { Ok(true) } else { Err(otherwise) }
    }

    fn feed(
        &mut self,
        step: Step,
        input: Input,
        taken: Option<Credential>,
    ) -> Result<(), &'static str> {
        let (phase, actions) = step(self.phase, input);
        self.phase = phase;
        for action in actions {
            match action {
                Action::Bind => {
                    (self.bound, self.told, self.review) = (taken, None, Review::None);
                    // Found by the feed from here on, and compared with what it told before.
                    if let Some(bound) = self.bound.as_mut().filter(|bound| !bound.good)
                        && self.trusted
                    {
                        bound.marked = true;
                        self.told = Some(Input::Suspected);
                    }
                }
                Action::Unbind => (self.bound, self.told, self.review) = (None, None, Review::None),
                Action::EndCalls(_) => self.calls = [None; 2],
                Action::Review => self.review = Review::Asked,
                Action::TellRevoked(_) | Action::TellExpired | Action::Close(_) => {
                    if self.bound.is_some() {
                        return Err("an end is told before it is there");
                    }
                    self.nothing_runs("an end is told before its calls have theirs")?;
                    self.closed |= matches!(action, Action::Close(_));
                }
                Action::TellRefused
                | Action::TellUnjudged
                | Action::ExtendDeadline
                | Action::TellExpiring => {}
                Action::Run | Action::Hold | Action::Refuse(_) => {
                    return Err("a call from nowhere");
                }
            }
        }
        Ok(())
    }
}
