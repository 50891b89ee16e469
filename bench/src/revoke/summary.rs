//! What came out, for people and for programs, and whether the rule holds.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::Args;
use super::crowd::Bystanders;
use super::victim::{KINDS, Kind};
use super::watch::Sighting;
use crate::report;

/// Under which conditions it ran.
pub(crate) struct Conditions(String);

impl Conditions {
    /// `cpu`: how many cores we and the servers kept busy.
    pub(crate) fn now(args: &Args, cpu: f64, seconds: f64) -> anyhow::Result<Self> {
        let Args { sockets, revocations, rate, admins, gateways, .. } = args;
        let servers = match gateways {
            1 => "one tollgate".to_owned(),
            many => format!("{many} gateways, one IAM"),
        };
        let cores = std::thread::available_parallelism()?;
        let load = std::fs::read_to_string("/proc/loadavg")?;
        let load = load.split(' ').next().context("no load average")?;
        Ok(Self(format!(
            "{servers}: {sockets} sockets, {rate} calls/s and each victim's 1000/s, {revocations} \
             revocations by {admins} admins in {seconds:.1} s; servers and load together {:.0} % of \
             {cores} cores, load average {load}",
            100.0 * cpu / f64::from(u32::try_from(cores.get())?),
        )))
    }
}

/// All that came out.
pub(crate) struct Summary<'a> {
    conditions: &'a Conditions,
    bystanders: &'a Bystanders,
    successes: Successes,
    /// Sockets of victims that were not closed with the code that is due.
    not_closed: u64,
    rows: Vec<Row>,
}

/// Of victims, by when they came.
#[derive(Default)]
struct Successes {
    before: u64,
    beside: u64,
    /// For how long the answer may have lain there, at most.
    beside_for: Duration,
    after: u64,
}

struct Row {
    name: &'static str,
    count: usize,
    times: Vec<(&'static str, Spread)>,
}

/// Milliseconds.
struct Spread {
    p50: f64,
    p99: f64,
    max: f64,
}

impl Spread {
    fn of(times: impl Iterator<Item = Duration>) -> Self {
        let mut times: Vec<_> = times.map(|time| time.as_secs_f64() * 1e3).collect();
        times.sort_unstable_by(f64::total_cmp);
        let at = |percent: usize| {
            // The smallest that so many of a hundred keep.
            let place = (times.len() * percent).div_ceil(100);
            times.get(place.saturating_sub(1)).copied().unwrap_or_default()
        };
        Self { p50: at(50), p99: at(99), max: at(100) }
    }
}

impl Row {
    fn of(name: &'static str, seen: &[(&Sighting, Instant)]) -> Self {
        let spread = |time: fn(&Sighting, Instant) -> Duration| {
            Spread::of(seen.iter().map(|(seen, commit)| time(seen, *commit)))
        };
        // What came before what it is reckoned from took no time.
        let times = vec![
            (
                "commit to last success",
                spread(|s, commit| s.last.saturating_duration_since(commit)),
            ),
            ("commit to answer", spread(|s, commit| s.answered.saturating_duration_since(commit))),
            (
                "answer to close",
                spread(|s, _| {
                    s.closed.unwrap_or_else(Instant::now).saturating_duration_since(s.answered)
                }),
            ),
        ];
        Self { name, count: seen.len(), times }
    }
}

impl<'a> Summary<'a> {
    /// Reckons it. `commits` are in the order of the sightings.
    pub(crate) fn of(
        conditions: &'a Conditions,
        sightings: &[Sighting],
        commits: &[Instant],
        bystanders: &'a Bystanders,
    ) -> Self {
        let all: Vec<_> = sightings.iter().zip(commits.iter().copied()).collect();
        let mut successes = Successes::default();
        for seen in sightings {
            successes.before += seen.before;
            successes.beside += seen.beside;
            successes.beside_for = successes.beside_for.max(seen.beside_for);
            successes.after += seen.after;
        }
        let is_due = |seen: &&Sighting| seen.code == Some(seen.victim.kind.code());
        let closed = sightings.iter().filter(is_due).count();
        let is_quick = |(seen, _): &&(&Sighting, Instant)| seen.victim.kind != Kind::Password;
        let quick: Vec<_> = all.iter().filter(is_quick).copied().collect();
        let mut rows = vec![Row::of("all", &all), Row::of("all but password resets", &quick)];
        for kind in KINDS {
            let of_kind: Vec<_> =
                all.iter().filter(|(seen, _)| seen.victim.kind == kind).copied().collect();
            rows.push(Row::of(kind.name(), &of_kind));
        }
        let not_closed = (sightings.len() - closed) as u64;
        Self { conditions, bystanders, successes, not_closed, rows }
    }

