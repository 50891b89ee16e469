//! Signing keys: rotated and revoked by admins, and let sign when their time has come.
//!
//! A rotation publishes the next key at once. It signs when everybody who keeps the public keys
//! has it, and the one before it then verifies for as long as its tokens may live. A key that got
//! into wrong hands is revoked: nothing that it signed is accepted from then on.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tollgate_proto::iam::{Client, Manner};
use tollgate_proto::ids::OperationId;
use tollgate_proto::jwt::{KeyName, LEEWAY};

use super::{Answered, Context, Request, caller, decide_and_commit, propose};
use crate::commit::Decided;
use crate::hash::Hash;
use crate::policy::{self, Action};
use crate::record::{Change, Outcome, SigningKey, SigningState};
use crate::refused::Refused;
use crate::state::{self, Read, StateError};

/// How long a key is published before it signs: ten seconds for whoever keeps the public keys,
/// and what clocks may differ.
const PUBLISHED_MS: u64 = (10 + LEEWAY) * 1_000;
/// How often a process looks whether a key is due.
const PERIOD: Duration = Duration::from_secs(1);

/// Publishes the next key, unless one is published already; or revokes a key.
pub(super) async fn rotate(
    context: &Context,
    request: &Request,
    revoke: Option<String>,
) -> Result<Answered, Refused> {
    let live = caller::live(&context.state.view()?, request)?;
    policy::allow(&live, &Action::RotateSigningKey)?;
    let read = |name: String| {
        KeyName::parse(&name)
            .ok_or_else(|| Refused::Invalid("revoke must be 16 digits of 0-9a-f".to_owned()))
    };
    let rotation = Rotation {
        request: request.clone(),
        revoke: revoke.map(read).transpose()?,
        new: context.tokens.make_key(None, SigningState::Next, request.now_ms)?,
    };
    let decide = move |state: &dyn Read| rotation.decide(state);
    decide_and_commit(context, request, "rotate-signing-key", decide).await
}

/// Looks, until the process stops, for a key whose time to sign has come.
pub async fn keep(context: Arc<Context>, stop: CancellationToken) {
    while tokio::time::timeout(PERIOD, stop.cancelled()).await.is_err() {
        if let Err(error) = promote_due(&context).await {
            let cause = &error as &dyn std::error::Error;
            tracing::warn!(error = cause, "the next signing key does not sign yet");
        }
    }
}

/// Lets the next key sign, if it is due. The operation's id follows from the key, so that it
/// happens once however many processes see it.
async fn promote_due(context: &Context) -> Result<(), Refused> {
    let now_ms = context.clock.now_ms();
    let due = Keys::read(&context.state.view()?)?.due(now_ms).map(|key| key.name);
    let Some(name) = due else { return Ok(()) };
    let id = Hash::of(format!("the signing key {name} signs").as_bytes());
    let request = Request {
        id: OperationId(uuid::Builder::from_custom_bytes(id.front()).into_uuid()),
        client: Client::default(),
        actor: None,
        now_ms,
        manner: Manner::Usual,
    };
    let promote = move |state: &dyn Read| {
        let keys = Keys::read(state)?;
        let changes = keys.due(now_ms).map(|key| keys.promote(key, now_ms)).unwrap_or_default();
        Ok(Decided { allowed: policy::allow_upkeep(), changes, outcome: Outcome::Done })
    };
    propose(context, &request, "promote-signing-key", promote).await.map(drop)
}

/// A rotation, ready to be decided on.
struct Rotation {
    request: Request,
    revoke: Option<KeyName>,
    /// Added if a key is needed.
    new: SigningKey,
}

impl Rotation {
    fn decide(&self, state: &dyn Read) -> Result<Decided, Refused> {
        let live = caller::live(state, &self.request)?;
        let allowed = policy::allow(&live, &Action::RotateSigningKey)?;
        let keys = Keys::read(state)?;
        let (changes, name) = match self.revoke {
            None => self.publish(&keys),
            Some(name) => self.revoke(&keys, name)?,
        };
        Ok(Decided { allowed, changes, outcome: Outcome::SigningKey(name) })
    }

    /// The next key. One that waits for its time is that already: of two rotations at the same
    /// time, the second is answered with the key of the first.
    fn publish(&self, keys: &Keys) -> (Vec<Change>, KeyName) {
        let due = keys.due(self.request.now_ms);
        if let Some(next) = keys.next().filter(|_| due.is_none()) {
            return (Vec::new(), next.name);
        }
        let mut changes = due.map(|key| keys.promote(key, self.request.now_ms)).unwrap_or_default();
        changes.push(Change::AddSigningKey(self.new.clone()));
        (changes, self.new.name)
    }

    /// Ends a key at once. If it was the one that signs, another one does from now on, published
    /// long enough or not.
    fn revoke(&self, keys: &Keys, name: KeyName) -> Result<(Vec<Change>, KeyName), Refused> {
        let key = keys.named(name).ok_or(Refused::NotFound("signing key not found"))?;
        let mut changes = match key.state {
            SigningState::Revoked => Vec::new(),
            SigningState::Next | SigningState::Active | SigningState::Retired(_) => {
                vec![Change::MoveSigningKey { key: name, to: SigningState::Revoked }]
            }
        };
        let signs = match (keys.active().filter(|active| active.name != name), keys.next()) {
            (Some(active), _) => active.name,
            (None, Some(next)) => {
                let to = SigningState::Active;
                changes.push(Change::MoveSigningKey { key: next.name, to });
                next.name
            }
            (None, None) => {
                let new = SigningKey { state: SigningState::Active, ..self.new.clone() };
                changes.push(Change::AddSigningKey(new));
                self.new.name
            }
        };
        Ok((changes, signs))
    }
}

/// The signing keys of a state.
struct Keys(Vec<SigningKey>);

impl Keys {
    fn read(state: &dyn Read) -> Result<Self, StateError> {
        state::signing_keys(state).map(Self)
    }

    fn active(&self) -> Option<&SigningKey> {
        self.0.iter().find(|key| key.state == SigningState::Active)
    }

    fn next(&self) -> Option<&SigningKey> {
        self.0.iter().find(|key| key.state == SigningState::Next)
    }

    fn named(&self, name: KeyName) -> Option<&SigningKey> {
        self.0.iter().find(|key| key.name == name)
    }

    /// The next key, if its time has come.
    fn due(&self, now_ms: u64) -> Option<&SigningKey> {
        self.next().filter(|key| key.created_ms.saturating_add(PUBLISHED_MS) <= now_ms)
    }

    /// What makes a key the one that signs.
    fn promote(&self, key: &SigningKey, now_ms: u64) -> Vec<Change> {
        let retire = self.active().map(|active| {
            let to = SigningState::Retired(now_ms);
            Change::MoveSigningKey { key: active.name, to }
        });
        let sign = Change::MoveSigningKey { key: key.name, to: SigningState::Active };
        retire.into_iter().chain([sign]).collect()
    }
}
