//! Nodes of the cluster that are killed under load. `iam/tests/three-nodes.sh` runs it on three.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tollgate_iam::journal::cql::cache;
use tollgate_iam::journal::replay;
use tollgate_iam::seal::Seal;
use tollgate_iam::state::{Position, Read, State};

use super::harness::{Iam, Person};
use super::keyspace::Keyspace;
use super::nodes::{SEAL_KEY, journal, node};

const WRITERS: usize = 8;
/// How much is written before a kill, while a node is away, and after it came back.
const MUCH: usize = 200;
const PATIENCE: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "kills nodes of a cluster of three: iam/tests/three-nodes.sh starts one and runs this"]
#[expect(clippy::print_stderr, reason = "figures, for those who run it")]
async fn a_node_of_the_cluster_that_is_killed_loses_nothing_that_was_answered() {
    Keyspace::lend(async |keyspace| {
        let nodes = [Arc::new(node(keyspace).await), Arc::new(node(keyspace).await)];
        let admin = nodes[0].claim().await;
        let (stopping, stop) = watch::channel(false);
        let (count, mut writers) = (Arc::new(AtomicUsize::new(0)), JoinSet::new());
        for n in 0..WRITERS {
            let iam = Arc::clone(&nodes[n % 2]);
            let person = Arc::new(iam.person(admin.key.clone()).await);
            writers.spawn(write(iam, person, n, Arc::clone(&count), stop.clone()));
        }
        for victim in ["1", "2", "3"] {
            more(&count).await;
            cassandra(&["kill", victim]).await;
            let killed = Instant::now();
            more(&count).await;
            eprintln!(
                "node {victim} was killed: {MUCH} changes in {:?} without it",
                killed.elapsed()
            );
            cassandra(&["start", port(keyspace), "3"]).await;
            more(&count).await;
        }
        stopping.send_replace(true);
        let (mut answered, mut refused, mut longest) = (Vec::new(), 0, Duration::ZERO);
        for written in writers.join_all().await {
            answered.extend(written.answered);
            refused += written.refused;
            longest = longest.max(written.longest);
        }
        eprintln!(
            "{} changes were answered, {refused} were not; the longest wait was {longest:?}",
            answered.len()
        );

        let list = json!({"operation": "list-workspaces"});
        for node in &nodes {
            // What it would be refused for, it knows.
            node.workspace(&admin, "last").await;
            let there = node.by(&admin, list.clone()).await.unwrap().workspaces;
            for id in &answered {
                assert!(there.iter().any(|workspace| workspace.id == *id), "{id} was lost");
            }
        }
        let mut folders = Vec::new();
        for node in nodes {
            let node = Arc::try_unwrap(node).unwrap_or_else(|_| panic!("somebody still writes"));
            folders.push(node.stop().await);
        }
        let (seal, journal) =
            (Seal::new(&SEAL_KEY.into()).unwrap(), journal(keyspace, &folders[0]).await);
        let fresh = State::in_memory().unwrap();
        replay::catch_up(&journal, &fresh, &seal).await.unwrap();
        for folder in &folders {
            let state = cache::open(&folder.path().join("data"), &journal, &seal).await.unwrap();
            assert_eq!(position(&state), position(&fresh));
        }
        eprintln!(
            "both nodes, and one that read all of it anew, stand at entry {} with the same digest",
            position(&fresh).seq
        );
    })
    .await;
}

struct Written {
    answered: Vec<String>,
    refused: usize,
    longest: Duration,
}

async fn write(
    iam: Arc<Iam>,
    admin: Arc<Person>,
    writer: usize,
    count: Arc<AtomicUsize>,
    stop: watch::Receiver<bool>,
) -> Written {
    let mut written = Written { answered: Vec::new(), refused: 0, longest: Duration::ZERO };
    for n in 0.. {
        let (id, asked) = (format!("w{writer}-{n}"), Instant::now());
        if *stop.borrow() {
            break;
        }
        if iam.try_workspace(&admin, &id).await {
            count.fetch_add(1, Ordering::Relaxed);
            written.answered.push(id);
            written.longest = written.longest.max(asked.elapsed());
        } else {
            written.refused += 1;
        }
    }
    written
}

/// Waits until much more was answered.
async fn more(count: &AtomicUsize) {
    let (begun, before) = (Instant::now(), count.load(Ordering::Relaxed));
    while count.load(Ordering::Relaxed) < before + MUCH {
        assert!(begun.elapsed() < PATIENCE, "nothing is written any more");
        sleep(Duration::from_millis(5)).await;
    }
}

fn port(keyspace: &Keyspace) -> &str {
    keyspace.cluster.rsplit(':').next().unwrap()
}

async fn cassandra(words: &[&str]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cassandra.sh");
    let mut command = Command::new(script);
    command.args(words);
    let done = tokio::task::spawn_blocking(move || command.status().unwrap()).await.unwrap();
    assert!(done.success(), "{words:?}");
}

fn position(state: &State) -> Position {
    state.view().unwrap().position().clone()
}
