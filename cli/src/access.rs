//! Which gateway, and as whom.
//!
//! In: flags, environment, kept credentials. Out: a base URL and perhaps a token. Flags win over
//! the environment, Tollgate's names over TrustGraph's, and all of them over what was kept.

use std::convert::Infallible;

use secrecy::SecretString;

use crate::context::Context;
use crate::credentials::Credentials;
use crate::environment::Environment;

const DEFAULT_URL: &str = "http://localhost:8088/";

/// Which gateway.
#[derive(clap::Args)]
pub(crate) struct AddressArgs {
    #[arg(
        short = 'u',
        long,
        value_name = "URL",
        help = "The gateway, else TOLLGATE_URL [default: http://localhost:8088/]"
    )]
    api_url: Option<String>,
}

/// Which gateway, and as whom.
#[derive(clap::Args)]
pub(crate) struct AccessArgs {
    #[command(flatten)]
    address: AddressArgs,
    #[arg(
        short,
        long,
        value_parser = credential,
        help = "API key or JWT, else TOLLGATE_TOKEN, else what login --save kept"
    )]
    token: Option<SecretString>,
}

/// A gateway, and the credential for it if there is one.
pub(crate) struct Access {
    /// Without slashes at its end.
    pub url: String,
    pub token: Option<SecretString>,
}

impl AddressArgs {
    /// The gateway, for a request without a credential.
    pub(crate) fn resolve(&self, context: &Context<'_>) -> Access {
        Access { url: url(self.api_url.as_deref(), &context.environment), token: None }
    }
}

impl AccessArgs {
    /// The gateway and the credential for it.
    pub(crate) fn resolve(self, context: &Context<'_>) -> anyhow::Result<Access> {
        if self.token.is_some() {
            context.warn_of_argv("token", "TOLLGATE_TOKEN or tg login --save");
        }
        let Access { url, .. } = self.address.resolve(context);
        let token = token(self.token, &context.environment, || {
            Credentials::at(&context.environment)?.token_for(&url)
        })?;
        Ok(Access { url, token })
    }
}

#[expect(clippy::unnecessary_wraps, reason = "clap wants a result of its parsers")]
fn credential(text: &str) -> Result<SecretString, Infallible> {
    Ok(text.trim().into())
}

fn url(flag: Option<&str>, environment: &Environment) -> String {
    let named = flag.or(environment.url.get().map(String::as_str)).unwrap_or(DEFAULT_URL);
    named.trim().trim_end_matches('/').to_owned()
}

fn token(
    flag: Option<SecretString>,
    environment: &Environment,
    kept: impl FnOnce() -> anyhow::Result<Option<SecretString>>,
) -> anyhow::Result<Option<SecretString>> {
    match flag.or_else(|| environment.token.get().cloned()) {
        Some(token) => Ok(Some(token)),
        None => kept(),
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;
    use crate::environment::Variable;

    fn environment(tollgate: Option<&str>, trustgraph: Option<&str>) -> Environment {
        let text = |value: Option<&str>| value.map(str::to_owned);
        Environment {
            url: Variable { tollgate: text(tollgate), trustgraph: text(trustgraph) },
            token: Variable {
                tollgate: tollgate.map(SecretString::from),
                trustgraph: trustgraph.map(SecretString::from),
            },
            workspace: Variable { tollgate: None, trustgraph: None },
            config_dir: None,
        }
    }

    #[test]
    fn the_url_is_the_flag_then_ours_then_theirs_then_the_default() {
        let check = |flag, tollgate, trustgraph, expect: &str| {
            assert_eq!(url(flag, &environment(tollgate, trustgraph)), expect);
        };
        check(Some("http://f/"), Some("http://a"), Some("http://b"), "http://f");
        check(None, Some("http://a//"), Some("http://b"), "http://a");
        check(None, None, Some("http://b/x/"), "http://b/x");
        check(None, None, None, "http://localhost:8088");
    }

    #[test]
    fn the_token_is_the_flag_then_ours_then_theirs_then_the_kept_one() {
        let check = |flag: Option<&str>, tollgate, trustgraph, expect: &str| {
            let environment = environment(tollgate, trustgraph);
            let kept = || Ok(Some("kept".into()));
            let token = token(flag.map(SecretString::from), &environment, kept).unwrap();
            assert_eq!(token.unwrap().expose_secret(), expect);
        };
        check(Some("flag"), Some("ours"), Some("theirs"), "flag");
        check(None, Some("ours"), Some("theirs"), "ours");
        check(None, None, Some("theirs"), "theirs");
        check(None, None, None, "kept");
        assert!(token(None, &environment(None, None), || Ok(None)).unwrap().is_none());
    }
}
