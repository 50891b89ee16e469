//! What the feed has told: what moved and when, and until when silence means that nothing else did.
//!
//! In: news, each with the time at which it was asked for. Out: whether something that IAM said,
//! at its place in the journal, still holds.
//! Never: trust beyond the lease. The feed was last asked at a time at which nothing had moved that
//! is not known here; what moves later is known within the lease, or nothing is trusted.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tollgate_proto::iam::{Actor, Check, Credential, Identity, Mark, Moved, News};
use tollgate_proto::ids::{KeyId, KeyName, Seq, SessionId, UserId, WorkspaceId};

/// Subjects that are remembered; one more, and all that was said before counts as moved.
const MOST: usize = 65_536;

/// What an event is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Subject {
    Key(KeyId),
    Session(SessionId),
    /// The credentials of a user.
    User(UserId),
    /// What a user may do.
    Rights(UserId),
    Workspace(WorkspaceId),
    /// By its `kid`.
    SigningKey(KeyName),
}

/// How much of what was said an event makes void.
enum Scope {
    One(Subject),
    All,
    Nothing,
}

/// What was heard.
#[derive(Debug)]
pub(crate) struct Heard {
    lease: Duration,
    begun: Instant,
    /// In nanoseconds since `begun`.
    trusted_until: AtomicU64,
    /// Counts what was heard, so that whoever keeps something sees at a glance that nothing was.
    generation: AtomicU64,
    moves: Mutex<Moves>,
}

#[derive(Debug, Default)]
struct Moves {
    head: Option<Mark>,
    /// What was said before this entry counts as moved.
    floor: Seq,
    /// Where each subject last moved.
    last: HashMap<Subject, Seq>,
}

impl Heard {
    pub(crate) fn new(lease: Duration) -> Self {
        Self {
            lease,
            begun: Instant::now(),
            trusted_until: AtomicU64::new(0),
            generation: AtomicU64::new(0),
            moves: Mutex::default(),
        }
    }

    /// Takes news up. `asked` is when the poll was sent that they answer.
    pub(crate) fn hear(&self, news: &News, asked: Instant) {
        let mut moves = self.moves();
        let is_same = moves.head.is_some_and(|head| head.journal == news.head.journal);
        if news.resync || !is_same {
            *moves = Moves { floor: news.head.seq, ..Moves::default() };
            self.move_on();
        }
        for event in &news.events {
            match scope(&event.moved) {
                Scope::One(subject) => drop(moves.last.insert(subject, event.seq)),
                Scope::All => moves.floor = event.seq,
                Scope::Nothing => {}
            }
        }
        if moves.last.len() > MOST {
            moves.last.clear();
            moves.floor = news.head.seq;
        }
        moves.head = Some(news.head);
        if !news.events.is_empty() {
            self.move_on();
        }
        drop(moves);
        let age = Duration::from_millis(news.age_ms);
        let until = (asked + self.lease).saturating_duration_since(self.begun).saturating_sub(age);
        let until = u64::try_from(until.as_nanos()).unwrap_or(u64::MAX);
        self.trusted_until.store(until, Ordering::Release);
    }

