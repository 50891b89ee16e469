//! Asking a person for a secret.
//!
//! In: what to ask for. Out: the secret, never echoed. Where standard input is no terminal, one
//! line of it is the answer, so that scripts need no terminal either.

use std::io::{self, IsTerminal};

use anyhow::{Context as _, bail};
use secrecy::SecretString;

/// A password that exists.
pub(crate) fn password(what: &str) -> anyhow::Result<SecretString> {
    let answer = if io::stdin().is_terminal() {
        rpassword::prompt_password(format!("{what}: ")).context("cannot ask for the password")?
    } else {
        line_of_stdin()?
    };
    if answer.is_empty() {
        bail!("no password was given");
    }
    Ok(answer.into())
}

/// A password that is about to exist: a person types it twice.
pub(crate) fn new_password(what: &str) -> anyhow::Result<SecretString> {
    use secrecy::ExposeSecret;
    let first = password(what)?;
    if io::stdin().is_terminal() {
        let second = password(&format!("{what} (again)"))?;
        if first.expose_secret() != second.expose_secret() {
            bail!("the two passwords differ");
        }
    }
    Ok(first)
}

fn line_of_stdin() -> anyhow::Result<String> {
    let mut line = String::new();
    io::stdin().read_line(&mut line).context("cannot read the password from standard input")?;
    // Only the end of the line: blanks may be part of a password.
    let line = line.strip_suffix('\n').unwrap_or(&line);
    Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
}
