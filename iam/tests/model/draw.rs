//! What is drawn from the seed: the world that a history begins in, and what each of the actors
//! asks. Names come from small pools, so that claims collide and actors meet each other.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use tollgate_proto::iam::{Actor, Credential};
use tollgate_proto::ids::{KeyId, UserId};
use uuid::Uuid;

use crate::ask::{Ask, Asked, Fault, UserChange};
use crate::world::{EVERYWHERE, Fate, GrantName, Key, Password, User, Workspace, World, session};

/// How many act at once.
pub(crate) const ACTORS: usize = 8;
/// When histories begin.
pub(crate) const START: u64 = 1_800_000_000_000;
pub(crate) const MINUTE: u64 = 60_000;

/// Usernames and workspaces to claim; some differ in case only.
const USERNAMES: [&str; 6] = ["ann", "Ann", "bob", "BOB", "cyd", "dan"];
pub(crate) const WORKSPACES: [&str; 8] =
    ["default", "alpha", "beta", "Alpha", "gamma", "GAMMA", "delta", "ghost"];
const HOMES: [&str; 5] = ["default", "alpha", "alpha", "beta", "gamma"];
/// What is granted.
const GRANTABLE: [&str; 11] = [
    "admin",
    "reader",
    "writer",
    "users:admin",
    "users:write",
    "keys:admin",
    "keys:self",
    "iam:admin",
    "workspaces:admin",
    "agent",
    "graph:write",
];

/// The user whom an actor is, as long as there is one.
pub(crate) fn own_user(actor: usize) -> UserId {
    UserId(Uuid::from_u128(0xA000 + actor as u128))
}

/// A world to begin with: one to four admins, managers of workspaces, plain users.
pub(crate) fn world(rng: &mut StdRng) -> World {
    let mut world = World::default();
    for id in ["default", "alpha", "beta"] {
        let enabled = id != "beta" || rng.random_bool(0.8);
        world.workspaces.insert(id.to_owned(), Workspace { name: id.to_owned(), enabled });
    }
    let homes = ["default", "default", "alpha", "alpha", "alpha", "default", "alpha", "beta"];
    for (actor, home) in homes.into_iter().enumerate() {
        let user = user(&format!("user{actor}"), home, Password::Given);
        world.users.insert(own_user(actor), user);
    }
    admins(&mut world, rng);
    for (actor, scope) in [(3, "alpha"), (4, "beta")] {
        for what in ["users:admin", "users:write", "keys:admin", "iam:admin", "workspaces:admin"] {
            if rng.random_bool(0.9) {
                world.give(own_user(actor), what, scope, None);
            }
        }
        for what in ["reader", "writer"] {
            world.give(own_user(actor), what, scope, None);
        }
    }
    for what in ["users:admin", "users:write", "keys:admin", "iam:admin", "workspaces:admin"] {
        if rng.random_bool(0.6) {
            world.give(own_user(5), what, EVERYWHERE, soon(rng, 0.3));
        }
    }
    world.give(own_user(5), "reader", "default", None);
    world.give(own_user(6), "reader", "alpha", None);
    world.give(own_user(6), GRANTABLE.choose(rng).unwrap(), "beta", soon(rng, 0.5));
    world.give(own_user(7), "writer", "beta", None);
    world.users.get_mut(&own_user(7)).unwrap().suspended = rng.random_bool(0.3);
    let keys = if rng.random_bool(0.1) { 19 } else { 1 };
    (1..=keys).for_each(|n| add_key(&mut world, 7, n, None));
    add_key(&mut world, 3, 0, None);
    world
}

