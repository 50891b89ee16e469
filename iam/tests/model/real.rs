//! The real IAM under the model: its parts on a journal in memory, seeded with a world, and the
//! world that one of its states amounts to.

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use secrecy::SecretString;
use serde::de::DeserializeOwned;
use tollgate_iam::audit::Audit;
use tollgate_iam::commit::Writer;
use tollgate_iam::config::{BootstrapMode, PasswordSettings};
use tollgate_iam::feed::Feed;
use tollgate_iam::hash::Hash;
use tollgate_iam::journal::embedded::Embedded;
use tollgate_iam::journal::entry::Act;
use tollgate_iam::journal::{Committed, Journal, replay};
use tollgate_iam::nodes::Nodes;
use tollgate_iam::operation::Context;
use tollgate_iam::passwords::Passwords;
use tollgate_iam::passwords::pool::{Pool, Work};
use tollgate_iam::record::{
    ApiKey, Change, Done, Grant, Outcome, PasswordHash, Role, Scope, Sealed, SigningKey,
    SigningState, Subject, User, What, Workspace,
};
use tollgate_iam::seal::Seal;
use tollgate_iam::state::{Read, State, Table};
use tollgate_iam::throttle::Throttle;
use tollgate_iam::tokens::Tokens;
use tollgate_iam::{last_used::LastUsed, record};
use tollgate_proto::iam::Client;
use tollgate_proto::ids::{GrantId, OperationId, Seq};
use tollgate_runtime::clock::{Clock, ManualClock};
use tollgate_runtime::lifecycle::Lifecycle;
use uuid::Uuid;

use crate::ask::is_role;
use crate::world::{self, Capabilities, EVERYWHERE, Fate, GrantName, Password, World};

/// Far below what a configuration may ask for: nobody logs in here.
const PASSWORDS: PasswordSettings = PasswordSettings { min_length: 15, rounds: 1_000 };

pub(crate) fn seal() -> Seal {
    Seal::new(&SecretString::from("5".repeat(64))).unwrap()
}

/// IAM without a listener, whose first entry makes the world, and the passwords that are to hash.
pub(crate) async fn start(
    world: &World,
    clock: &Arc<ManualClock>,
    life: &Lifecycle,
) -> (Context, Receiver<Work>) {
    let (journal, state) = Embedded::in_memory().unwrap();
    seed(&journal, &state, world, clock).await;
    context(Arc::new(journal), state, clock, life)
}

/// Makes the world, in the first entry of a journal.
pub(crate) async fn seed(journal: &dyn Journal, state: &State, world: &World, clock: &ManualClock) {
    replay::begin(journal, state, &seal()).unwrap();
    let act = Act {
        id: OperationId(Uuid::now_v7()),
        operation: "seed".to_owned(),
        at_ms: clock.now_ms(),
        actor: None,
        client: Client::default(),
        capability: None,
        outcome: Outcome::Done,
        changes: changes(world),
    };
    let mut open = state.open().unwrap();
    let row = replay::append(&mut open, vec![act], &seal()).unwrap();
    assert_eq!(journal.commit(open, row).await.unwrap(), Committed::Ours);
}

/// IAM without a listener, on a journal that holds a world.
pub(crate) fn context(
    journal: Arc<dyn Journal>,
    state: State,
    clock: &Arc<ManualClock>,
    life: &Lifecycle,
) -> (Context, Receiver<Work>) {
    let shared = Arc::clone(clock) as Arc<dyn Clock>;
    let (pool, work) = Pool::of(1);
    let feed = Feed::begin(&state, Duration::from_secs(5)).unwrap();
    let context = Context {
        audit: Audit::OFF,
        tasks: life.tasks.clone(),
        writer: Writer::start(
            Arc::clone(&journal),
            state.clone(),
            seal(),
            Arc::clone(&feed),
            Arc::default(),
            life,
        ),
        metrics: Arc::default(),
        nodes: Nodes::ALONE,
        feed,
        passwords: Passwords::new(PASSWORDS, pool).unwrap(),
        throttle: Throttle::new(Arc::clone(&shared)),
        tokens: Tokens::new(seal(), journal.id(), Duration::ZERO),
        last_used: Arc::new(LastUsed::default()),
        started_ms: clock.now_ms(),
        mode: BootstrapMode::Token,
        signing_key: None,
        clock: shared,
        state,
        journal,
    };
    (context, work)
}

/// What is remembered of an act.
pub(crate) fn done(seq: Seq, act: &Act) -> Done {
    let actor = act.actor.as_ref().map(|actor| actor.user);
    Done { seq, operation: act.operation.clone(), actor, outcome: act.outcome.clone() }
}

