//! A hundred rotations under load: no valid token is refused, none outlives its key's grace, and
//! no key signs before it was published for ten seconds.
//!
//! `TOLLGATE_ROTATIONS` sets how many. The clock is the test's: each rotation takes ninety
//! seconds of it, so the first keys pass through all of their lives.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::DecodePrivateKey;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tollgate_proto::jwt::{self, Claims, KeyName, TokenKind};
use tollgate_runtime::clock::Clock;
use tollgate_runtime::files::write_new_secret;

use super::harness::{Iam, Person};

/// How many issue tokens and use them, all the time.
const LOAD: usize = 2;
const LEEWAY_MS: u64 = 5_000;
const GRACE_MS: u64 = 7_200_000;
const TOKEN_LIFE_S: u64 = 3_600;
const LEAST_PUBLISHED_MS: u64 = 10_000;
/// What a rotation takes of the test's clock.
const STEP_S: u64 = 90;

/// What `openssl genpkey -algorithm ed25519` wrote for this test: the first key is known here, so
/// that it can sign after its time.
const FIRST_KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIFVzG7gLaL7eNqMSjaSDo2iTsbgkWkYG34V3tF7BpMZb
-----END PRIVATE KEY-----";

/// A token that IAM issued.
struct Issued {
    token: String,
    kid: String,
    claims: Claims,
}

async fn issue(iam: &Iam, admin: &Person) -> Issued {
    let mint = json!({"operation": "mint-token", "workspace": "default"});
    let reply = iam.operate(Some(admin.actor()), mint).await.unwrap();
    let token = reply.jwt.unwrap().expose().to_owned();
    let part = |n: usize| BASE64.decode(token.split('.').nth(n).unwrap()).unwrap();
    let header: Value = serde_json::from_slice(&part(0)).unwrap();
    let claims = serde_json::from_slice(&part(1)).unwrap();
    Issued { kid: header["kid"].as_str().unwrap().to_owned(), claims, token }
}

/// Issues tokens and uses each at once, until told to stop.
async fn load(iam: Arc<Iam>, admin: Arc<Person>, stop: Arc<AtomicBool>) -> Vec<Issued> {
    let mut all = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let issued = issue(&iam, &admin).await;
        iam.authenticate(&issued.token).await.expect("a token that was just issued");
        all.push(issued);
    }
    all
}

/// When keys were published, and when the first one was retired at the latest.
#[derive(Default)]
struct History {
    published_ms: HashMap<String, u64>,
    first_retired_ms: Option<u64>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotations_under_load_refuse_no_valid_token_and_accept_no_dead_one() {
    let _alone = super::alone().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("first.key");
    write_new_secret(&path, FIRST_KEY).unwrap();
    let file = path.display().to_string();
    let iam = Iam::with(Arc::new(folder), &[("iam.signing_key_file", &file)]).await;
    let admin = Arc::new(iam.claim().await);
    let iam = Arc::new(iam);
    let first = issue(&iam, &admin).await;

    let stop = Arc::new(AtomicBool::new(false));
    let mut tasks = JoinSet::new();
    for _ in 0..LOAD {
        tasks.spawn(load(Arc::clone(&iam), Arc::clone(&admin), Arc::clone(&stop)));
    }
    let mut history = History::default();
    let mut kept = Vec::new();
    for _ in 0..rotations() {
        rotate(&iam, &admin, &mut history).await;
        kept.push(issue(&iam, &admin).await);
        iam.clock.advance(Duration::from_millis(LEAST_PUBLISHED_MS - 1));
        kept.push(issue(&iam, &admin).await);
        iam.clock.advance(Duration::from_millis(STEP_S * 1_000 - LEAST_PUBLISHED_MS + 1));
        check_kept(&iam, &kept).await;
        check_first(&iam, &first, &history).await;
    }
    stop.store(true, Ordering::Relaxed);
    let used = tasks.join_all().await.into_iter().flatten().chain(kept);
    let mut signed_by: HashMap<String, usize> = HashMap::new();
    for issued in used {
        *signed_by.entry(issued.kid.clone()).or_default() += 1;
        if let Some(published_ms) = history.published_ms.get(&issued.kid) {
            let age_ms = (issued.claims.iat + 1) * 1_000 - published_ms;
            assert!(age_ms > LEAST_PUBLISHED_MS, "{} signs after {age_ms} ms", issued.kid);
        } else {
            assert_eq!(issued.kid, first.kid);
        }
    }
    // All but the last one, whose time may not have come.
    assert!(signed_by.len() >= history.published_ms.len(), "{signed_by:?}");
}

/// Publishes the next key. The one before it signs by then.
async fn rotate(iam: &Iam, admin: &Person, history: &mut History) {
    let rotate = json!({"operation": "rotate-signing-key"});
    let reply = iam.operate(Some(admin.actor()), rotate).await.unwrap();
    let now_ms = iam.clock.now_ms();
    let is_new = history.published_ms.insert(reply.signing_key_id.unwrap(), now_ms).is_none();
    assert!(is_new, "every rotation has a key of its own");
    if history.published_ms.len() == 2 {
        history.first_retired_ms = Some(now_ms);
    }
}

/// Tokens in force are accepted, whichever key they are of: those that are new, and those that
/// will have expired at the next look.
async fn check_kept(iam: &Iam, kept: &[Issued]) {
    let now_s = iam.clock.now_ms() / 1_000;
    let is_new = |issued: &Issued| now_s < issued.claims.iat + 2 * STEP_S;
    let is_old = |issued: &Issued| (now_s..=now_s + STEP_S).contains(&issued.claims.exp);
    for issued in kept.iter().filter(|issued| is_new(issued) || is_old(issued)) {
        let accepted = iam.authenticate(&issued.token).await;
        assert!(accepted.is_ok(), "a token of {} with {:?}", issued.kid, issued.claims);
    }
}

/// Fresh tokens of the first key, as somebody would make them who has it: good as long as the key
/// is, and not a moment after its grace and leeway.
async fn check_first(iam: &Iam, first: &Issued, history: &History) {
    let now_ms = iam.clock.now_ms();
    let iat = now_ms / 1_000;
    let claims = Claims { iat, nbf: iat, exp: iat + TOKEN_LIFE_S, ..first.claims.clone() };
    let key = SigningKey::from_pkcs8_pem(FIRST_KEY).unwrap();
    let token = jwt::sign(TokenKind::Minted, KeyName::parse(&first.kid).unwrap(), &key, &claims);
    let accepted = iam.authenticate(&token).await.is_ok();
    // It was retired in the step before the second rotation, at whatever moment.
    match history.first_retired_ms {
        Some(retired_ms) if now_ms > retired_ms + GRACE_MS + LEEWAY_MS => assert!(!accepted),
        Some(retired_ms) if now_ms + STEP_S * 1_000 > retired_ms + GRACE_MS => {}
        Some(_) | None => assert!(accepted),
    }
}

#[expect(clippy::disallowed_methods, reason = "a test has no other configuration")]
fn rotations() -> u32 {
    std::env::var("TOLLGATE_ROTATIONS").map_or(100, |rotations| rotations.parse().unwrap())
}