/// The first is an admin for sure; how many others are, and how each could come in, is drawn.
fn admins(world: &mut World, rng: &mut StdRng) {
    let chance = *[0.2, 0.6, 1.0].choose(rng).unwrap();
    for actor in [0, 1, 2, 6] {
        let id = own_user(actor);
        if actor > 0 && !rng.random_bool(chance) {
            world.give(id, "writer", &world.users[&id].home.clone(), None);
            continue;
        }
        world.give(id, "admin", EVERYWHERE, if actor == 0 { None } else { soon(rng, 0.15) });
        let ways = if actor == 0 { 0..2 } else { 0..4 };
        match rng.random_range(ways) {
            0 => add_key(world, actor, 0, None),
            1 => world.users.get_mut(&id).unwrap().password = Password::Own,
            2 => add_key(world, actor, 0, Some(START + 5 * MINUTE + 1)),
            _ => {
                add_key(world, actor, 0, None);
                world.users.get_mut(&id).unwrap().password = Password::Own;
            }
        }
    }
}

fn user(username: &str, home: &str, password: Password) -> User {
    User {
        username: username.to_owned(),
        name: username.to_owned(),
        email: String::new(),
        home: home.to_owned(),
        enabled: true,
        suspended: false,
        password,
        must_change: false,
        epoch: 1,
    }
}

fn add_key(world: &mut World, actor: usize, n: u128, expires: Option<u64>) {
    let id = KeyId(Uuid::from_u128(0xC000 + 0x100 * actor as u128 + n));
    let key =
        Key { user: own_user(actor), name: format!("seed{n:02}"), fate: Fate::Alive, expires };
    world.keys.insert(id, key);
}

/// An end within the history, sometimes. Never on a full minute, which is when the clock stands.
fn soon(rng: &mut StdRng, chance: f64) -> Option<u64> {
    rng.random_bool(chance).then(|| START + rng.random_range(1..12) * MINUTE + 1)
}

/// One of the actors: who it is, and what comes to its mind.
pub(crate) struct Source {
    rng: StdRng,
    actor: usize,
    keys: usize,
}

impl Source {
    pub(crate) fn new(seed: u64, actor: usize) -> Self {
        let rng = StdRng::seed_from_u64(seed.wrapping_mul(64) + actor as u64 + 1);
        Self { rng, actor, keys: 0 }
    }

    /// How many minutes pass before the next operation.
    pub(crate) fn pause(&mut self) -> u64 {
        if self.rng.random_bool(0.05) { self.rng.random_range(1..4) } else { 0 }
    }

    /// The next operation, by somebody and on somebody that a world has.
    pub(crate) fn next(&mut self, world: &World, now: u64) -> Asked {
        let actor = self.somebody_live(world);
        let actor = self.credential(world, actor, now);
        let ask = self.ask(world, now);
        let workspace = self.rng.random_bool(0.08).then(|| self.pick(&WORKSPACES).to_owned());
        let workspace = if home_is_asked(&ask) { workspace } else { None };
        let fault = self.rng.random_bool(0.03).then(|| self.fault(&ask)).flatten();
        Asked { actor, now, ask, workspace, fault }
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from.choose(&mut self.rng).unwrap()
    }

    /// An admin, or oneself; once that is over, somebody else who lives.
    fn somebody_live(&mut self, world: &World) -> UserId {
        let own = own_user(self.actor);
        let is_live = world.users.get(&own).is_some_and(User::is_live);
        let as_admin = self.rng.random_bool(0.4);
        if !as_admin && (is_live || self.rng.random_bool(0.05)) {
            return own;
        }
        let holds_all = |id| world.grants.contains_key(&GrantName::of(id, "admin", EVERYWHERE));
        let live = world.users.iter().filter(|(_, user)| user.is_live());
        let mut live: Vec<_> = live.filter(|(id, _)| !as_admin || holds_all(**id)).collect();
        live.sort_by(|(_, one), (_, other)| one.username.cmp(&other.username));
        live.choose(&mut self.rng).map_or(own, |(id, _)| **id)
    }