/// The changes that make a world.
fn changes(world: &World) -> Vec<Change> {
    let mut changes = vec![Change::Claim { at_ms: 0 }, Change::AddSigningKey(signing_key())];
    for (id, workspace) in &world.workspaces {
        let (id, name) = (id.parse().unwrap(), workspace.name.clone());
        let enabled = workspace.enabled;
        changes.push(Change::AddWorkspace(Workspace { id, name, enabled, created_ms: 0 }));
    }
    for (id, user) in &world.users {
        let own = user.password == Password::Own;
        let hash = PasswordHash("of a password that nobody uses".to_owned());
        let password = record::Password { hash, own, until_ms: None };
        changes.push(Change::AddUser(User {
            id: *id,
            username: user.username.clone(),
            name: user.name.clone(),
            email: user.email.clone(),
            home: user.home.parse().unwrap(),
            enabled: user.enabled,
            suspended: user.suspended,
            password: (user.password != Password::None).then_some(password),
            must_change_password: user.must_change,
            auth_epoch: user.epoch,
            authz_epoch: 1,
            created_ms: 0,
        }));
    }
    for (name, grant) in &world.grants {
        changes.push(Change::AddGrant(Grant {
            id: GrantId(Uuid::now_v7()),
            subject: Subject::User(name.user),
            what: what(&name.what),
            scope: match name.scope.as_str() {
                EVERYWHERE => Scope::Deployment,
                workspace => Scope::Workspace(workspace.parse().unwrap()),
            },
            expires_ms: grant.expires,
            granted_by: None,
            created_ms: 0,
        }));
    }
    for (id, key) in &world.keys {
        changes.push(Change::AddKey(ApiKey {
            id: *id,
            user: key.user,
            auth_epoch: world.users[&key.user].epoch,
            name: key.name.clone(),
            prefix: "tg_seed".to_owned(),
            hash: Hash::of(id.0.as_bytes()),
            expires_ms: key.expires,
            revoked_ms: None,
            created_ms: 0,
            created_by: None,
            bootstrap: false,
        }));
    }
    changes
}

fn what(name: &str) -> What {
    match name {
        "admin" => What::Role(Role::Admin),
        "reader" => What::Role(Role::Reader),
        "writer" => What::Role(Role::Writer),
        capability => What::Capability(capability.parse().unwrap()),
    }
}

/// The world that a state amounts to.
pub(crate) fn world(from: &dyn Read) -> World {
    let mut world = World::default();
    for workspace in all::<Workspace>(from, Table::Workspaces) {
        let record = world::Workspace { name: workspace.name, enabled: workspace.enabled };
        assert!(world.workspaces.insert(workspace.id.to_string(), record).is_none());
    }
    for user in all::<User>(from, Table::Users) {
        let password = match user.password {
            None => Password::None,
            Some(password) if password.own => Password::Own,
            Some(password) if password.until_ms.is_some() => Password::Temporary,
            Some(_) => Password::Given,
        };
        let record = world::User {
            username: user.username,
            name: user.name,
            email: user.email,
            home: user.home.to_string(),
            enabled: user.enabled,
            suspended: user.suspended,
            password,
            must_change: user.must_change_password,
            epoch: user.auth_epoch,
        };
        assert!(world.users.insert(user.id, record).is_none());
    }
    for grant in all::<Grant>(from, Table::Grants) {
        let (name, grant) = named(&grant);
        assert!(world.grants.insert(name.clone(), grant).is_none(), "twice: {name:?}");
    }
    for key in all::<ApiKey>(from, Table::Keys) {
        let fate = match key.revoked_ms {
            Some(_) => Fate::Revoked,
            None if key.auth_epoch == world.users[&key.user].epoch => Fate::Alive,
            None => Fate::Ended,
        };
        let (user, name, expires) = (key.user, key.name, key.expires_ms);
        assert!(world.keys.insert(key.id, world::Key { user, name, fate, expires }).is_none());
    }
    world
}

fn all<T: DeserializeOwned>(from: &dyn Read, table: Table) -> Vec<T> {
    let rows = from.rows(table, b"").unwrap();
    rows.iter().map(|(_, row)| serde_json::from_slice(row).unwrap()).collect()
}

fn named(grant: &Grant) -> (GrantName, world::Grant) {
    let Subject::User(user) = grant.subject;
    let what = match grant.what {
        What::Role(Role::Admin) => "admin".to_owned(),
        What::Role(Role::Reader) => "reader".to_owned(),
        What::Role(Role::Writer) => "writer".to_owned(),
        What::Capability(capability) => capability.to_string(),
    };
    assert_eq!(is_role(&what), matches!(grant.what, What::Role(_)));
    let scope = match &grant.scope {
        Scope::Deployment => EVERYWHERE.to_owned(),
        Scope::Workspace(workspace) => workspace.to_string(),
    };
    let allows = Capabilities::named(&what);
    (GrantName { user, what, scope }, world::Grant { allows, expires: grant.expires_ms })
}

/// The key behind the session of everybody.
fn signing_key() -> SigningKey {
    SigningKey {
        name: world::session().signed_by,
        state: SigningState::Active,
        public: Hash::default(),
        sealed: Sealed(String::new()),
        created_ms: 0,
    }
}
