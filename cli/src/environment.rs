//! The variables that `tg` looks at, read in this one place.
//!
//! In: the process's environment. Out: plain values; an empty variable is an absent one.

use std::path::PathBuf;

use secrecy::SecretString;

/// A value that Tollgate's own name and TrustGraph's can give.
pub(crate) struct Variable<T> {
    /// Wins.
    pub tollgate: Option<T>,
    /// What scripts of TrustGraph set.
    pub trustgraph: Option<T>,
}

impl<T> Variable<T> {
    /// The one that counts.
    pub(crate) fn get(&self) -> Option<&T> {
        self.tollgate.as_ref().or(self.trustgraph.as_ref())
    }
}

/// What the environment says.
pub(crate) struct Environment {
    /// `TOLLGATE_URL`, `TRUSTGRAPH_URL`.
    pub url: Variable<String>,
    /// `TOLLGATE_TOKEN`, `TRUSTGRAPH_TOKEN`.
    pub token: Variable<SecretString>,
    /// `TOLLGATE_WORKSPACE`, `TRUSTGRAPH_WORKSPACE`: for calls, never for IAM.
    pub workspace: Variable<String>,
    /// Where this user keeps configuration: `XDG_CONFIG_HOME`, else `~/.config`.
    pub config_dir: Option<PathBuf>,
}

impl Environment {
    /// Reads the process's environment.
    pub(crate) fn read() -> Self {
        let xdg = read("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        let home = || read("HOME").map(|home| PathBuf::from(home).join(".config"));
        let secret = |name| read(name).map(SecretString::from);
        Self {
            url: Variable { tollgate: read("TOLLGATE_URL"), trustgraph: read("TRUSTGRAPH_URL") },
            token: Variable {
                tollgate: secret("TOLLGATE_TOKEN"),
                trustgraph: secret("TRUSTGRAPH_TOKEN"),
            },
            workspace: Variable {
                tollgate: read("TOLLGATE_WORKSPACE"),
                trustgraph: read("TRUSTGRAPH_WORKSPACE"),
            },
            config_dir: xdg.or_else(home),
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "clap reads one variable for a flag; a url or token has two names and a file"
)]
fn read(name: &str) -> Option<String> {
    std::env::var(name).ok().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}
