//! Whether a history kept the rules: the journal gives the order, and the model goes along.
//!
//! What was done must be what the model does at that place; what was refused must be refused by
//! the model, in the same way, on some state between question and answer.

use std::collections::{BTreeMap, HashMap};

use tollgate_iam::hash::Digest;
use tollgate_iam::journal::entry::Act;
use tollgate_iam::journal::replay;
use tollgate_iam::operation::access;
use tollgate_iam::policy::Denied;
use tollgate_iam::record::Change;
use tollgate_iam::refused::Refused;
use tollgate_iam::state::{self, Read, State, Table};
use tollgate_proto::capability::Capability;
use tollgate_proto::iam::{Actor, Check, Credential, Decision};
use tollgate_proto::ids::{OperationId, Seq, UserId};
use tollgate_proto::resource::Resource;
use uuid::Uuid;

use crate::ask::Fault;
use crate::draw::WORKSPACES;
use crate::history::{History, Told};
use crate::real;
use crate::rules::{Drawn, No, authorise, decide};
use crate::world::{EVERYWHERE, World, session};

/// How often what happened: by operation, and `Ok` or the refusal.
pub(crate) type Tally = BTreeMap<(&'static str, Result<(), No>), usize>;

/// Asked about at the end of each history.
const SAMPLE: [Capability; 8] = [
    Capability::Agent,
    Capability::GraphWrite,
    Capability::KeysSelf,
    Capability::UsersAdmin,
    Capability::UsersWrite,
    Capability::KeysAdmin,
    Capability::IamAdmin,
    Capability::MintToken,
];

/// Checks all of it.
pub(crate) async fn check(history: &History) -> Tally {
    let timeline = Timeline::of(history).await;
    for told in &history.told {
        timeline.check_answer(told);
    }
    check_decisions(history, timeline.worlds.last().unwrap());
    check_digests(history).await;
    let mut tally = Tally::new();
    for told in &history.told {
        let key = (told.asked.ask.operation(), told.answer);
        *tally.entry(key).or_default() += 1;
    }
    tally
}

/// The worlds that followed each other.
struct Timeline {
    worlds: Vec<World>,
    /// Where in `worlds` each entry left it.
    ends: HashMap<Seq, usize>,
    /// The entry of what was done.
    acts: HashMap<OperationId, Seq>,
}

impl Timeline {
    /// Goes through the journal act by act; after each, state and model must be the same.
    async fn of(history: &History) -> Self {
        let journal = &*history.context.journal;
        let again = State::in_memory().unwrap();
        replay::begin(journal, &again, &real::seal()).unwrap();
        let mut open = again.open().unwrap();
        let told: HashMap<_, _> = history.told.iter().map(|told| (told.id, told)).collect();
        let mut timeline = Self { worlds: vec![], ends: HashMap::new(), acts: HashMap::new() };
        for row in journal.read(Seq(0), usize::MAX).await.unwrap() {
            let entry = row.read(&open.position().head, &real::seal()).unwrap();
            for act in &entry.acts {
                state::apply(&mut open, act.id, &real::done(entry.seq, act), &act.changes).unwrap();
                let is = real::world(&open);
                let model = match timeline.worlds.last() {
                    None => history.seeded.clone(),
                    Some(world) => next(world, told[&act.id], act),
                };
                assert_eq!(is, model, "not what the model makes of {:#?}", told.get(&act.id));
                model.check_invariants();
                timeline.acts.insert(act.id, entry.seq);
                timeline.worlds.push(model);
            }
            timeline.ends.insert(entry.seq, timeline.worlds.len() - 1);
            open.stand_at(row.seq, row.seal, entry.format).unwrap();
        }
        timeline
    }

    fn check_answer(&self, told: &Told) {
        let window = &self.worlds[self.ends[&told.since]..=self.ends[&told.until]];
        let model = |world: &World| decide(world, &told.asked, Drawn::default());
        let is_unreadable = matches!(told.asked.fault, Some(Fault::Missing | Fault::Unknown));
        let explained = match told.answer {
            Ok(()) if let Some(seq) = self.acts.get(&told.id) => {
                told.since < *seq && *seq <= told.until
            }
            // Nothing was written: it must have been so already.
            Ok(()) => {
                told.asked.fault.is_none()
                    && window.iter().any(|world| model(world).as_ref() == Ok(world))
            }
            Err(no) if told.asked.fault.is_some_and(|fault| fault_is(fault, no)) => true,
            // What cannot even be read may be denied, and gets no further.
            Err(no) if is_unreadable && !matches!(no, No::NotLive | No::Denied) => false,
            Err(no) => window.iter().any(|world| model(world).err() == Some(no)),
        };
        if !explained {
            let says: Vec<_> = window.iter().map(|world| model(world).err()).collect();
            panic!("no state explains {told:?}\nthe model says {says:?}\nin {window:?}");
        }
    }
}

/// What the model makes of an act at its place.
fn next(world: &World, told: &Told, act: &Act) -> World {
    assert_eq!(act.at_ms, told.asked.now);
    assert_eq!(told.answer, Ok(()), "refused, and done: {told:?}");
    assert_eq!(told.asked.fault, None, "done, and wrong in itself: {told:?}");
    decide(world, &told.asked, drawn(act))
        .unwrap_or_else(|no| panic!("done, and the model says {no:?} to {told:?}\nin {world:?}"))
}

/// The ids that IAM drew.
fn drawn(act: &Act) -> Drawn {
    let mut drawn = Drawn::default();
    for change in &act.changes {
        match change {
            Change::AddUser(user) => drawn.user = Some(user.id),
            Change::AddKey(key) => drawn.key = Some(key.id),
            _ => {}
        }
    }
    drawn
}

/// How an operation is refused that is wrong whatever the state.
fn fault_is(fault: Fault, no: No) -> bool {
    match fault {
        Fault::Missing | Fault::Unknown => no == No::Invalid,
        Fault::Password => matches!(no, No::Invalid | No::WeakPassword),
    }
}

/// Every user, with a session and with each key, on every workspace and on the deployment.
fn check_decisions(history: &History, world: &World) {
    let now = history.context.clock.now_ms();
    let scopes = WORKSPACES.iter().copied().chain([EVERYWHERE]);
    let questions: Vec<_> = scopes.flat_map(|scope| SAMPLE.map(|one| (one, scope))).collect();
    let ghost = UserId(Uuid::from_u128(0xDEAD));
    for user in world.users.keys().copied().chain([ghost]) {
        let epoch = world.users.get(&user).map_or(1, |user| user.epoch);
        let session = Credential::Session(session());
        let keys = world.keys.iter().filter(|(_, key)| key.user == user).take(3);
        for credential in keys.map(|(id, _)| Credential::Key(*id)).chain([session]) {
            let actor = Actor { user, credential, auth_epoch: epoch };
            let decisions = decisions(history, &actor, &questions);
            for ((capability, scope), decision) in questions.iter().zip(decisions) {
                let model = authorise(world, &actor, *capability, scope, now);
                assert_eq!(decision, model, "{capability} in {scope} for {actor:?} in {world:?}");
            }
        }
    }
}

fn decisions(
    history: &History,
    actor: &Actor,
    questions: &[(Capability, &str)],
) -> Vec<Option<Decision>> {
    let check = |(capability, scope): &(Capability, &str)| {
        let resource = match *scope {
            EVERYWHERE => Resource::Deployment,
            workspace => Resource::Workspace { workspace: workspace.parse().unwrap() },
        };
        Check { capability: *capability, resource }
    };
    let checks: Vec<_> = questions.iter().map(check).collect();
    let now = history.context.clock.now_ms();
    match access::authorise(&history.context, actor, &checks, now) {
        Ok(decisions) => decisions.into_iter().map(Some).collect(),
        Err(Refused::Denied(Denied::NotLive)) => vec![None; checks.len()],
        Err(other) => panic!("{other}"),
    }
}

/// The state is what its journal makes of an empty one, and what its rows add up to.
async fn check_digests(history: &History) {
    let again = State::in_memory().unwrap();
    replay::catch_up(&*history.context.journal, &again, &real::seal()).await.unwrap();
    let (again, view) = (again.view().unwrap(), history.context.state.view().unwrap());
    assert_eq!(again.position(), view.position());
    let mut digest = Digest::default();
    for table in Table::ALL {
        for (key, row) in view.rows(table, b"").unwrap() {
            digest.add(table.name(), &key, &row);
        }
    }
    assert_eq!(digest, view.position().digest);
}
