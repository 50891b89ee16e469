//! What the system knows about a process: its memory, its time on a core, its descriptors.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::time::sleep;

const GLANCE: Duration = Duration::from_millis(250);
/// A process that runs less than this in a glance is quiet.
const QUIET: Duration = Duration::from_millis(3);
const GLANCES: usize = 80;
/// Descriptors beside the sockets.
const OTHER_FILES: usize = 100;

/// The time that all threads of a process have been on a core.
pub(crate) fn cpu_time(pid: u32) -> anyhow::Result<Duration> {
    sum_of_threads(format!("/proc/{pid}/task").as_ref())
}

/// The same, of this process.
pub(crate) fn own_cpu_time() -> anyhow::Result<Duration> {
    sum_of_threads("/proc/self/task".as_ref())
}

fn sum_of_threads(folder: &Path) -> anyhow::Result<Duration> {
    let mut nanoseconds = 0_u64;
    for thread in folder.read_dir().context("the server has ended")? {
        // A thread may end while we look.
        let Ok(text) = std::fs::read_to_string(thread?.path().join("schedstat")) else { continue };
        let on_core = text.split(' ').next().context("an empty schedstat")?;
        nanoseconds += on_core.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(nanoseconds))
}

/// Bytes of memory that a process holds, once it is quiet.
pub(crate) async fn quiet_memory(pid: u32) -> anyhow::Result<u64> {
    let mut before = cpu_time(pid)?;
    for _ in 0..GLANCES {
        sleep(GLANCE).await;
        let now = cpu_time(pid)?;
        if now.saturating_sub(before) < QUIET {
            break;
        }
        before = now;
    }
    let text = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    resident(&text).context("the system does not tell the memory of a process")
}

fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// Makes sure that this process, and the servers that it starts, may have so many sockets.
pub(crate) fn allow_sockets(sockets: usize) -> anyhow::Result<()> {
    let wanted = sockets + OTHER_FILES;
    if open_files()? >= wanted {
        return Ok(());
    }
    // The call itself is unsafe code, so a program makes it.
    let raised = std::process::Command::new("prlimit")
        .args([format!("--pid={}", std::process::id()), format!("--nofile={wanted}:")])
        .status();
    ensure!(
        raised.is_ok_and(|status| status.success()) && open_files()? >= wanted,
        "{sockets} sockets need {wanted} open files, and {} are allowed: raise `ulimit -n`",
        open_files()?,
    );
    Ok(())
}

fn open_files() -> anyhow::Result<usize> {
    let text = std::fs::read_to_string("/proc/self/limits")?;
    soft_limit(&text).context("the system does not tell its limit of open files")
}

fn soft_limit(limits: &str) -> Option<usize> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(usize::MAX),
        number => number.parse().ok(),
    }
}

/// Reads a number above zero.
pub(crate) fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("must be at least 1".to_owned()),
        Ok(number) => Ok(number),
        Err(error) => Err(format!("{error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_the_system_are_understood() {
        assert_eq!(resident("VmHWM:\t  99 kB\nVmRSS:\t    5432 kB\n"), Some(5432 * 1024));
        let limits = "Max open files            20000                20000                files\n";
        assert_eq!(soft_limit(limits), Some(20_000));
        assert!(cpu_time(std::process::id()).unwrap() >= Duration::ZERO);
    }
}
