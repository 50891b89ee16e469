//! ③ A credential becomes an identity.
//!
//! In: the token of an auth frame, of a header or of a URL. Out: an [`Identity`] and the place at
//! which IAM said it, or that there is none, masked outside and told in the log.
//! What cannot be a credential by its form is refused here and costs IAM nothing.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tollgate_proto::iam::{Client, Credential, Identity};
use tollgate_proto::key::{self, Shape};

use crate::iam::cache::Known;
use crate::iam::{NotAuthenticated, Questions};
use crate::metrics::Judged;

/// The longest credential: that of a token.
const MAX_CREDENTIAL: usize = 8_192;

/// How far the clocks of gateway and IAM may differ; API keys, which IAM judges, have none.
const JWT_LEEWAY: Duration = Duration::from_secs(5);

/// How long the credential behind an identity lives yet, if it ends, and how far clocks may differ
/// about that.
pub(crate) fn life(identity: &Identity, now_ms: u64) -> (Option<Duration>, Duration) {
    let life = identity.expires_at_ms.map(|at| Duration::from_millis(at.saturating_sub(now_ms)));
    let leeway = match identity.actor.credential {
        Credential::Session(_) | Credential::Minted { .. } => JWT_LEEWAY,
        Credential::Key(_) => Duration::ZERO,
    };
    (life, leeway)
}

/// Whether a credential ends of itself about now.
pub(crate) fn is_ending(identity: &Identity, now_ms: u64) -> bool {
    life(identity, now_ms).0.is_some_and(|life| life <= JWT_LEEWAY)
}

/// Asks IAM whose credential this is.
pub(crate) async fn authenticate(
    questions: &Questions,
    token: Option<&SecretString>,
    client: &Client,
) -> Result<Known, NotAuthenticated> {
    let outcome = match token {
        None => Err(NotAuthenticated::Refused("no token")),
        Some(token) => match check_form(token.expose_secret()) {
            Ok(()) => questions.authenticate(token, client).await,
            Err(reason) => Err(NotAuthenticated::Refused(reason)),
        },
    };
    let judged = match &outcome {
        Ok(_) => Judged::Ok,
        Err(NotAuthenticated::Refused(_)) => Judged::Refused,
        Err(NotAuthenticated::Unreachable(_)) => Judged::Unreachable,
    };
    questions.metrics().authentications.inc((client.via.into(), judged));
    if let Err(reason) = &outcome {
        let address = client.address.as_deref().unwrap_or_default();
        tracing::debug!(client.address = address, %reason, "authentication failed");
    }
    outcome
}

fn check_form(token: &str) -> Result<(), &'static str> {
    if token.len() > MAX_CREDENTIAL {
        return Err("too long");
    }
    match key::shape(token) {
        Shape::Current | Shape::Legacy | Shape::Other => Ok(()),
        Shape::Broken => Err("an API key with a wrong checksum"),
        Shape::NotAKey if token.bytes().filter(|b| *b == b'.').count() == 2 => Ok(()),
        Shape::NotAKey => Err("neither an API key nor a JWT"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn junk_is_refused_by_its_form() {
        assert!(check_form("tg_0123456789ABCDEFGHIJabcdefghijKLMN0irfT2").is_ok());
        assert!(check_form("tg_0123456789ABCDEFGHIJabcdefghijKLMN0irfT3").is_err());
        assert!(check_form("a.b.c").is_ok());
        assert!(check_form("a.b").is_err());
        assert!(check_form("hello").is_err());
        assert!(check_form(&"a.b.c".repeat(2_000)).is_err());
    }
}
