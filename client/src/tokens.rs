//! Where credentials come from: one that stays, or a function that is asked whenever one is needed.

use std::fmt;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use secrecy::SecretString;

/// Why there is no credential now. It is asked for again later.
pub type TokenError = Box<dyn std::error::Error + Send + Sync>;

type Ask = dyn Fn() -> BoxFuture<'static, Result<SecretString, TokenError>> + Send + Sync;

/// A source of credentials.
#[derive(Clone)]
pub struct Tokens(Arc<Ask>);

impl Tokens {
    /// An API key, or any credential that stays the same.
    pub fn fixed(token: impl Into<SecretString>) -> Self {
        let token = token.into();
        Self::from_fn(move || std::future::ready(Ok(token.clone())))
    }

    /// A function that gets a fresh credential: asked for each socket, and again before the
    /// credential of one ends.
    pub fn from_fn<F, A>(ask: F) -> Self
    where
        F: Fn() -> A + Send + Sync + 'static,
        A: Future<Output = Result<SecretString, TokenError>> + Send + 'static,
    {
        Self(Arc::new(move || ask().boxed()))
    }

    /// Asks for one.
    pub(crate) async fn next(&self) -> Result<SecretString, TokenError> {
        (self.0)().await
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens")
    }
}
