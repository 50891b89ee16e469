//! A storm of logins, with the rounds of production: what needs no hash goes on as before.
//!
//! 200 logins at once, wave after wave, while other operations are timed in their turn, each on a
//! connection of its own. The short run of every day has one wave; `TOLLGATE_STORM_SECONDS` sets
//! for how long waves go on, and `--nocapture` shows the figures.
//!
//! A machine may be busy with other things: then thrice the figure of the calm before the storm
//! counts, and it is measured again, at most twice. Waiting behind hashes takes seconds and would
//! show in each measurement.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tollgate_proto::iam::{Outcome, RefusalKind};
use uuid::Uuid;

use super::harness::{Iam, PASSWORD, Person};

const LOGINS: usize = 200;
/// What the slowest of a hundred may take.
const LIMIT: Duration = Duration::from_millis(100);

const MEASUREMENTS: usize = 3;

/// What is asked during the storm.
const ASKED: [&str; 4] = ["authenticate", "authorise", "whoami", "create-workspace"];
type Times = [Vec<Duration>; ASKED.len()];

/// On one worker: a hash there would hold everything up.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn two_hundred_logins_at_once_hold_nobody_else_up() {
    let _alone = super::alone().await;
    let rounds = [("iam.password.rounds", "600000")];
    let iam = Iam::with(Arc::new(tempfile::tempdir().unwrap()), &rounds).await;
    let admin = iam.claim().await;
    let iam = Arc::new(iam);
    let mut slow = Vec::new();
    for _ in 0..MEASUREMENTS {
        let calm = time_others(&iam, &admin, || false).await;
        tell("calm", &calm);
        let stormy = storm(&iam, &admin).await;
        tell("storm", &stormy);
        let (calm, stormy) = (calm.map(|times| p99(&times)), stormy.map(|times| p99(&times)));
        if stormy.iter().zip(calm).all(|(stormy, calm)| *stormy <= LIMIT.max(calm * 3)) {
            return;
        }
        slow.push((calm, stormy));
    }
    panic!("p99 of {ASKED:?}, in the calm and in the storm: {slow:?}");
}

/// Waves of logins, one at least, and the times of the others meanwhile.
async fn storm(iam: &Arc<Iam>, admin: &Person) -> Times {
    let started = Instant::now();
    let mut all = Times::default();
    loop {
        let mut wave = JoinSet::new();
        for n in 0..LOGINS {
            let iam = Arc::clone(iam);
            wave.spawn(async move { iam.login(&format!("user{n}"), PASSWORD).await });
        }
        let is_on = || {
            while let Some(login) = wave.try_join_next() {
                let refusal = login.unwrap().unwrap_err();
                let kinds = [RefusalKind::AuthFailed, RefusalKind::TooManyRequests];
                assert!(kinds.contains(&refusal.kind), "{refusal}");
            }
            !wave.is_empty()
        };
        let times = time_others(iam, admin, is_on).await;
        all.iter_mut().zip(times).for_each(|(all, times)| all.extend(times));
        // Beyond every pause that failures cost.
        iam.clock.advance(Duration::from_hours(1));
        if started.elapsed() >= at_least() {
            return all;
        }
    }
}

/// The times of the other operations, in their turn, for at least a hundred turns and for as long
/// as the storm is on.
async fn time_others(iam: &Iam, admin: &Person, mut is_on: impl FnMut() -> bool) -> Times {
    let mut times = Times::default();
    while is_on() || times[0].len() < 100 {
        for (times, name) in times.iter_mut().zip(ASKED) {
            let question = question(admin, name);
            let before = Instant::now();
            let outcome = iam.ask(question).await.outcome;
            times.push(before.elapsed());
            assert!(!matches!(outcome, Outcome::Refused(_)), "{name}: {outcome:?}");
        }
    }
    times
}

fn question(admin: &Person, name: &str) -> Value {
    let operate =
        |operation: Value| json!({"operate": {"actor": admin.actor(), "operation": operation}});
    match name {
        "authenticate" => json!({"authenticate": {"credential": admin.key}}),
        "authorise" => {
            let resource = json!({"level": "workspace", "workspace": "default"});
            let check = json!({"capability": "llm", "resource": resource});
            json!({"authorise": {"actor": admin.actor(), "check": check}})
        }
        "whoami" => operate(json!({"operation": "whoami"})),
        "create-workspace" => {
            let record = json!({"id": format!("w{}", Uuid::now_v7().simple())});
            operate(json!({"operation": "create-workspace", "workspace_record": record}))
        }
        other => panic!("{other}"),
    }
}

/// What 99 of a hundred are not above.
fn p99(times: &[Duration]) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() * 99 / 100]
}

#[expect(clippy::print_stderr, reason = "the long run is for people to read")]
fn tell(weather: &str, times: &Times) {
    for (name, times) in ASKED.iter().zip(times) {
        eprintln!("{weather}: {name}: {} times, p99 {:?}", times.len(), p99(times));
    }
}

#[expect(clippy::disallowed_methods, reason = "a test has no other configuration")]
fn at_least() -> Duration {
    let seconds = std::env::var("TOLLGATE_STORM_SECONDS");
    Duration::from_secs(seconds.map_or(0, |seconds| seconds.parse().unwrap()))
}
