//! What the model knows of a deployment: plain records in plain maps, without a table, an index
//! or a journal. `rules` says what may happen to it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::LazyLock;

use tollgate_proto::capability::Capability;
use tollgate_proto::iam::SignedSession;
use tollgate_proto::ids::{KeyId, KeyName, SessionId, UserId};
use uuid::Uuid;

/// Everything there is.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct World {
    pub(crate) users: BTreeMap<UserId, User>,
    pub(crate) keys: BTreeMap<KeyId, Key>,
    pub(crate) grants: BTreeMap<GrantName, Grant>,
    /// By id.
    pub(crate) workspaces: BTreeMap<String, Workspace>,
}

/// A user.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct User {
    pub(crate) username: String,
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) home: String,
    pub(crate) enabled: bool,
    pub(crate) suspended: bool,
    pub(crate) password: Password,
    pub(crate) must_change: bool,
    /// Sessions of another epoch are dead.
    pub(crate) epoch: u64,
}

/// Whose choice a password is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Password {
    None,
    Own,
    /// Somebody else knows or knew it.
    Given,
    /// Somebody else knows it, and it ends by itself.
    Temporary,
}

/// An API key.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Key {
    pub(crate) user: UserId,
    pub(crate) name: String,
    pub(crate) fate: Fate,
    pub(crate) expires: Option<u64>,
}

/// What became of a key, its expiry aside.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fate {
    Alive,
    /// Its owner's credentials were ended.
    Ended,
    Revoked,
}

/// A workspace.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Workspace {
    pub(crate) name: String,
    pub(crate) enabled: bool,
}

/// Who holds what, and where: a role or capability by its name, in a workspace or `*`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GrantName {
    pub(crate) user: UserId,
    pub(crate) what: String,
    pub(crate) scope: String,
}

/// The rest of a grant.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Grant {
    pub(crate) allows: Capabilities,
    pub(crate) expires: Option<u64>,
}

/// A set of capabilities, as bits in the order of the table.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Capabilities(u64);

/// The whole deployment, as a scope.
pub(crate) const EVERYWHERE: &str = "*";

impl Capabilities {
    pub(crate) fn one(capability: Capability) -> Self {
        Self(1 << Capability::ALL.iter().position(|one| *one == capability).unwrap())
    }

    /// What a role or capability allows, by its name.
    pub(crate) fn named(name: &str) -> Self {
        static ALL: LazyLock<HashMap<&str, Capabilities>> = LazyLock::new(|| {
            let names = Capability::ALL.iter().map(|one| one.as_str());
            let names = names.chain(["admin", "reader", "writer"]);
            names.map(|name| (name, Capabilities::listed(name))).collect()
        });
        ALL[name]
    }

    fn listed(name: &str) -> Self {
        let all = |keep: fn(&str) -> bool| {
            let kept = Capability::ALL.iter().filter(|one| keep(one.as_str()));
            kept.fold(Self::default(), |sum, one| sum.with(Self::one(*one)))
        };
        match name {
            "admin" => all(|_| true),
            "writer" => all(|one| !is_management(one)),
            "reader" => all(|one| !is_management(one) && !one.ends_with(":write")),
            capability => Self::one(capability.parse().unwrap()),
        }
    }

    pub(crate) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) fn within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }
}

/// What only the role `admin` has.
fn is_management(capability: &str) -> bool {
    let kind = capability.split(':').next().unwrap();
    matches!(kind, "users" | "workspaces" | "iam" | "metrics" | "mint-token")
        || matches!(capability, "keys:admin" | "config:write" | "flows:write")
}

impl User {
    pub(crate) fn is_live(&self) -> bool {
        self.enabled && !self.suspended
    }
}

impl GrantName {
    pub(crate) fn of(user: UserId, what: &str, scope: &str) -> Self {
        Self { user, what: what.to_owned(), scope: scope.to_owned() }
    }
}

impl Key {
    pub(crate) fn is_live(&self, now: u64) -> bool {
        self.fate == Fate::Alive && self.expires.is_none_or(|end| now < end)
    }
}

impl Grant {
    pub(crate) fn is_live(&self, now: u64) -> bool {
        self.expires.is_none_or(|end| now < end)
    }
}

impl World {
    pub(crate) fn give(&mut self, user: UserId, what: &str, scope: &str, expires: Option<u64>) {
        self.grants.insert(
            GrantName::of(user, what, scope),
            Grant { allows: Capabilities::named(what), expires },
        );
    }

    pub(crate) fn user_named(&self, username: &str) -> Option<UserId> {
        let mut users = self.users.iter();
        let found = users.find(|(_, user)| user.username.eq_ignore_ascii_case(username));
        found.map(|(id, _)| *id)
    }

    /// What somebody holds that has not expired: scope by scope.
    pub(crate) fn held(
        &self,
        user: UserId,
        now: u64,
    ) -> impl Iterator<Item = (&str, Capabilities)> {
        let of_user = self.grants.iter().filter(move |(name, _)| name.user == user);
        let live = of_user.filter(move |(_, grant)| grant.is_live(now));
        live.map(|(name, grant)| (name.scope.as_str(), grant.allows))
    }

    /// What somebody's grants allow in a scope. Those in a workspace that is disabled, or not
    /// there, allow nothing; those on the deployment care for no workspace.
    pub(crate) fn allowed(&self, user: UserId, scope: &str, now: u64) -> Capabilities {
        let in_use = self.is_usable(scope);
        let covering = self
            .held(user, now)
            .filter(|(held, _)| *held == EVERYWHERE || (*held == scope && in_use));
        covering.fold(Capabilities::default(), |sum, (_, allows)| sum.with(allows))
    }

    pub(crate) fn is_usable(&self, workspace: &str) -> bool {
        self.workspaces.get(workspace).is_some_and(|workspace| workspace.enabled)
    }

    /// Admins of the deployment for good, who can still come in for good.
    pub(crate) fn usable_admins(&self) -> usize {
        let users = self.users.iter().filter(|(id, user)| {
            let grant = self.grants.get(&GrantName::of(**id, "admin", EVERYWHERE));
            let is_admin = grant.is_some_and(|grant| grant.expires.is_none());
            let of_user = |key: &&Key| key.user == **id;
            let mut keys = self.keys.values().filter(of_user);
            let has_key = keys.any(|key| key.fate == Fate::Alive && key.expires.is_none());
            user.is_live() && is_admin && (has_key || user.password == Password::Own)
        });
        users.count()
    }

    /// What must be true of every world.
    pub(crate) fn check_invariants(&self) {
        assert!(self.usable_admins() > 0, "nobody can administer any more: {self:#?}");
        let usernames = self.users.values().map(|user| user.username.to_lowercase());
        assert_eq!(
            usernames.collect::<BTreeSet<_>>().len(),
            self.users.len(),
            "a username claimed twice: {self:#?}"
        );
        let ids = self.workspaces.keys().map(|id| id.to_lowercase());
        assert_eq!(
            ids.collect::<BTreeSet<_>>().len(),
            self.workspaces.len(),
            "a workspace id claimed twice: {self:#?}"
        );
    }
}

/// The session of whoever is asked about: of a session only its key and its end count, and those
/// are the same for all.
pub(crate) fn session() -> SignedSession {
    SignedSession { id: SessionId(Uuid::from_u128(1)), signed_by: KeyName::from_number(1) }
}
