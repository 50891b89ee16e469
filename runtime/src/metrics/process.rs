//! What the operating system says about the process, read when it is asked for.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::process::{Resource, getrlimit};

use super::{Definition, Gauge, Source};

/// The process, under the names that dashboards know.
#[derive(Debug)]
pub struct Process {
    open_fds: Gauge,
    max_fds: Gauge,
    resident_memory_bytes: Gauge,
    start_time_seconds: Gauge,
}

impl Process {
    /// This process, which starts now.
    #[expect(clippy::disallowed_methods, reason = "the clock of the machine, for a dashboard")]
    pub fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let started = Gauge::default();
        started.set(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
        Self {
            open_fds: Gauge::default(),
            max_fds: Gauge::default(),
            resident_memory_bytes: Gauge::default(),
            start_time_seconds: started,
        }
    }

    fn refresh(&self) {
        // What another system does not tell stays zero.
        let open = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        self.open_fds.set(i64::try_from(open).unwrap_or(i64::MAX));
        let most = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        self.max_fds.set(i64::try_from(most).unwrap_or(i64::MAX));
        self.resident_memory_bytes.set(resident_memory().unwrap_or_default());
    }
}

impl Default for Process {
    fn default() -> Self {
        Self::new()
    }
}

fn resident_memory() -> Option<i64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: i64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1_024)
}

impl Source for Process {
    fn prefix(&self) -> &'static str {
        "process"
    }

    fn list(&self) -> Vec<Definition<'_>> {
        self.refresh();
        vec![
            Definition::new("open_fds", "Descriptors that are open. Linux only.", &self.open_fds),
            Definition::new("max_fds", "Descriptors that may be open.", &self.max_fds),
            Definition::new(
                "resident_memory_bytes",
                "Memory in use. Linux only.",
                &self.resident_memory_bytes,
            ),
            Definition::new(
                "start_time_seconds",
                "When the process started, in seconds since 1970.",
                &self.start_time_seconds,
            ),
        ]
    }
}
