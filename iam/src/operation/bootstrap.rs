//! The first admin: claimed once over the wire, or seeded once at the start.
//!
//! Bootstrapped is a flag in the state, never "a key exists". Everything that a deployment begins
//! with comes in the same entry.

use secrecy::{ExposeSecret, SecretString};
use tollgate_proto::iam::{Client, Manner};
use tollgate_proto::ids::{OperationId, UserId, WorkspaceId};
use tollgate_proto::key::{self, Shape};

use super::admin::Admin;
use super::{Answered, Context, Request, answer, propose};
use crate::commit::Decided;
use crate::config::BootstrapMode;
use crate::draw;
use crate::hash::Hash;
use crate::policy;
use crate::record::{Change, Outcome, SigningState, Workspace};
use crate::refused::Refused;
use crate::state::{self, Read};

/// How long mode `bootstrap` is open after the start, in milliseconds.
const OPEN_MS: u64 = 3_600_000;
/// The shortest token that an operator may choose.
pub const MIN_TOKEN: usize = 32;

/// Whether a fresh deployment waits to be claimed.
pub fn is_available(context: &Context) -> Result<bool, Refused> {
    let open = match context.mode {
        BootstrapMode::Token => false,
        BootstrapMode::Bootstrap => context.clock.now_ms() < context.started_ms + OPEN_MS,
    };
    Ok(open && is_unclaimed(context)?)
}

/// Whether there is no admin yet.
pub fn is_unclaimed(context: &Context) -> Result<bool, Refused> {
    Ok(state::deployment(&context.state.view()?)?.claimed_ms.is_none())
}

/// Claims a fresh deployment and discloses its first key.
pub(super) async fn claim(context: &Context, request: &Request) -> Result<Answered, Refused> {
    if !is_available(context)? {
        return Err(Refused::Unauthenticated("there is nothing to claim"));
    }
    let plaintext = draw::api_key()?;
    let first = First::prepare(context, &plaintext, Origin::Claimed, request.now_ms)?;
    let admin = first.user;
    let proposed = propose(context, request, "bootstrap", move |state| first.decide(state)).await?;
    let mut answered = answer(context, request, proposed)?;
    // Once in the life of a deployment, and worth a look whoever it was.
    tracing::warn!(user = %admin, "the deployment was claimed");
    answered.reply.bootstrap_admin_user_id = Some(admin.to_string());
    answered.reply.bootstrap_admin_api_key = Some(plaintext.expose_secret().to_owned().into());
    Ok(answered)
}

/// Every way not to get in by bootstrap looks like any other.
pub(super) fn masked(refused: Refused) -> Refused {
    match refused {
        Refused::Internal(_)
        | Refused::Unavailable(_)
        | Refused::TooMany { .. }
        | Refused::Unauthenticated(_) => refused,
        Refused::Invalid(_)
        | Refused::NotFound(_)
        | Refused::Duplicate(_)
        | Refused::Denied(_)
        | Refused::NotPermitted(_)
        | Refused::WeakPassword(_)
        | Refused::NotSupported(_) => Refused::Unauthenticated("the deployment is claimed"),
    }
}

/// Seeds a fresh deployment with a key that the operator chose.
pub async fn seed(context: &Context, token: &SecretString) -> Result<(), Refused> {
    let request = Request {
        id: OperationId(draw::uuid()?),
        client: Client::default(),
        actor: None,
        now_ms: context.clock.now_ms(),
        manner: Manner::Usual,
    };
    let first = First::prepare(context, token, Origin::Seeded, request.now_ms)?;
    propose(context, &request, "seed", move |state| first.decide(state)).await.map(drop)
}

/// Whether a token is good enough to be somebody's key, and can be shown as one.
pub fn is_strong_token(token: &str) -> bool {
    let usable = match key::shape(token) {
        Shape::Current | Shape::Legacy | Shape::Other => true,
        Shape::Broken | Shape::NotAKey => false,
    };
    usable && token.len() >= MIN_TOKEN && token.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether the operator's token still opens anything: it should not, for long.
pub fn is_token_alive(context: &Context, token: &SecretString) -> Result<bool, Refused> {
    let view = context.state.view()?;
    let hash = Hash::of(token.expose_secret().as_bytes());
    let Some(key) = state::key_by_hash(&view, &hash)? else { return Ok(false) };
    let owner = state::user(&view, key.user)?;
    let now_ms = context.clock.now_ms();
    Ok(owner.is_some_and(|owner| owner.enabled && policy::is_key_live(&key, &owner, now_ms)))
}

/// Where the first key comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// Drawn, and disclosed once.
    Claimed,
    /// Chosen by the operator.
    Seeded,
}

/// What a deployment begins with.
struct First {
    user: UserId,
    workspace: Workspace,
    changes: Vec<Change>,
    at_ms: u64,
}

impl First {
    fn prepare(
        context: &Context,
        plaintext: &SecretString,
        origin: Origin,
        at_ms: u64,
    ) -> Result<Self, Refused> {
        let workspace = Workspace {
            id: WorkspaceId::default_workspace(),
            name: "Default".to_owned(),
            enabled: true,
            created_ms: at_ms,
        };
        let mut admin = Admin::new("admin".to_owned(), "bootstrap", plaintext, at_ms)?;
        admin.key.bootstrap = origin == Origin::Seeded;
        // Active at once: nobody keeps public keys of a deployment that has none yet.
        let signing_key =
            context.tokens.make_key(context.signing_key.as_ref(), SigningState::Active, at_ms)?;
        let user = admin.user.id;
        let mut changes = admin.changes().to_vec();
        changes.push(Change::AddSigningKey(signing_key));
        Ok(Self { user, workspace, changes, at_ms })
    }

    fn decide(&self, state: &dyn Read) -> Result<Decided, Refused> {
        let allowed = policy::allow_claim(&state::deployment(state)?)?;
        let claim =
            [Change::Claim { at_ms: self.at_ms }, Change::AddWorkspace(self.workspace.clone())];
        let changes = claim.into_iter().chain(self.changes.iter().cloned()).collect();
        Ok(Decided { allowed, changes, outcome: Outcome::Secret })
    }
}
