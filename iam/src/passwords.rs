//! Passwords: hashing, in a small pool of its own, and the rules for new ones.
//!
//! In: a password as it came and what is kept of the right one. Out: whether they match, after
//! the same work for everybody. Never: a password in a log, or hashing on an async worker.
//!
//! The pool runs max(1, cores / 2) hashes at once; [`QUEUE`] more wait up to [`PATIENCE`], and
//! beyond that callers are refused, known and unknown alike.

pub mod rules;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use pbkdf2::{Algorithm, Params, pbkdf2_hmac_with_params};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::PasswordSettings;
use crate::draw::{self, DrawError};
use crate::record::PasswordHash;
use crate::refused::Refused;

/// How many wait for the pool at most.
pub const QUEUE: usize = 32;
/// How long they wait at most.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// The longest password that is hashed.
pub const MAX_LENGTH: usize = 1_024;

const ALGORITHM: &str = Algorithm::PBKDF2_SHA256_ID;
const SALT: usize = 16;
/// What stored parameters may be, wherever they come from.
const ROUNDS: std::ops::RangeInclusive<u32> = 100_000..=5_000_000;

/// The pool and the policy.
#[derive(Debug, Clone)]
pub struct Passwords {
    min_length: usize,
    params: Params,
    running: Arc<Semaphore>,
    places: Arc<Semaphore>,
    /// What the password of somebody who is not there is compared with.
    dummy: PasswordHash,
}

/// A place in the pool.
#[derive(Debug)]
pub struct Permit {
    _running: OwnedSemaphorePermit,
    _place: OwnedSemaphorePermit,
}

impl Passwords {
    /// A pool for this machine.
    pub fn new(settings: PasswordSettings) -> Result<Self, DrawError> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let threads = (cores / 2).max(1);
        // Settings are checked to be far above the least that this takes.
        let params = Params::new(settings.rounds).unwrap_or(Params::RECOMMENDED);
        let dummy = Stored { params, salt: draw::bytes()?, hash: draw::bytes()? };
        Ok(Self {
            min_length: settings.min_length,
            params,
            running: Arc::new(Semaphore::new(threads)),
            places: Arc::new(Semaphore::new(threads + QUEUE)),
            dummy: dummy.write(),
        })
    }

    /// Refuses a new password that breaks the policy. `names` are the account's own.
    pub fn check_new(&self, password: &SecretString, names: &[&str]) -> Result<(), Refused> {
        rules::check(password.expose_secret(), self.min_length, names)
            .map_err(|weakness| Refused::WeakPassword(weakness.to_string()))
    }

    /// Waits for a place in the pool.
    pub async fn permit(&self) -> Result<Permit, Refused> {
        let busy = || Refused::TooMany { retry_after: PATIENCE };
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| busy())?;
        let running = Arc::clone(&self.running).acquire_owned();
        match tokio::time::timeout(PATIENCE, running).await {
            Ok(Ok(running)) => Ok(Permit { _running: running, _place: place }),
            Ok(Err(_)) | Err(_) => Err(busy()),
        }
    }

    /// Whether the password is the one that is kept. With none kept, the work is the same and the
    /// answer no; likewise for a password that is too long to be hashed.
    pub async fn verify(
        &self,
        permit: Permit,
        password: SecretString,
        kept: Option<&PasswordHash>,
    ) -> Result<bool, Refused> {
        let known = kept.and_then(Stored::read);
        let dummy = Stored::read(&self.dummy).ok_or_else(|| Refused::internal("no dummy"))?;
        let usable = password.expose_secret().len() <= MAX_LENGTH;
        let password = if usable { password } else { SecretString::from("beyond the limit") };
        let real = known.is_some() && usable;
        let stored = known.unwrap_or(dummy);
        let same = blocking(permit, move || {
            let hash = derive(&password, &stored.salt, stored.params);
            bool::from(hash.ct_eq(&stored.hash))
        })
        .await?;
        Ok(same && real)
    }

    /// What is kept of a new password.
    pub async fn hash(
        &self,
        permit: Permit,
        password: SecretString,
    ) -> Result<PasswordHash, Refused> {
        let (salt, params) = (draw::bytes::<SALT>()?, self.params);
        blocking(permit, move || {
            let hash = derive(&password, &salt, params);
            Stored { params, salt, hash }.write()
        })
        .await
    }
}