    /// A session or a key of the user; sometimes of yesterday.
    fn credential(&mut self, world: &World, user: UserId, now: u64) -> Actor {
        let epoch = world.users.get(&user).map_or(1, |user| user.epoch);
        let stale = u64::from(self.rng.random_bool(0.02));
        let any = self.rng.random_bool(0.05);
        let keys = world.keys.iter().filter(|(_, key)| key.user == user);
        let keys = by_name(keys.filter(|(_, key)| any || key.is_live(now)));
        let key = keys.choose(&mut self.rng).filter(|_| self.rng.random_bool(0.6));
        let session = Credential::Session(session());
        let credential = key.map_or(session, |key| Credential::Key(*key));
        Actor { user, credential, auth_epoch: epoch - stale.min(epoch) }
    }

    /// A user who is there, was there, or never was.
    fn target(&mut self, world: &World) -> UserId {
        let rng = &mut self.rng;
        let ghost = UserId(Uuid::from_u128(0xDEAD));
        match rng.random_range(0..20) {
            0 => ghost,
            1..12 => own_user(rng.random_range(0..ACTORS)),
            12..14 => own_user(self.actor),
            _ => world.user_named(USERNAMES.choose(rng).unwrap()).unwrap_or(ghost),
        }
    }

    fn key(&mut self, world: &World) -> KeyId {
        let user = self.target(world);
        let keys = by_name(world.keys.iter().filter(|(_, key)| key.user == user));
        keys.choose(&mut self.rng).copied().unwrap_or(KeyId(Uuid::from_u128(0xDEAD)))
    }

