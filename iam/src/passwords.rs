//! Passwords: hashing, in a small pool of its own, and the rules for new ones.
//!
//! In: a password as it came and what is kept of the right one. Out: whether they match, after
//! the same work for everybody. Never: a password in a log, or hashing on an async worker.

pub mod pool;
pub mod rules;

use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use pbkdf2::{Algorithm, Params, pbkdf2_hmac_with_params};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use crate::config::PasswordSettings;
use crate::draw::{self, DrawError};
use crate::record::PasswordHash;
use crate::refused::Refused;
pub use pool::{Permit, Pool};

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
    pool: Pool,
    /// What the password of somebody who is not there is compared with.
    dummy: PasswordHash,
}

impl Passwords {
    /// The policy of the settings, and where to hash.
    pub fn new(settings: PasswordSettings, pool: Pool) -> Result<Self, DrawError> {
        // Settings are checked to be far above the least that this takes.
        let params = Params::new(settings.rounds).unwrap_or(Params::RECOMMENDED);
        let dummy = Stored { params, salt: draw::bytes()?, hash: draw::bytes()? };
        Ok(Self { min_length: settings.min_length, params, pool, dummy: dummy.write() })
    }

    /// Refuses a new password that breaks the policy. `names` are the account's own.
    pub fn check_new(&self, password: &SecretString, names: &[&str]) -> Result<(), Refused> {
        rules::check(password.expose_secret(), self.min_length, names)
            .map_err(|weakness| Refused::WeakPassword(weakness.to_string()))
    }

    /// How many are hashed, and how many wait.
    pub fn load(&self) -> (usize, usize) {
        self.pool.load()
    }

    /// Waits for a place in the pool.
    pub async fn permit(&self) -> Result<Permit, Refused> {
        self.pool.permit().await
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
        let missing = Params::new(self.missing_rounds(&stored));
        let same = self
            .pool
            .run(permit, move || {
                let hash = derive(&password, &stored.salt, stored.params);
                // What was kept under fewer rounds is not to be told by the time it takes.
                if let Ok(missing) = missing {
                    std::hint::black_box(derive(&password, &stored.salt, missing));
                }
                bool::from(hash.ct_eq(&stored.hash))
            })
            .await?;
        Ok(same && real)
    }

    /// Whether what is kept is weaker than the policy of today.
    pub fn is_outdated(&self, kept: &PasswordHash) -> bool {
        Stored::read(kept).is_some_and(|stored| self.missing_rounds(&stored) > 0)
    }

    fn missing_rounds(&self, stored: &Stored) -> u32 {
        self.params.rounds().saturating_sub(stored.params.rounds())
    }

    /// What is kept of a new password.
    pub async fn hash(
        &self,
        permit: Permit,
        password: SecretString,
    ) -> Result<PasswordHash, Refused> {
        let (salt, params) = (draw::bytes::<SALT>()?, self.params);
        self.pool
            .run(permit, move || {
                let hash = derive(&password, &salt, params);
                Stored { params, salt, hash }.write()
            })
            .await
    }
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
        let settings = PasswordSettings { min_length: 15, rounds: 100_000 };
        Passwords::new(settings, Pool::start().unwrap()).unwrap()
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

    #[test]
    fn what_was_kept_under_fewer_rounds_is_outdated() {
        let kept = |rounds: u32| {
            PasswordHash(format!(
                "pbkdf2-sha256${rounds}$MDEyMzQ1Njc4OWFiY2RlZg==$WYEVV1ul0qBt7iGnOFpq5RmH0aOFvmOKTlUAgn9mWYM="
            ))
        };
        let settings = PasswordSettings { min_length: 15, rounds: 200_000 };
        let passwords = Passwords::new(settings, Pool::start().unwrap()).unwrap();
        assert!(passwords.is_outdated(&kept(199_999)));
        assert!(!passwords.is_outdated(&kept(200_000)));
        assert!(!passwords.is_outdated(&kept(200_001)));
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
}
