//! Many histories, and whether they came by everything.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::runtime::Runtime;

use crate::check::{Tally, check};
use crate::history;
use crate::rules::No;

/// What a `cargo test` is willing to wait for.
const HISTORIES: u64 = 100;

#[test]
fn no_history_breaks_a_rule() {
    let (first, end) = match setting("TOLLGATE_HISTORY") {
        Some(seed) => (seed, seed + 1),
        None => (0, setting("TOLLGATE_HISTORIES").unwrap_or(HISTORIES)),
    };
    let begun = tokio::time::Instant::now();
    let next = AtomicU64::new(first);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let tallies = std::thread::scope(|scope| {
        let work = || scope.spawn(|| run_until(&next, end));
        let running: Vec<_> = (0..threads).map(|_| work()).collect();
        let tallies = running.into_iter().map(std::thread::ScopedJoinHandle::join);
        tallies.collect::<Result<Vec<_>, _>>().unwrap_or_else(|panic| resume_unwind(panic))
    });
    let mut tally = Tally::new();
    for (key, count) in tallies.into_iter().flatten() {
        *tally.entry(key).or_default() += count;
    }
    report(&tally, end - first, begun.elapsed());
    if end - first >= HISTORIES {
        assert_everything_happened(&tally);
    }
}

#[test]
fn a_seed_gives_the_same_history_again() {
    let traces = [7, 7, 8].map(|seed| {
        let history = runtime().block_on(history::run(seed));
        let told = history.told.into_iter();
        told.map(|told| (told.asked.ask.operation(), told.answer, told.since, told.until))
            .collect::<Vec<_>>()
    });
    assert_eq!(traces[0], traces[1]);
    assert_ne!(traces[1], traces[2]);
}

/// One thread for what does not block and one for what does: the order is always the same.
fn runtime() -> Runtime {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.max_blocking_threads(1).enable_time().build().unwrap()
}

/// Takes seeds until none is left, or one went wrong.
fn run_until(next: &AtomicU64, end: u64) -> Tally {
    let runtime = runtime();
    let mut tally = Tally::new();
    loop {
        let seed = next.fetch_add(1, Ordering::SeqCst);
        if seed >= end {
            return tally;
        }
        let history = async {
            let history = history::run(seed).await;
            check(&history).await
        };
        match catch_unwind(AssertUnwindSafe(|| runtime.block_on(history))) {
            Ok(one) => {
                for (key, count) in one {
                    *tally.entry(key).or_default() += count;
                }
            }
            Err(panic) => {
                next.store(end, Ordering::SeqCst);
                say(&format!("seed {seed} broke a rule: TOLLGATE_HISTORY={seed} runs it again"));
                resume_unwind(panic);
            }
        }
    }
}

/// A test that never meets a refusal proves nothing about it.
fn assert_everything_happened(tally: &Tally) {
    for operation in [
        "create-user",
        "update-user",
        "disable-user",
        "enable-user",
        "delete-user",
        "reset-password",
        "create-api-key",
        "revoke-api-key",
        "create-workspace",
        "update-workspace",
        "disable-workspace",
        "add-user-grant",
        "remove-user-grant",
    ] {
        let mut outcomes = vec![Ok(()), Err(No::Denied), Err(No::NotLive)];
        match operation {
            "create-user" => outcomes.extend([No::NotFound, No::Duplicate, No::Invalid].map(Err)),
            "create-workspace" => outcomes.extend([No::Duplicate, No::Invalid].map(Err)),
            "update-workspace" | "disable-workspace" | "add-user-grant" => {
                outcomes.push(Err(No::NotFound));
            }
            _ => outcomes.extend([No::NotFound, No::NotPermitted].map(Err)),
        }
        for outcome in outcomes {
            assert!(tally.contains_key(&(operation, outcome)), "{operation} never met {outcome:?}");
        }
    }
}

fn report(tally: &Tally, histories: u64, took: Duration) {
    say(&format!(
        "{histories} histories, {} operations, {took:.1?}",
        tally.values().sum::<usize>()
    ));
    for ((operation, outcome), count) in tally {
        say(&format!("{operation:20} {outcome:20?} {count}"));
    }
}

#[expect(clippy::print_stderr, reason = "what a run was made of is for whoever runs it")]
fn say(line: &str) {
    eprintln!("{line}");
}

#[expect(clippy::disallowed_methods, reason = "says how long a test runs; it configures nothing")]
pub(crate) fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}
