//! When IAM made what was taken away: its audit file has the time of each entry.
//!
//! An entry's time is when IAM took the operation up, cut to the millisecond: it is durable later, by
//! a sync and for a password by its hash, so what is reckoned from it is too long, if anything. The
//! clock is that of this machine, as ours is.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::watch::Sighting;

/// Lines follow their answers within moments.
const LOOKS: usize = 50;
const PAUSE: Duration = Duration::from_millis(100);

/// When each was made, in the order of the sightings.
pub(crate) async fn commits(file: &Path, sightings: &[Sighting]) -> anyhow::Result<Vec<Instant>> {
    for _ in 0..LOOKS {
        let text = std::fs::read_to_string(file).context("IAM's audit file")?;
        let times = times(&text)?;
        let all: Option<Vec<_>> = sightings.iter().map(|seen| commit(seen, &times)).collect();
        if let Some(all) = all {
            return Ok(all);
        }
        sleep(PAUSE).await;
    }
    bail!("what was taken away has no line in IAM's audit file")
}

/// Times by event, and by what it happened to.
type Times = HashMap<(String, String), SystemTime>;

fn times(text: &str) -> anyhow::Result<Times> {
    let mut times = Times::new();
    // The last line may not be whole yet.
    for line in text.lines().filter(|line| line.ends_with('}')) {
        let line: Value = serde_json::from_str(line)?;
        let word = |at: &str| line.pointer(at).and_then(Value::as_str);
        let (Some(event), Some(time)) = (word("/event"), word("/time")) else { continue };
        let time = SystemTime::from(time.parse::<Timestamp>()?);
        for target in ["/target/id", "/target/user"] {
            if let Some(id) = word(target) {
                times.insert((event.to_owned(), id.to_owned()), time);
            }
        }
    }
    Ok(times)
}

/// The time of one, on our monotonic clock: never before it was asked for.
fn commit(seen: &Sighting, times: &Times) -> Option<Instant> {
    let victim = &seen.victim;
    let time = times.get(&(victim.kind.event().to_owned(), victim.id.clone()))?;
    Some(seen.asked + time.duration_since(seen.asked_at).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_an_entry_is_found() {
        let line = r#"{"time":"2026-01-02T03:04:05.006000000Z","event":"grant.remove","target":{"id":"g","user":"u"}}"#;
        let times = times(&format!("{line}\n{}", &line[..40])).unwrap();
        let found = times[&("grant.remove".to_owned(), "u".to_owned())];
        assert_eq!(
            found,
            SystemTime::from("2026-01-02T03:04:05.006Z".parse::<Timestamp>().unwrap())
        );
    }
}
