//! `tg audit` on a file as IAM writes it.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use expect_test::expect;
use secrecy::SecretString;
use tollgate_proto::audit::{
    AuditKey, Event, Head, Line, Next, Peer, Target, TargetKind, Verdict, head_path,
};
use tollgate_proto::iam::Via;
use tollgate_proto::ids::{JournalId, Seq, UserId};
use tollgate_proto::seal_key::{Mac, SealKey};
use uuid::Uuid;

use crate::harness::{binary, check, run, told};

/// A folder with a seal key and audit files.
struct Folder {
    temp: tempfile::TempDir,
    key: AuditKey,
}

impl Folder {
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let text = "a".repeat(64);
        fs::write(temp.path().join("seal.key"), format!("{text}\n")).unwrap();
        Self { temp, key: AuditKey::of(&SealKey::parse(&SecretString::from(text)).unwrap()) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    /// Writes lines of entries behind another, and gives the last one.
    fn write(&self, name: &str, seqs: std::ops::Range<u64>, prev: Option<Mac>) -> Option<Mac> {
        self.write_lines(name, &seqs.map(line).collect::<Vec<_>>(), prev)
    }

    fn write_lines(&self, name: &str, lines: &[Line], prev: Option<Mac>) -> Option<Mac> {
        let (mut text, mut last) = (Vec::new(), prev);
        for line in lines {
            let (sealed, mac) = self.key.seal(line, last).unwrap();
            text.extend(sealed);
            last = Some(mac);
        }
        fs::write(self.path(name), text).unwrap();
        last
    }

    fn write_head(&self, name: &str, last: Option<Mac>) {
        let journal = JournalId(Uuid::from_u128(1));
        let next = Next { seq: Seq(9), act: 0 };
        let head = Head { time: "2027-01-15T08:00:00Z".to_owned(), journal, next, last };
        fs::write(head_path(&self.path(name)), self.key.seal_head(&head).unwrap()).unwrap();
    }

    fn tg(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.env_clear().current_dir(&self.temp).args(args);
        command.stdin(std::process::Stdio::piped());
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        command
    }

    fn run(&self, args: &[&str]) -> std::process::Output {
        run(&mut self.tg(args), "")
    }

    fn verify(&self, files: &[&str]) -> std::process::Output {
        self.run(&[&["audit", "verify", "--seal-key-file", "seal.key"], files].concat())
    }
}

fn line(seq: u64) -> Line {
    let user = UserId(Uuid::from_u128(seq.into()));
    let (event, reason) = match seq % 2 {
        0 => (Event::UserCreate, None),
        _ => (Event::AuthFail, Some("an unknown\u{1b}[2J key".into())),
    };
    let outcome = if reason.is_some() { Verdict::Refused } else { Verdict::Ok };
    Line {
        seq: Some(Seq(seq)),
        client: Some(Peer { addr: Some("192.0.2.1".into()), via: Via::Http }),
        target: Some(Target::new(TargetKind::User, user).of(user).at(&"acme".parse().unwrap())),
        outcome,
        reason,
        ..Line::new(event, "2027-01-15T08:00:00.123456789Z".to_owned(), "host".into())
    }
}

#[test]
fn a_whole_chain_is_told_with_what_it_does_not_prove() {
    let folder = Folder::new();
    let last = folder.write("a.jsonl", 1..5, None);
    check(
        &folder.verify(&["a.jsonl"]),
        &expect![[r#"
            exit 0
            out:
            4 lines, chain whole, from seq 1 to 4
            err:
            There is no a.jsonl.head: lines that were removed at the end would not be missed.
        "#]],
    );
    let end = folder.write("b.jsonl", 5..7, last);
    folder.write_head("b.jsonl", end);
    check(
        &folder.verify(&["a.jsonl", "b.jsonl"]),
        &expect![[r#"
            exit 0
            out:
            6 lines, chain whole, from seq 1 to 6
            err:
        "#]],
    );
    let alone = told(&folder.verify(&["b.jsonl"]));
    assert!(alone.contains("follows on another file, whose last line has the mac"), "{alone}");
    check(
        &folder.verify(&["b.jsonl", "--json"]),
        &expect![[r#"
            exit 0
            out:
            {"first_seq":5,"is_begin_included":false,"is_end_known":true,"last_seq":6,"lines":2}
            err:
        "#]],
    );
}

#[test]
fn what_is_not_as_it_was_written_is_named() {
    let folder = Folder::new();
    let last = folder.write("a.jsonl", 1..5, None);
    folder.write_head("a.jsonl", last);
    let whole = fs::read_to_string(folder.path("a.jsonl")).unwrap();
    let check = |text: &str, expect: &str| {
        fs::write(folder.path("a.jsonl"), text).unwrap();
        let output = folder.verify(&["a.jsonl"]);
        assert_eq!(told(&output), format!("exit 1\nout:\nerr:\nException: {expect}\n"));
    };
    let changed = whole.replacen("\"seq\":3", "\"seq\":8", 1);
    check(&changed, "a.jsonl: line 3 (seq 8) was changed, or written under another seal key");
    let lines: Vec<_> = whole.split_inclusive('\n').collect();
    let gap = [lines[0], lines[2], lines[3]].concat();
    check(
        &gap,
        "a.jsonl: line 2 (seq 3) does not follow on the line before: lines were removed, inserted \
         or moved there",
    );
    check(
        &lines[..3].concat(),
        "lines were removed at the end: of 2027-01-15T08:00:00Z, the last one that IAM noted is \
         missing",
    );
    check(&whole[..whole.len() - 1], "a.jsonl: line 4 (seq 4) is cut off");
    fs::write(folder.path("seal.key"), "b".repeat(64)).unwrap();
    let other = "a.jsonl.head was changed, or written under another seal key";
    check(&whole, other);
    fs::write(folder.path("seal.key"), "b").unwrap();
    check(&whole, "seal.key: a seal key is 64 hexadecimal digits");
}

/// A chain is whole, too, when IAM was made to go on behind an older copy of its journal.
#[test]
fn a_journal_that_went_back_and_a_break_that_iam_found_are_named() {
    let folder = Folder::new();
    let opened = |journal: u128| {
        let journal = Target::new(TargetKind::Journal, Uuid::from_u128(journal));
        let target = Some(journal);
        Line { seq: None, event: Event::AuditOpened, target, reason: None, ..line(2) }
    };
    let reason = Some("line 1 was changed".into());
    let broken = Line { seq: None, event: Event::AuditBroken, target: None, reason, ..line(2) };
    let anew = [opened(1), line(6), line(6), opened(2), line(2), line(4), opened(2), line(6)];
    folder.write_lines("a.jsonl", &anew, None);
    assert!(folder.verify(&["a.jsonl"]).status.success());
    let back = [opened(1), line(6), opened(1), broken, line(4), line(6), opened(2), line(2)];
    folder.write_lines("a.jsonl", &back, None);
    check(
        &folder.verify(&["a.jsonl"]),
        &expect![[r#"
            exit 1
            out:
            err:
            a.jsonl: line 4: IAM found the file broken: line 1 was changed
            a.jsonl: line 5: seq 4 comes after seq 6 of the same journal: an older copy of the journal was put back
            Exception: the chain is whole, and what its lines tell is not: see above
        "#]],
    );
}

#[test]
fn the_last_lines_are_shown_for_people_or_as_they_stand() {
    let folder = Folder::new();
    folder.write("a.jsonl", 1..31, None);
    check(
        &folder.run(&["audit", "tail", "a.jsonl", "-n", "2"]),
        &expect![[r#"
        exit 0
        out:
        2027-01-15T08:00:00.123Z  auth.fail           refused user 00000000-0000-0000-0000-00000000001d in acme from 192.0.2.1 (http) - an unknown\u{1b}[2J key
        2027-01-15T08:00:00.123Z  user.create         ok      user 00000000-0000-0000-0000-00000000001e in acme from 192.0.2.1 (http)
        err:
    "#]],
    );
    let text = fs::read_to_string(folder.path("a.jsonl")).unwrap();
    let output = folder.run(&["audit", "tail", "a.jsonl", "--event", "*.fail", "--json"]);
    let expect: Vec<_> = text.lines().step_by(2).skip(5).collect();
    let shown = String::from_utf8(output.stdout).unwrap();
    assert_eq!(shown.lines().collect::<Vec<_>>(), expect);
    check(
        &folder.run(&["audit", "tail"]),
        &expect![[r#"
            exit 1
            out:
            err:
            Exception: tollgate-data/audit.jsonl: No such file or directory (os error 2)
        "#]],
    );
}

#[test]
fn lines_that_come_are_shown_also_from_the_next_file() {
    let folder = Folder::new();
    folder.write("a.jsonl", 1..3, None);
    let args = ["audit", "tail", "a.jsonl", "-n", "1", "--follow", "--json"];
    let mut child = folder.tg(&args).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || {
        let line: Line = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        line.seq.unwrap().0
    };
    assert_eq!(next(), 2);
    append(&folder.path("a.jsonl"), &folder.key.seal(&line(3), None).unwrap().0);
    assert_eq!(next(), 3);
    fs::rename(folder.path("a.jsonl"), folder.path("a.jsonl.1")).unwrap();
    folder.write("a.jsonl", 4..5, None);
    assert_eq!(next(), 4);
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Half of it first: nobody shows half a line.
fn append(path: &Path, text: &[u8]) {
    let mut file = OpenOptions::new().append(true).open(path).unwrap();
    let (first, rest) = text.split_at(text.len() / 2);
    file.write_all(first).unwrap();
    file.write_all(rest).unwrap();
}
