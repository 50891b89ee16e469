//! How many files and connections the process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// More than any process here needs.
const PLENTY: usize = 1 << 20;

/// Raises the limit as far as the process may: the customary one is kept low for the sake of programs
/// that use `select`.
pub fn raise() -> std::io::Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?)
}

/// How many there may be.
pub fn limit() -> usize {
    let Rlimit { current, .. } = getrlimit(Resource::Nofile);
    current.and_then(|limit| usize::try_from(limit).ok()).map_or(PLENTY, |limit| limit.min(PLENTY))
}
