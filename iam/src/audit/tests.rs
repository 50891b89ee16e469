//! The task and its file, on a journal in memory and on paused time.

use std::path::PathBuf;

use tollgate_proto::audit::{Event, Verifier, read_line};
use tollgate_proto::iam::Client;
use tollgate_proto::ids::OperationId;
use tollgate_runtime::clock::ManualClock;
use uuid::Uuid;

use super::*;
use crate::commit::{Decided, Proposal, Writer};
use crate::feed::Feed;
use crate::journal::laws::{Node, seal};
use crate::policy;
use crate::record::{Change, Deployment, Outcome, Workspace};

/// A writer, its audit file, and whatever ends both.
struct Trail {
    folder: tempfile::TempDir,
    node: Node,
}

impl Trail {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), node: Node::embedded() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("audit.jsonl")
    }

    async fn start(&self) -> (Writer, Audit, Lifecycle) {
        let life = Lifecycle::new();
        let (journal, state) = (Arc::clone(&self.node.journal), self.node.state.clone());
        let feed = Feed::begin(&state, std::time::Duration::from_secs(5)).unwrap();
        let metrics = Arc::<crate::metrics::Metrics>::default();
        let writer = Writer::start(
            Arc::clone(&journal),
            state.clone(),
            seal(),
            feed,
            Arc::clone(&metrics),
            &life,
        );
        let source = Source { journal, state, seal: seal(), committed: writer.committed() };
        let clock = ManualClock::at_ms(1_800_000_000_000);
        let audit = Audit::start(&self.path(), source, clock, metrics, &life).await.unwrap();
        (writer, audit, life)
    }

    /// The lines of some files, which must be one whole chain.
    fn lines(&self, names: &[&str]) -> Vec<Line> {
        let (seal, mut verifier, mut lines) = (seal(), Verifier::default(), Vec::new());
        for name in names {
            verifier.next_file();
            let bytes = std::fs::read(self.folder.path().join(name)).unwrap();
            let (mut from, mut text) = (&*bytes, Vec::new());
            while read_line(&mut from, &mut text).unwrap() > 0 {
                verifier.take(&text, &seal.audit_key().open(&text)).unwrap();
                lines.push(serde_json::from_slice(&text).unwrap());
            }
        }
        lines
    }
}

/// An operation that makes a workspace.
fn make(number: u128) -> Proposal {
    let workspace = Workspace {
        id: format!("w{number}").parse().unwrap(),
        name: String::new(),
        enabled: true,
        created_ms: 0,
    };
    Proposal {
        id: OperationId(Uuid::from_u128(number)),
        operation: "create-workspace",
        actor: None,
        client: Client::default(),
        at_ms: 1_800_000_000_000,
        decide: Box::new(move |_| {
            let allowed = policy::allow_claim(&Deployment::default())?;
            let changes = vec![Change::AddWorkspace(workspace.clone())];
            Ok(Decided { allowed, changes, outcome: Outcome::Done })
        }),
    }
}

/// Several operations in one entry.
async fn make_together(writer: &Writer, numbers: std::ops::Range<u128>) {
    let made = numbers.map(|number| writer.commit(make(number)));
    for made in futures_util::future::join_all(made).await {
        made.unwrap();
    }
}

async fn stop(writer: Writer, audit: Audit, life: Lifecycle) {
    drop((writer, audit));
    assert!(life.stop(std::time::Duration::from_mins(1)).await);
}

fn made(lines: &[Line]) -> Vec<(u64, u128)> {
    let made = lines.iter().filter(|line| line.event == Event::WorkspaceCreate);
    made.map(|line| (line.seq.unwrap().0, line.request_id.unwrap().0.as_u128())).collect()
}

/// However many of the lines of an entry a crash left, the rest is made, and no more.
#[tokio::test(start_paused = true)]
async fn lines_are_made_once_wherever_a_crash_came() {
    let trail = Trail::new();
    let (writer, audit, life) = trail.start().await;
    let head = std::fs::read(tollgate_proto::audit::head_path(&trail.path())).unwrap();
    make_together(&writer, 1..2).await;
    make_together(&writer, 2..6).await;
    stop(writer, audit, life).await;
    let whole = std::fs::read(trail.path()).unwrap();
    let expect = made(&trail.lines(&["audit.jsonl"]));
    assert_eq!(expect, [(1, 1), (2, 2), (2, 3), (2, 4), (2, 5)]);
    let begun = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    // In the middle of a line, and at each end of one.
    let ends = (begun..whole.len()).filter(|at| at % 97 == 0 || whole[at - 1] == b'\n');
    for length in ends {
        std::fs::write(trail.path(), &whole[..length]).unwrap();
        std::fs::write(tollgate_proto::audit::head_path(&trail.path()), &head).unwrap();
        let (writer, audit, life) = trail.start().await;
        stop(writer, audit, life).await;
        let lines = trail.lines(&["audit.jsonl"]);
        assert_eq!(made(&lines), expect, "cut at {length}");
        assert!(lines.iter().all(|line| line.event != Event::AuditBroken), "cut at {length}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_moved_away_while_it_is_written_is_followed_within_a_second() {
    let trail = Trail::new();
    let (writer, audit, life) = trail.start().await;
    make_together(&writer, 1..2).await;
    std::fs::rename(trail.path(), trail.folder.path().join("audit.jsonl.1")).unwrap();
    // The time is paused: this takes as long as the timer of the task.
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    make_together(&writer, 2..3).await;
    stop(writer, audit, life).await;
    assert_eq!(made(&trail.lines(&["audit.jsonl.1"])), [(1, 1)]);
    assert_eq!(made(&trail.lines(&["audit.jsonl"])), [(2, 2)]);
    let both = trail.lines(&["audit.jsonl.1", "audit.jsonl"]);
    assert_eq!(made(&both), [(1, 1), (2, 2)]);
}

#[tokio::test(start_paused = true)]
async fn a_line_that_finds_no_place_is_counted() {
    let trail = Trail::new();
    let (writer, audit, life) = trail.start().await;
    let accepted = Line::new(Event::AuthOk, String::new(), "".into());
    let Audit(Some(handle)) = &audit else { panic!("it is off") };
    // The task has no turn in between.
    for _ in 0..QUEUE + 5 {
        handle.write(accepted.clone());
    }
    stop(writer, audit, life).await;
    let lines = trail.lines(&["audit.jsonl"]);
    assert_eq!(lines.iter().filter(|line| line.event == Event::AuthOk).count(), QUEUE);
    let dropped = lines.iter().find(|line| line.event == Event::AuditDropped).unwrap();
    assert_eq!(dropped.reason.as_ref().unwrap().as_str(), "5 lines were lost");
}

/// The file of one journal goes on with the entries of another, from its first.
#[tokio::test(start_paused = true)]
async fn another_journal_begins_anew_in_the_same_file() {
    let trail = Trail::new();
    let (writer, audit, life) = trail.start().await;
    make_together(&writer, 1..4).await;
    make_together(&writer, 4..5).await;
    stop(writer, audit, life).await;
    let trail = Trail { node: Node::embedded(), ..trail };
    let (writer, audit, life) = trail.start().await;
    make_together(&writer, 7..8).await;
    stop(writer, audit, life).await;
    let lines = trail.lines(&["audit.jsonl"]);
    assert_eq!(made(&lines), [(1, 1), (1, 2), (1, 3), (2, 4), (1, 7)]);
    assert!(lines.iter().all(|line| line.event != Event::AuditBroken));
}
