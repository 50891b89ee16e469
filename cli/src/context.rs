//! What every command gets besides its arguments.

use crate::environment::Environment;
use crate::output::Output;

/// The world as one run of `tg` sees it.
pub(crate) struct Context<'a> {
    pub environment: Environment,
    pub output: &'a Output,
}

impl Context<'_> {
    /// Says that a secret was put where others can read it.
    pub(crate) fn warn_of_argv(&self, what: &str, instead: &str) {
        self.output.note(&format!(
            "warning: a {what} on the command line is visible to other users; use {instead}"
        ));
    }
}
