//! Asking a person: for a secret, or whether something is meant.
//!
//! In: what to ask. Out: the answer; a secret is never echoed. Where standard input is no terminal,
//! its next line is the answer, so that scripts need no terminal either.

use std::convert::Infallible;
use std::io::{self, IsTerminal};

use anyhow::{Context as _, bail};
use secrecy::{ExposeSecret, SecretString};

use crate::context::Context;

/// A password on the command line, for scripts that know no other way.
#[derive(clap::Args)]
pub(crate) struct PasswordArgs {
    /// Better not: asked for, or the first line of standard input
    #[arg(long, value_parser = as_it_is)]
    password: Option<SecretString>,
}

impl PasswordArgs {
    /// The password, or else what `ask` is told.
    pub(crate) fn or_ask(
        self,
        context: &Context<'_>,
        ask: impl FnOnce() -> anyhow::Result<SecretString>,
    ) -> anyhow::Result<SecretString> {
        or_ask(self.password, context, ask)
    }
}

/// The password of a flag, or else what `ask` is told.
pub(crate) fn or_ask(
    flag: Option<SecretString>,
    context: &Context<'_>,
    ask: impl FnOnce() -> anyhow::Result<SecretString>,
) -> anyhow::Result<SecretString> {
    let Some(password) = flag else { return ask() };
    context.warn_of_argv("password", "the prompt or standard input");
    Ok(password)
}

/// A password that exists.
pub(crate) fn password(what: &str) -> anyhow::Result<SecretString> {
    let answer = if io::stdin().is_terminal() {
        rpassword::prompt_password(format!("{what}: ")).context("cannot ask for the password")?
    } else {
        line_of_stdin()?.unwrap_or_default()
    };
    if answer.is_empty() {
        bail!("no password was given");
    }
    Ok(answer.into())
}

/// A password that is about to exist: a person types it twice.
pub(crate) fn new_password(what: &str) -> anyhow::Result<SecretString> {
    let first = password(what)?;
    if io::stdin().is_terminal() {
        let second = password(&format!("{what} (again)"))?;
        if first.expose_secret() != second.expose_secret() {
            bail!("the two passwords differ");
        }
    }
    Ok(first)
}

/// Whether a person means it: `yes`, and nothing shorter.
pub(crate) fn confirm(context: &Context<'_>, question: &str) -> anyhow::Result<bool> {
    context.output.note(&format!("{question} Type yes to confirm."));
    let answer = line_of_stdin()?.context("nobody answered; --yes means it")?;
    Ok(answer.trim() == "yes")
}

/// Reads a password of the command line; blanks may be part of it.
#[expect(clippy::unnecessary_wraps, reason = "clap wants a result of its parsers")]
pub(crate) fn as_it_is(text: &str) -> Result<SecretString, Infallible> {
    Ok(text.into())
}

/// The next line, unless there is none.
fn line_of_stdin() -> anyhow::Result<Option<String>> {
    let mut line = String::new();
    if io::stdin().read_line(&mut line).context("cannot read standard input")? == 0 {
        return Ok(None);
    }
    // No more than the end of the line is taken away.
    let line = line.strip_suffix('\n').unwrap_or(&line);
    Ok(Some(line.strip_suffix('\r').unwrap_or(line).to_owned()))
}
