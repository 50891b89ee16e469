//! SIGKILL at a moment that nobody chose: whatever was acknowledged is there afterwards, whatever
//! was ended stays dead, the journal and its state belong together, and each change has its line in
//! the audit file.
//!
//! `TOLLGATE_KILLS` says how often; a few times without it.

mod facts;
mod writers;

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tollgate_e2e::process::{Folder, PATIENCE, Started};

use self::facts::Facts;
use self::writers::Writers;
use crate::folder;

/// How many keys of earlier rounds are tried after each kill; all of them are at the end.
const SAMPLE: usize = 50;

#[test]
fn what_was_acknowledged_outlives_kills() {
    let folder = folder();
    let mut server = folder.serve();
    let admin = server.claim();
    let mut facts = Facts::default();
    for round in 0..kills() {
        let writers = Writers::start(&server, &admin, round);
        // The writers do not wait: the kill comes in the middle of what they have begun by now.
        let enough = 1 + usize::try_from(random(100)).unwrap();
        let mut told: Vec<_> = writers.told().take(enough).collect();
        server.kill();
        told.extend(writers.join());
        facts.note(told);
        // The whole journal is read: not each time.
        if round.is_power_of_two() {
            verify(&folder);
        }
        server = folder.serve();
        facts.check(&server, &admin, SAMPLE);
    }
    facts.check(&server, &admin, usize::MAX);
    let (status, said) = server.terminate(PATIENCE);
    assert_eq!(status, Some(0), "{said:?}");
    verify(&folder);
    facts.check_audit(&folder.data());
}

#[test]
fn a_kill_during_the_first_start_leaves_a_folder_that_starts() {
    for _ in 0..kills().min(50) * 4 {
        let folder = folder();
        let pause = Duration::from_micros(random(60_000));
        Started::start(&mut folder.command()).kill_after(pause);
        let server = folder.serve();
        assert!(server.whoami(&server.claim()).is_some(), "killed after {pause:?}");
    }
}

/// Every entry is whole, and the state is what they make, row by row.
fn verify(folder: &Folder) {
    let mut command = folder.bare();
    let command = command.args(["journal", "verify", "--data-dir"]).arg(folder.data());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "journal verify: {said}");
}

#[expect(clippy::disallowed_methods, reason = "a test has no other configuration")]
fn kills() -> u32 {
    std::env::var("TOLLGATE_KILLS").map_or(5, |kills| kills.parse().unwrap())
}

/// Below `end`, and another one each time: that is what the test is about.
fn random(end: u64) -> u64 {
    RandomState::new().hash_one(()) % end
}
