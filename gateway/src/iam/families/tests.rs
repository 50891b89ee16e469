use std::sync::atomic::Ordering;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use tollgate_proto::iam::{Client, Credential, Moved, SignedSession};
use tollgate_proto::ids::{Seq, SessionId};
use tollgate_proto::jwt::{self, Jwk, SigningKey, TokenKind};
use uuid::Uuid;

use super::*;
use crate::iam::cache::Known;
use crate::iam::table::{self, NOW_MS, TableIam, hear, identity, tell};
use crate::iam::{NotAuthenticated, Questions};

const LEASE: Duration = Duration::from_secs(5);
const NOW: u64 = NOW_MS / 1_000;
/// Where the feed begins, and where IAM answers.
const BEGUN: u64 = 10;

fn kid() -> KeyName {
    KeyName::from_number(0xfeed)
}

fn private(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn minter() -> Minter {
    Minter { sub: UserId(Uuid::from_u128(99)), ae: 4 }
}

fn claims(session: u128) -> Claims {
    Claims {
        iss: "tollgate-iam".into(),
        aud: JournalId(Uuid::nil()),
        sub: identity("ann").actor.user,
        default_workspace: "home".parse().unwrap(),
        iat: NOW,
        nbf: NOW,
        exp: NOW + 3_600,
        jti: SessionId(Uuid::from_u128(session)),
        ae: 1,
        seq: Some(Seq(BEGUN)),
        user_context: None,
        act: None,
    }
}

fn sign(claims: &Claims) -> String {
    let kind = if claims.act.is_some() { TokenKind::Minted } else { TokenKind::Session };
    jwt::sign(kind, kid(), &private(7), claims)
}

/// What IAM says about a token.
fn meant(claims: &Claims) -> Identity {
    let session = SignedSession { id: claims.jti, signed_by: kid() };
    let credential = match claims.act {
        None => Credential::Session(session),
        Some(Minter { sub: by, ae: epoch }) => Credential::Minted { session, by, epoch },
    };
    Identity {
        actor: Actor { user: claims.sub, credential, auth_epoch: claims.ae },
        authz_epoch: 3,
        default_workspace: claims.default_workspace.clone(),
        expires_at_ms: Some(claims.exp * 1_000),
        user_context: claims.user_context.clone(),
    }
}

/// An IAM that knows one token of ann's and no other, and a gateway that has shown it.
struct World {
    iam: Arc<TableIam>,
    questions: Questions,
}

impl World {
    async fn after(first: &Claims) -> Self {
        Self::of(&sign(first), meant(first)).await
    }

    async fn of(first: &str, said: Identity) -> Self {
        let mut iam = TableIam::knowing(&[(first, said)]);
        iam.keys = vec![Jwk::of(kid(), private(7).verifying_key().as_bytes())];
        iam.seq.store(BEGUN, Ordering::SeqCst);
        let iam = Arc::new(iam);
        let questions = table::unheard(iam.clone(), LEASE);
        hear(&questions, BEGUN, true);
        let world = Self { iam, questions };
        assert!(world.show(first).await.is_ok());
        world
    }

    async fn show(&self, token: &str) -> Result<Known, NotAuthenticated> {
        self.questions.authenticate(&token.into(), &Client::default()).await
    }

    /// What the gateway says by itself. IAM, if it is asked, says no.
    async fn judges(&self, token: &str) -> Option<Known> {
        let before = self.iam.asked.load(Ordering::SeqCst);
        let shown = self.show(token).await;
        let asked = self.iam.asked.load(Ordering::SeqCst) - before;
        assert_eq!(
            asked,
            usize::from(shown.is_err()),
            "a yes without a question, or a no with one"
        );
        shown.ok()
    }
}

#[tokio::test(start_paused = true)]
async fn another_token_of_the_family_needs_no_question() {
    let context = |text: &str| Some(text.to_owned());
    let minted = |session| Claims { act: Some(minter()), ..claims(session) };
    for (first, other) in [
        (claims(1), claims(2)),
        (claims(1), Claims { iat: NOW - 60, nbf: NOW - 60, exp: NOW + 60, ..claims(2) }),
        (minted(1), minted(2)),
        (minted(1), Claims { user_context: context(r#"{"a": 1}"#), ..minted(2) }),
    ] {
        let world = World::after(&first).await;
        let token = sign(&other);
        for _ in 0..2 {
            let known = world.judges(&token).await.expect("a yes");
            assert_eq!((&*known.identity, known.said.seq), (&meant(&other), Seq(BEGUN)));
        }
        assert_eq!(world.iam.keys_read.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_differs_in_more_is_iams_to_judge() {
    let ann = claims(2);
    let other = |change: fn(&mut Claims)| {
        let mut claims = claims(2);
        change(&mut claims);
        claims
    };
    for claims in [
        other(|c| c.sub = UserId(Uuid::from_u128(5))),
        other(|c| c.ae = 2),
        other(|c| c.ae = 0),
        other(|c| c.act = Some(minter())),
        other(|c| c.default_workspace = "other".parse().unwrap()),
        other(|c| c.iss = "somebody".into()),
        other(|c| c.aud = JournalId(Uuid::from_u128(8))),
        // Times, by a clock that may differ from IAM's.
        other(|c| c.exp = NOW + LEEWAY - 1),
        other(|c| c.exp = NOW - 1),
        other(|c| (c.iat, c.exp) = (NOW + 1, NOW + 3_600)),
        other(|c| c.nbf = NOW + 1),
        other(|c| c.exp = NOW + 3_601),
        // Opened before the feed began, or nobody knows when.
        other(|c| c.seq = Some(Seq(BEGUN - 1))),
        other(|c| c.seq = None),
    ] {
        let world = World::after(&self::claims(1)).await;
        assert!(world.judges(&sign(&claims)).await.is_none(), "{claims:?}");
        assert!(world.judges(&sign(&ann)).await.is_some(), "the others are not concerned");
    }
    let edge = World::after(&claims(1)).await;
    assert!(edge.judges(&sign(&other(|c| c.exp = NOW + LEEWAY))).await.is_some());

    let minted = |by| Claims { act: Some(by), ..claims(2) };
    let world = World::after(&minted(minter())).await;
    for by in [Minter { ae: 5, ..minter() }, Minter { sub: claims(1).sub, ..minter() }] {
        assert!(world.judges(&sign(&minted(by))).await.is_none());
    }
    assert!(world.judges(&sign(&ann)).await.is_none(), "a login is not what was minted");
}

#[tokio::test(start_paused = true)]
async fn no_forgery_becomes_a_yes() {
    let world = World::after(&claims(1)).await;
    let good = sign(&claims(2));
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let (header, payload) = signed.split_once('.').unwrap();
    let with_header = |text: &str| format!("{}.{payload}.{signature}", BASE64.encode(text));
    let kid = kid();
    let other = BASE64.encode(serde_json::to_vec(&Claims { exp: NOW + 99, ..claims(2) }).unwrap());
    for forged in [
        format!("{signed}."),
        format!("{signed}.{}", BASE64.encode([0; 64])),
        format!("{header}.{other}.{signature}"),
        jwt::sign(TokenKind::Session, kid, &private(8), &claims(2)),
        jwt::sign(TokenKind::Session, KeyName::from_number(0xbeef), &private(7), &claims(2)),
        jwt::sign(TokenKind::Minted, kid, &private(7), &claims(2)),
        with_header(&format!(r#"{{"alg":"none","typ":"tollgate-session+jwt","kid":"{kid}"}}"#)),
        with_header(&format!(r#"{{"alg":"HS256","typ":"tollgate-session+jwt","kid":"{kid}"}}"#)),
        with_header(&format!(r#"{{"alg":"EdDSA","typ":"JWT","kid":"{kid}"}}"#)),
        with_header(r#"{"alg":"EdDSA","typ":"tollgate-session+jwt"}"#),
        format!("{good}="),
        format!("{good}.x"),
    ] {
        assert!(world.judges(&forged).await.is_none(), "{forged}");
    }
    assert!(world.judges(&good).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn nothing_follows_from_what_has_moved_since() {
    let minted = |session| Claims { act: Some(minter()), ..claims(session) };
    let (ann, epoch) = (claims(1).sub, Some(2));
    for (moved, ends) in [
        (Moved::UserAuth { id: ann, epoch }, true),
        (Moved::UserAuth { id: ann, epoch: None }, true),
        (Moved::UserAuthz { id: ann, epoch }, true),
        (Moved::UserAuth { id: minter().sub, epoch }, true),
        (Moved::SigningKey { id: kid() }, true),
        (Moved::Workspace { id: "home".parse().unwrap(), disabled: true }, true),
        (Moved::Session { id: claims(2).jti, user: Some(ann) }, true),
        (Moved::Deployment {}, true),
        (Moved::Session { id: claims(3).jti, user: Some(ann) }, false),
        (Moved::SigningKey { id: KeyName::from_number(1) }, false),
        (Moved::UserAuth { id: UserId(Uuid::from_u128(5)), epoch }, false),
    ] {
        // Whether it has been shown before or not.
        for shown in [false, true] {
            let world = World::after(&minted(1)).await;
            let token = sign(&minted(2));
            assert!(!shown || world.judges(&token).await.is_some());
            tell(&world.questions, BEGUN + 1, moved.clone());
            assert_eq!(world.judges(&token).await.is_none(), ends, "{moved:?}, shown: {shown}");
        }
    }
}

/// IAM judged the family on a state in which the other session had ended already: what it said
/// then says nothing about that one, though it is newer.
#[tokio::test(start_paused = true)]
async fn a_session_that_ended_before_its_family_was_judged_has_ended() {
    let ended = |world: &World, seq| {
        let moved = Moved::Session { id: claims(2).jti, user: None };
        tell(&world.questions, seq, moved);
    };
    let late = async || {
        let mut iam = TableIam::knowing(&[(&sign(&claims(1)), meant(&claims(1)))]);
        iam.keys = vec![Jwk::of(kid(), private(7).verifying_key().as_bytes())];
        iam.seq.store(BEGUN + 5, Ordering::SeqCst);
        let iam = Arc::new(iam);
        let questions = table::unheard(iam.clone(), LEASE);
        hear(&questions, BEGUN, true);
        World { iam, questions }
    };
    // The news came before the answer.
    let world = late().await;
    ended(&world, BEGUN + 3);
    world.show(&sign(&claims(1))).await.unwrap();
    assert!(world.judges(&sign(&claims(2))).await.is_none());
    // And behind it: the session was taken, and is not any more.
    let world = late().await;
    world.show(&sign(&claims(1))).await.unwrap();
    let known = world.judges(&sign(&claims(2))).await.expect("nothing was heard");
    assert_eq!(known.said.seq, Seq(BEGUN), "no later than what was heard");
    ended(&world, BEGUN + 3);
    assert!(world.judges(&sign(&claims(2))).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_family_lives_for_the_lease_and_its_tokens_no_longer() {
    let world = World::after(&claims(1)).await;
    tokio::time::advance(LEASE.checked_sub(Duration::from_millis(1)).unwrap()).await;
    hear(&world.questions, BEGUN, false);
    assert!(world.judges(&sign(&claims(2))).await.is_some());
    tokio::time::advance(Duration::from_millis(1)).await;
    assert!(world.judges(&sign(&claims(2))).await.is_none(), "it was judged by the family");
    assert!(world.judges(&sign(&claims(3))).await.is_none());
    world.show(&sign(&claims(1))).await.unwrap();
    assert!(world.judges(&sign(&claims(3))).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn without_the_feed_nothing_is_judged_here() {
    let world = World::after(&claims(1)).await;
    let token = sign(&claims(2));
    assert!(world.judges(&token).await.is_some());
    // Nobody told of anything for the lease, while the family would live on.
    tokio::time::advance(LEASE / 2).await;
    tell(&world.questions, BEGUN + 1, Moved::Deployment {});
    world.iam.seq.store(BEGUN + 1, Ordering::SeqCst);
    tokio::time::advance(LEASE / 2 + Duration::from_secs(1)).await;
    world.show(&sign(&claims(1))).await.unwrap();
    tokio::time::advance(LEASE / 2).await;
    assert!(world.judges(&token).await.is_none());
    *world.iam.away.lock().unwrap() = true;
    assert!(matches!(world.show(&token).await, Err(NotAuthenticated::Unreachable(_))));
    // A feed that begins anew vouches for what is opened from then on.
    *world.iam.away.lock().unwrap() = false;
    world.iam.seq.store(BEGUN + 2, Ordering::SeqCst);
    hear(&world.questions, BEGUN + 2, true);
    world.show(&sign(&claims(1))).await.unwrap();
    assert!(world.judges(&token).await.is_none());
    let new = Claims { seq: Some(Seq(BEGUN + 2)), ..claims(3) };
    assert!(world.judges(&sign(&new)).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_learnt_from_a_token_that_iam_reads_in_another_way() {
    let first = claims(1);
    let said = Identity { default_workspace: "other".parse().unwrap(), ..meant(&first) };
    let world = World::of(&sign(&first), said).await;
    assert!(world.judges(&sign(&claims(2))).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn whoever_has_ended_takes_the_family_along() {
    let world = World::after(&claims(1)).await;
    world.questions.forget(&meant(&claims(2)).actor);
    assert!(world.judges(&sign(&claims(3))).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn keys_are_read_when_they_are_missed_and_not_too_often() {
    let world = World::after(&claims(1)).await;
    *world.iam.away.lock().unwrap() = true;
    for _ in 0..3 {
        let shown = world.show(&sign(&claims(2))).await;
        assert!(matches!(shown, Err(NotAuthenticated::Unreachable(_))));
    }
    assert_eq!(world.iam.keys_read.load(Ordering::SeqCst), 1);
    *world.iam.away.lock().unwrap() = false;
    tokio::time::advance(LEASE).await;
    hear(&world.questions, BEGUN, false);
    world.show(&sign(&claims(1))).await.unwrap();
    assert!(world.judges(&sign(&claims(2))).await.is_some());
    assert_eq!(world.iam.keys_read.load(Ordering::SeqCst), 2);
}