    /// Something was forgotten: whoever keeps something looks again.
    pub(crate) fn move_on(&self) {
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// To be taken before something is found to hold.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Whether silence means that nothing has moved.
    pub(crate) fn is_trusted(&self, now: Instant) -> bool {
        now < self.trusted_until()
    }

    /// Until when it does.
    pub(crate) fn trusted_until(&self) -> Instant {
        self.begun + Duration::from_nanos(self.trusted_until.load(Ordering::Acquire))
    }

    /// Whether nothing that an identity rests on has moved since it was said.
    pub(crate) fn holds_identity(&self, identity: &Identity, said: Mark) -> bool {
        let rights = [
            Subject::Rights(identity.actor.user),
            Subject::Workspace(identity.default_workspace.clone()),
        ];
        self.holds(said, subjects_of(&identity.actor).chain(rights))
    }

    /// Whether nothing that a decision rests on has moved since it was made.
    pub(crate) fn holds_decision(&self, actor: &Actor, check: &Check, said: Mark) -> bool {
        let workspace = check.resource.workspace().cloned().map(Subject::Workspace);
        let rights = Some(Subject::Rights(actor.user)).into_iter().chain(workspace);
        self.holds(said, subjects_of(actor).chain(rights))
    }

    /// The place at which a session can be said to live that was opened behind another: what ended it
    /// would have been heard, and nothing was. `said` is that of what else it rests on. What was not
    /// heard yet may have ended it before that place, so it comes no later than the news. None: only
    /// IAM knows.
    pub(crate) fn vouches(&self, session: SessionId, opened: Seq, said: Mark) -> Option<Mark> {
        let moves = self.moves();
        let head = moves.head?;
        let lives = moves.floor <= opened && !moves.last.contains_key(&Subject::Session(session));
        (lives && said.journal == head.journal)
            .then(|| Mark { seq: said.seq.min(head.seq), ..said })
    }

    fn holds(&self, said: Mark, mut subjects: impl Iterator<Item = Subject>) -> bool {
        let moves = self.moves();
        // Before anything was heard there is nothing that it could be older than.
        let Some(head) = moves.head else { return true };
        let stands = |subject| moves.last.get(&subject).is_none_or(|moved| *moved <= said.seq);
        said.journal == head.journal && moves.floor <= said.seq && subjects.all(stands)
    }

    fn moves(&self) -> MutexGuard<'_, Moves> {
        self.moves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn scope(moved: &Moved) -> Scope {
    Scope::One(match moved {
        Moved::Credential { id, .. } => Subject::Key(*id),
        Moved::Session { id, .. } => Subject::Session(*id),
        Moved::UserAuth { id, .. } => Subject::User(*id),
        Moved::UserAuthz { id, .. } => Subject::Rights(*id),
        Moved::Workspace { id, .. } => Subject::Workspace(id.clone()),
        Moved::SigningKey { id } => Subject::SigningKey(*id),
        Moved::Deployment {} => return Scope::All,
        Moved::Sockets { .. } | Moved::Socket { .. } => return Scope::Nothing,
    })
}

/// What an actor rests on: itself, its credential, and whoever stands behind that.
fn subjects_of(actor: &Actor) -> impl Iterator<Item = Subject> {
    let (credential, signed_by, minter) = match actor.credential {
        Credential::Key(id) => (Subject::Key(id), None, None),
        Credential::Session(session) => {
            (Subject::Session(session.id), Some(session.signed_by), None)
        }
        Credential::Minted { session, by, .. } => {
            (Subject::Session(session.id), Some(session.signed_by), Some(by))
        }
    };
    let signed_by = signed_by.map(Subject::SigningKey);
    let users = [Some(actor.user), minter].into_iter().flatten().map(Subject::User);
    std::iter::once(credential).chain(signed_by).chain(users)
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;
    use tollgate_proto::iam::{Event, SignedSession};
    use tollgate_proto::ids::JournalId;
    use uuid::Uuid;

    use super::*;
    use crate::iam::table::identity;

    const LEASE: Duration = Duration::from_secs(5);

    fn mark(seq: u64) -> Mark {
        Mark { journal: JournalId(Uuid::from_u128(1)), seq: Seq(seq) }
    }

    fn news(head: u64, moved: &[Moved]) -> News {
        let event = |moved: &Moved| Event { seq: Seq(head), moved: moved.clone() };
        let events = moved.iter().map(event).collect();
        News { head: mark(head), age_ms: 0, events, resync: false, asks: vec![] }
    }

    /// One that has heard everything up to entry 5.
    fn heard() -> Heard {
        let heard = Heard::new(LEASE);
        heard.hear(&News { resync: true, ..news(5, &[]) }, Instant::now());
        heard
    }

    #[tokio::test(start_paused = true)]
    async fn what_moves_ends_what_was_said_before_about_it_and_nothing_else() {
        let session =
            SignedSession { id: SessionId(Uuid::from_u128(7)), signed_by: KeyName::from_number(8) };
        let (admin, epoch) = (UserId(Uuid::from_u128(9)), 1);
        let key = identity("ann");
        let with = |credential| Identity {
            actor: Actor { credential, ..key.actor.clone() },
            ..key.clone()
        };
        let logged_in = with(Credential::Session(session));
        let minted = with(Credential::Minted { session, by: admin, epoch });
        let Credential::Key(key_id) = key.actor.credential else { panic!() };
        let user = key.actor.user;
        // Whether it ends what the key, the login and the minted token stand for.
        let check = |moved: Moved, ends: [bool; 3]| {
            let heard = heard();
            let before = heard.generation();
            heard.hear(&news(6, std::slice::from_ref(&moved)), Instant::now());
            assert!(heard.generation() > before);
            for (identity, ends) in [&key, &logged_in, &minted].into_iter().zip(ends) {
                assert_eq!(heard.holds_identity(identity, mark(5)), !ends, "{moved:?}");
                assert!(heard.holds_identity(identity, mark(6)), "said since: {moved:?}");
            }
        };
        check(Moved::Credential { id: key_id, user: Some(user) }, [true, false, false]);
        check(Moved::Session { id: session.id, user: None }, [false, true, true]);
        check(Moved::UserAuth { id: user, epoch: None }, [true; 3]);
        check(Moved::UserAuthz { id: user, epoch: Some(2) }, [true; 3]);
        check(Moved::UserAuth { id: admin, epoch: Some(2) }, [false, false, true]);
        check(Moved::SigningKey { id: session.signed_by }, [false, true, true]);
        check(Moved::Workspace { id: "home".parse().unwrap(), disabled: false }, [true; 3]);
        check(Moved::Workspace { id: "other".parse().unwrap(), disabled: true }, [false; 3]);
        check(Moved::Deployment {}, [true; 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn another_journal_or_a_gap_ends_everything() {
        let ann = identity("ann");
        let heard = heard();
        assert!(heard.holds_identity(&ann, mark(5)) && !heard.holds_identity(&ann, mark(4)));
        let elsewhere = Mark { journal: JournalId(Uuid::from_u128(2)), ..mark(9) };
        assert!(!heard.holds_identity(&ann, elsewhere));
        heard.hear(&News { resync: true, ..news(7, &[]) }, Instant::now());
        assert!(!heard.holds_identity(&ann, mark(6)) && heard.holds_identity(&ann, mark(7)));
        heard.hear(&News { head: elsewhere, ..news(0, &[]) }, Instant::now());
        assert!(heard.holds_identity(&ann, elsewhere) && !heard.holds_identity(&ann, mark(9)));
    }

    #[tokio::test(start_paused = true)]
    async fn trust_ends_with_the_lease_counted_from_the_question() {
        let heard = Heard::new(LEASE);
        assert!(!heard.is_trusted(Instant::now()), "nothing was heard");
        let asked = Instant::now();
        advance(Duration::from_secs(2)).await;
        heard.hear(&News { age_ms: 500, ..news(1, &[]) }, asked);
        let last = asked + LEASE - Duration::from_millis(500);
        assert!(heard.is_trusted(last - Duration::from_nanos(1)) && !heard.is_trusted(last));
    }

    #[tokio::test(start_paused = true)]
    async fn more_than_can_be_remembered_ends_everything() {
        let ann = identity("ann");
        let heard = heard();
        let user = |number| Moved::UserAuthz { id: UserId(Uuid::from_u128(number)), epoch: None };
        let moved: Vec<_> = (1_000_000..).take(MOST).map(user).collect();
        heard.hear(&news(6, &moved), Instant::now());
        assert!(heard.holds_identity(&ann, mark(5)));
        heard.hear(&news(7, &[user(1)]), Instant::now());
        assert!(!heard.holds_identity(&ann, mark(6)) && heard.holds_identity(&ann, mark(7)));
    }
}