    fn roles(&mut self) -> Vec<&'static str> {
        let sets: [&[&str]; 6] = [
            &["reader"],
            &["writer", "writer"],
            &["reader", "writer"],
            &["reader"],
            &["admin"],
            &["admin", "reader"],
        ];
        sets.choose(&mut self.rng).unwrap().to_vec()
    }

    fn user_change(&mut self, chance: f64) -> UserChange {
        let name = self.some(0.3, |source| source.pick(&["Zoe", "Max"]).to_owned());
        let email = self.some(0.2, |source| source.pick(&["z@example.com", ""]).to_owned());
        UserChange {
            name,
            email: email.filter(|email| !email.is_empty()),
            roles: self.some(chance, Self::roles),
            enabled: self.some(chance, |source| source.rng.random_bool(0.5)),
            must_change: self.some(chance / 2.0, |source| source.rng.random_bool(0.3)),
        }
    }

    fn some<T>(&mut self, chance: f64, draw: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.rng.random_bool(chance).then(|| draw(self))
    }

    fn end(&mut self, now: u64) -> Option<u64> {
        self.some(0.25, |source| now + source.rng.random_range(1..8) * MINUTE + 1)
    }

    fn scope(&mut self) -> String {
        if self.rng.random_bool(0.35) { EVERYWHERE } else { self.pick(&WORKSPACES) }.to_owned()
    }

    fn ask(&mut self, world: &World, now: u64) -> Ask {
        match self.rng.random_range(0..100) {
            0..14 => {
                let homes: &[_] = if self.rng.random_bool(0.8) { &HOMES } else { &WORKSPACES };
                let workspace = self.pick(homes);
                let username = self.pick(&USERNAMES).to_owned();
                let change = UserChange { enabled: None, ..self.user_change(0.6) };
                Ask::CreateUser { workspace: workspace.to_owned(), username, change }
            }
            14..30 => {
                let user = self.target(world);
                let same = world.users.get(&user).map(|user| user.username.clone());
                let username = self.some(0.1, |_| same.unwrap_or_else(|| "other".to_owned()));
                let username = self.some(0.03, |_| "other".to_owned()).or(username);
                Ask::UpdateUser { user, username, change: self.user_change(0.35) }
            }
            30..38 => Ask::DisableUser(self.target(world)),
            38..48 => Ask::EnableUser(self.target(world)),
            48..55 => Ask::DeleteUser(self.target(world)),
            55..61 => Ask::ResetPassword(self.target(world)),
            61..70 => {
                self.keys += 1;
                let (user, name) =
                    (self.target(world), format!("key{}of{}", self.keys, self.actor));
                Ask::CreateKey { user, name, expires: self.end(now) }
            }
            70..76 => Ask::RevokeKey(self.key(world)),
            76..80 => Ask::CreateWorkspace { id: self.pick(&WORKSPACES).to_owned() },
            80..84 => {
                let id = self.pick(&WORKSPACES).to_owned();
                let name = self.some(0.4, |source| source.pick(&["One", "Two"]).to_owned());
                let enabled = self.some(0.6, |source| source.rng.random_bool(0.7));
                Ask::UpdateWorkspace { id, name, enabled }
            }
            84..86 => Ask::DisableWorkspace { id: self.pick(&WORKSPACES).to_owned() },
            86..94 => {
                let (user, what) = (self.target(world), self.pick(&GRANTABLE));
                let scope = if what == "admin" { EVERYWHERE.to_owned() } else { self.scope() };
                Ask::AddGrant { user, what, scope, expires: self.end(now) }
            }
            _ => self.remove_grant(world),
        }
    }

    /// Mostly something that is held.
    fn remove_grant(&mut self, world: &World) -> Ask {
        let user = self.target(world);
        let held: Vec<_> = world.grants.keys().filter(|name| name.user == user).collect();
        if let Some(name) = held.choose(&mut self.rng).filter(|_| self.rng.random_bool(0.85))
            && let Some(what) = GRANTABLE.iter().find(|what| **what == name.what)
        {
            return Ask::RemoveGrant { user, what, scope: name.scope.clone() };
        }
        Ask::RemoveGrant { user, what: self.pick(&GRANTABLE), scope: self.scope() }
    }

    /// Something that is wrong with it whatever the state, if that can be.
    fn fault(&mut self, ask: &Ask) -> Option<Fault> {
        let faults: &[Fault] = match ask {
            Ask::CreateUser { .. } | Ask::UpdateUser { .. } => {
                &[Fault::Missing, Fault::Unknown, Fault::Password]
            }
            Ask::CreateKey { .. } | Ask::AddGrant { .. } | Ask::CreateWorkspace { .. } => {
                &[Fault::Missing, Fault::Unknown]
            }
            Ask::RemoveGrant { .. }
            | Ask::RevokeKey(_)
            | Ask::DisableUser(_)
            | Ask::EnableUser(_)
            | Ask::DeleteUser(_)
            | Ask::ResetPassword(_) => &[Fault::Missing],
            Ask::UpdateWorkspace { .. } | Ask::DisableWorkspace { .. } => &[],
        };
        faults.choose(&mut self.rng).copied()
    }
}

/// In an order that does not hang on ids, which are drawn by IAM.
fn by_name<'a>(keys: impl Iterator<Item = (&'a KeyId, &'a Key)>) -> Vec<KeyId> {
    let mut keys: Vec<_> = keys.collect();
    keys.sort_by(|(_, one), (_, other)| one.name.cmp(&other.name));
    keys.into_iter().map(|(id, _)| *id).collect()
}

/// Whether the operation may name the home of its target.
fn home_is_asked(ask: &Ask) -> bool {
    match ask {
        Ask::UpdateUser { .. }
        | Ask::DisableUser(_)
        | Ask::EnableUser(_)
        | Ask::DeleteUser(_)
        | Ask::ResetPassword(_)
        | Ask::CreateKey { .. }
        | Ask::RevokeKey(_) => true,
        Ask::CreateUser { .. }
        | Ask::CreateWorkspace { .. }
        | Ask::UpdateWorkspace { .. }
        | Ask::DisableWorkspace { .. }
        | Ask::AddGrant { .. }
        | Ask::RemoveGrant { .. } => false,
    }
}