/// Hashes on a thread that may block. The permit goes with the work: whoever stops waiting does
/// not free a place that is still in use.
async fn blocking<T: Send + 'static>(
    permit: Permit,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refused> {
    let task = tokio::task::spawn_blocking(move || {
        let done = work();
        drop(permit);
        done
    });
    task.await.map_err(Refused::internal)
}

/// Through the function that is not generic: that one is compiled with the crate's own
/// optimisation, in tests too.
fn derive(password: &SecretString, salt: &[u8], params: Params) -> [u8; 32] {
    let (password, mut hash) = (password.expose_secret().as_bytes(), [0; 32]);
    pbkdf2_hmac_with_params(password, salt, Algorithm::Pbkdf2Sha256, params, &mut hash);
    hash
}

/// What is kept of a password, taken apart.
struct Stored {
    params: Params,
    salt: [u8; SALT],
    hash: [u8; 32],
}

impl Stored {
    fn write(&self) -> PasswordHash {
        let (salt, hash) = (BASE64.encode(self.salt), BASE64.encode(self.hash));
        PasswordHash(format!("{ALGORITHM}${}${salt}${hash}", self.params.rounds()))
    }

    fn read(kept: &PasswordHash) -> Option<Self> {
        let mut parts = kept.0.split('$');
        let algorithm = parts.next()?;
        let rounds: u32 = parts.next()?.parse().ok()?;
        let salt = BASE64.decode(parts.next()?).ok()?.try_into().ok()?;
        let hash = BASE64.decode(parts.next()?).ok()?.try_into().ok()?;
        let whole = algorithm == ALGORITHM && ROUNDS.contains(&rounds) && parts.next().is_none();
        let params = Params::new(rounds).ok()?;
        whole.then_some(Self { params, salt, hash })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passwords() -> Passwords {
        Passwords::new(PasswordSettings { min_length: 15, rounds: 100_000 }).unwrap()
    }

    async fn verify(password: &str, kept: Option<&PasswordHash>) -> bool {
        let passwords = passwords();
        let permit = passwords.permit().await.unwrap();
        passwords.verify(permit, password.into(), kept).await.unwrap()
    }

    #[tokio::test]
    async fn a_password_matches_its_hash_and_nothing_else_does() {
        let passwords = passwords();
        let permit = passwords.permit().await.unwrap();
        let kept = passwords.hash(permit, "correct horse".into()).await.unwrap();
        assert!(kept.0.starts_with("pbkdf2-sha256$100000$"));
        assert!(!format!("{kept:?}").contains("pbkdf2"));
        assert!(verify("correct horse", Some(&kept)).await);
        assert!(!verify("correct horsf", Some(&kept)).await);
        assert!(!verify("correct horse", None).await);
        assert!(!verify(&"x".repeat(1_025), Some(&kept)).await);
    }

    #[tokio::test]
    async fn the_hash_is_the_one_that_others_compute() {
        // Python: hashlib.pbkdf2_hmac("sha256", b"correct horse", b"0123456789abcdef", 100000)
        let kept = "pbkdf2-sha256$100000$MDEyMzQ1Njc4OWFiY2RlZg==$WYEVV1ul0qBt7iGnOFpq5RmH0aOFvmOKTlUAgn9mWYM=";
        assert!(verify("correct horse", Some(&PasswordHash(kept.into()))).await);
    }

    #[tokio::test]
    async fn stored_parameters_beyond_the_bounds_match_nothing() {
        for kept in ["", "plain", "pbkdf2-sha256$1$AA==$AA==", "bcrypt$100000$AA==$AA=="] {
            assert!(!verify("x", Some(&PasswordHash(kept.into()))).await, "{kept}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_pool_refuses_at_once_and_a_long_wait_ends() {
        let passwords = passwords();
        let threads = passwords.running.available_permits();
        let mut held = Vec::new();
        for _ in 0..threads {
            held.push(passwords.permit().await.unwrap());
        }
        let waiting: Vec<_> = (0..QUEUE).map(|_| Box::pin(passwords.permit())).collect();
        let waiting = futures_util::future::join_all(waiting);
        tokio::pin!(waiting);
        assert!(futures_util::poll!(&mut waiting).is_pending());
        assert!(matches!(passwords.permit().await, Err(Refused::TooMany { .. })));
        for refused in waiting.await {
            assert!(matches!(refused, Err(Refused::TooMany { .. })));
        }
        drop(held);
        assert!(passwords.permit().await.is_ok());
    }
}