    /// An error if the rule was broken.
    pub(crate) fn verdict(&self) -> anyhow::Result<()> {
        let Self { successes: Successes { after, .. }, not_closed, bystanders, .. } = self;
        if *after > 0 {
            bail!("{after} successes came after the answer");
        }
        if *not_closed > 0 {
            bail!("{not_closed} sockets of victims were not closed as they should be");
        }
        match &bystanders.first_harm {
            Some(harm) => bail!("{} bystanders were harmed: {harm}", bystanders.harmed),
            None => Ok(()),
        }
    }

    /// Prints it, in the form that the flag `--json` asks for.
    pub(crate) fn print(&self, as_json: bool) -> anyhow::Result<()> {
        report::say(&if as_json { self.to_json().to_string() } else { self.to_text() })
    }

    fn to_text(&self) -> String {
        let Self { conditions, successes, .. } = self;
        let Successes { before, beside, beside_for, after } = successes;
        let beside_for = beside_for.as_secs_f64() * 1e3;
        let Bystanders { sockets, answers, harmed, .. } = self.bystanders;
        let mut text = format!(
            "{}\nsuccesses of victims: {before} before the answer, {beside} read beside it (which \
             had come for {beside_for:.1} ms at most), {after} after\nnot closed as due: {}\nbystanders: {sockets} sockets, {answers} answers, {harmed} \
             harmed\n\nms: p50 / p99 / max\n",
            conditions.0, self.not_closed
        );
        for Row { name, count, times } in &self.rows {
            let _ = write!(text, "{name} ({count})");
            for (meaning, Spread { p50, p99, max }) in times {
                let _ = write!(text, "; {meaning} {p50:.1} / {p99:.1} / {max:.1}");
            }
            text.push('\n');
        }
        text
    }

    fn to_json(&self) -> Value {
        let Self { conditions, successes, .. } = self;
        let Successes { before, beside, beside_for, after } = successes;
        let spread = |of: &Spread| json!({ "p50_ms": of.p50, "p99_ms": of.p99, "max_ms": of.max });
        let row = |row: &Row| {
            let times = row.times.iter().map(|(name, of)| ((*name).to_owned(), spread(of)));
            json!({ "name": row.name, "count": row.count, "times": times.collect::<Value>() })
        };
        json!({
            "run": conditions.0,
            "successes": { "before": before, "beside": beside, "after": after,
                "beside_for_ms": beside_for.as_secs_f64() * 1e3 },
            "not_closed": self.not_closed,
            "bystanders": {
                "sockets": self.bystanders.sockets,
                "answers": self.bystanders.answers,
                "harmed": self.bystanders.harmed,
            },
            "rows": self.rows.iter().map(row).collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_time_that_was_measured() {
        let spread = |count: u64| Spread::of((1..=count).map(Duration::from_millis));
        let Spread { p50, p99, max } = spread(200);
        assert_eq!((p50, p99, max), (100.0, 198.0, 200.0));
        let Spread { p50, p99, max } = spread(2);
        assert_eq!((p50, p99, max), (1.0, 2.0, 2.0));
    }
}
