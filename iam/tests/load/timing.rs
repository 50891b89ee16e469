//! A login that fails tells nobody why: neither by its bytes nor by its time.
//!
//! How the test decides. Logins of three accounts are timed in turn, [`ROUNDS`] of each, and as
//! many again until a planted difference of a fifth of the time would be seen. For each pair of
//! accounts the Mann–Whitney test asks whether the times of one tend to be longer than those of the
//! other; it looks at ranks only, so that single slow ones weigh nothing. Two accounts can be told
//! apart if |z| > [`LIMIT`], which chance does for one pair in 10 000. A machine may be disturbed:
//! then it is measured again, at most twice, and an early return would show in each measurement.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;
use uuid::Uuid;

use super::harness::{Iam, PASSWORD, SECRET};

/// Logins of each account, until more are needed.
const ROUNDS: usize = 80;
/// How often more may be needed.
const STEPS: usize = 8;
/// Two-sided, one in 10 000.
const LIMIT: f64 = 3.89;
/// The part of a login by which the planted one is shorter.
const PLANTED: f64 = 0.2;
const MEASUREMENTS: usize = 3;

/// Who logs in: nobody, somebody with a wrong password, somebody disabled with the right one.
const LOGINS: [(&str, &str); 3] =
    [("nobody", PASSWORD), ("ann", "a wrong long password"), ("bob", PASSWORD)];

#[tokio::test]
async fn logins_that_fail_cannot_be_told_apart() {
    let _alone = super::alone().await;
    let (iam, admin) = Iam::claimed().await;
    iam.member(&admin, "acme", "ann", "reader").await;
    let bob = json!({"operation": "create-user", "workspace": "acme",
        "user": {"username": "bob", "password": PASSWORD, "roles": ["reader"], "enabled": false}});
    iam.operate(Some(admin.actor()), bob).await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..MEASUREMENTS {
        let apart = z_of_pairs(&measure(&iam).await);
        if apart.iter().all(|z| z.abs() <= LIMIT) {
            return;
        }
        seen.push(apart);
    }
    panic!("accounts can be told apart; z of the pairs: {seen:.1?}");
}

/// Times enough to see a planted difference in.
async fn measure(iam: &Iam) -> [Vec<f64>; 3] {
    let mut times = [const { Vec::new() }; 3];
    for _ in 0..STEPS {
        time_logins(iam, &mut times).await;
        let [unknown, known, _] = &times;
        let hash = median(known);
        let planted: Vec<_> = unknown.iter().map(|time| time - PLANTED * hash).collect();
        if z(&planted, known).abs() > LIMIT {
            return times;
        }
    }
    panic!("this machine is too busy: of a fifth of a login's time nothing is seen");
}

/// The times of failing logins in seconds, account by account, taken in turn.
async fn time_logins(iam: &Iam, times: &mut [Vec<f64>; 3]) {
    let mut answers = std::collections::HashSet::new();
    for round in 0..ROUNDS {
        // Longer than any pause that failures cost.
        iam.clock.advance(Duration::from_secs(1_000));
        for turn in 0..LOGINS.len() {
            let who = (round + turn) % LOGINS.len();
            let (username, password) = LOGINS[who];
            let login = json!({"operation": "login", "username": username, "password": password});
            let call = json!({"id": Uuid::now_v7(), "question": {"operate": {"operation": login}}});
            let call = call.to_string();
            let before = Instant::now();
            let (head, body) = iam.post(SECRET, &call).await;
            times[who].push(before.elapsed().as_secs_f64());
            let undated = head.lines().filter(|line| !line.starts_with("date:"));
            answers.insert((undated.collect::<Vec<_>>().join("\n"), body));
        }
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
}

fn z_of_pairs([one, two, three]: &[Vec<f64>; 3]) -> [f64; 3] {
    [z(one, two), z(one, three), z(two, three)]
}

/// How far the ranks of two samples are from those of samples of one kind, in standard deviations
/// (Mann and Whitney 1947, normal approximation). Ties do not happen: these are clock readings.
#[expect(clippy::cast_precision_loss, reason = "counts of a few thousand")]
fn z(one: &[f64], other: &[f64]) -> f64 {
    let wins = one.iter().map(|a| other.iter().filter(|b| a > *b).count()).sum::<usize>() as f64;
    let (n, m) = (one.len() as f64, other.len() as f64);
    (wins - n * m / 2.0) / (n * m * (n + m + 1.0) / 12.0).sqrt()
}

fn median(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

#[test]
fn the_ranks_of_two_samples_say_whether_they_differ() {
    // Even against odd numbers, and then a tenth of the range apart.
    let even: Vec<_> = (0..60).map(|n| f64::from(2 * n)).collect();
    let odd: Vec<_> = (0..60).map(|n| f64::from(2 * n + 1)).collect();
    assert!(z(&even, &odd).abs() < 0.2);
    let apart: Vec<_> = even.iter().map(|n| n + 60.0).collect();
    assert!(z(&apart, &even) > LIMIT && z(&even, &apart) < -LIMIT);
}
