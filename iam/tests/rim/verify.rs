//! `journal verify`: one changed byte is found, wherever it is, and named.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, TableHandle};
use secrecy::SecretString;
use tollgate_iam::journal::embedded::{self, Embedded, FILE, SNAPSHOT_FILE};
use tollgate_iam::journal::{snapshot, verify};
use tollgate_iam::seal::Seal;

use super::harness::Iam;
use super::program::program;

type Bytes = TableDefinition<'static, &'static [u8], &'static [u8]>;
const ENTRIES: TableDefinition<u64, &[u8]> = TableDefinition::new("journal-entries");

/// A stopped server's data, with a snapshot before the last entries.
struct Stopped {
    folder: std::sync::Arc<tempfile::TempDir>,
}

impl Stopped {
    async fn new() -> Self {
        let (iam, admin) = Iam::claimed().await;
        iam.member(&admin, "acme", "ann", "reader").await;
        let stopped = Self { folder: iam.stop().await };
        {
            let (journal, state) = Embedded::open(&stopped.data()).unwrap();
            snapshot::save(&journal, &state, &stopped.seal()).await.unwrap();
        }
        let iam = Iam::on(stopped.folder).await;
        iam.member(&admin, "acme2", "bob", "writer").await;
        Self { folder: iam.stop().await }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("data").join(name)
    }

    fn data(&self) -> PathBuf {
        self.path(FILE)
    }

    fn seal(&self) -> Seal {
        let key = fs::read_to_string(self.path("seal.key")).unwrap();
        Seal::new(&SecretString::from(key.trim())).unwrap()
    }

    /// Everything that is wrong, without the program around it.
    async fn problems(&self) -> Vec<String> {
        let (data, seal) = (self.data(), self.seal());
        let looked = tokio::task::spawn_blocking(move || Embedded::look_at(&data)).await;
        let mut problems = match looked {
            Ok(Ok((journal, state))) => {
                let report = verify::verify(&journal, &state, &seal).await;
                report.problems.iter().map(ToString::to_string).collect()
            }
            Ok(Err(error)) => vec![error.to_string()],
            Err(panic) => vec![panic.to_string()],
        };
        problems.extend(embedded::check_pages(&self.data()).err().map(|error| error.to_string()));
        problems
    }

    /// Runs the program: its status and what it says on stdout.
    fn verify(&self) -> (Option<i32>, String) {
        let output = program(self.folder.path()).args(["journal", "verify"]).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    }

    /// Changes something through redb, so that every page is in order.
    fn change(&self, change: impl FnOnce(&redb::WriteTransaction)) {
        let database = Database::open(self.data()).unwrap();
        let transaction = database.begin_write().unwrap();
        change(&transaction);
        transaction.commit().unwrap();
    }
}

/// Every row of every table.
fn dump(path: &Path) -> Vec<(String, Vec<u8>, Vec<u8>)> {
    let database = Database::open(path).unwrap();
    let transaction = database.begin_read().unwrap();
    let mut rows = Vec::new();
    for table in transaction.list_tables().unwrap() {
        let name = table.name().to_owned();
        let definition: Bytes = TableDefinition::new(Box::leak(name.clone().into_boxed_str()));
        // Tables of numbers are looked at elsewhere.
        let Ok(table) = transaction.open_table(definition) else { continue };
        for row in table.iter().unwrap() {
            let (key, value) = row.unwrap();
            rows.push((name.clone(), key.value().to_vec(), value.value().to_vec()));
        }
    }
    rows
}

#[tokio::test]
async fn whole_data_is_whole_and_is_left_as_it_is() {
    let stopped = Stopped::new().await;
    let before = fs::read(stopped.data()).unwrap();
    let (status, said) = stopped.verify();
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("\nentries 1 to 7\n"), "{said}");
    assert!(said.contains("\na snapshot at entry 4\n"), "{said}");
    assert!(said.ends_with("all of it is as it was written\n"), "{said}");
    assert_eq!(fs::read(stopped.data()).unwrap(), before);
}

#[tokio::test]
async fn files_that_a_server_has_open_are_not_touched() {
    let (iam, _) = Iam::claimed().await;
    for command in ["verify", "compact"] {
        let output = program(iam.folder.path()).args(["journal", command]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        let expect = "tollgate-iam: data is in use by another process; stop it or set \
                      iam.data_dir\n";
        assert_eq!((output.status.code(), &*said), (Some(2), expect), "{command}");
    }
}

/// It may lie on a read-only file system, where nobody can have the lock of one who writes.
#[tokio::test]
async fn a_journal_is_looked_at_without_the_right_to_write_it() {
    let stopped = Stopped::new().await;
    let data = stopped.data();
    let held = fs::File::open(&data).unwrap();
    held.lock_shared().unwrap();
    let looked = tokio::task::spawn_blocking(move || Embedded::look_at(&data).map(drop)).await;
    looked.unwrap().unwrap();
    drop(held);
    fs::set_permissions(stopped.data(), fs::Permissions::from_mode(0o666)).unwrap();
    let output = program(stopped.folder.path()).args(["journal", "verify"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("No server starts on it: "), "{said}");
    assert!(said.contains("run: chmod 600"), "{said}");
}

#[tokio::test]
async fn a_panic_of_redb_is_a_problem_and_no_stack_trace() {
    let stopped = Stopped::new().await;
    let mut bytes = fs::read(stopped.data()).unwrap();
    bytes[4_096] ^= 1;
    fs::write(stopped.data(), bytes).unwrap();
    let mut command = program(stopped.folder.path());
    let output = command.env("RUST_BACKTRACE", "1").args(["journal", "verify"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(!said.contains("panicked"), "{said}");
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("PROBLEM: "), "{told}");
}

#[tokio::test]
async fn a_changed_entry_is_named() {
    let stopped = Stopped::new().await;
    let before = fs::read(stopped.data()).unwrap();
    for seq in 1..=7 {
        for part in 0..5 {
            stopped.change(|transaction| {
                let mut entries = transaction.open_table(ENTRIES).unwrap();
                let mut bytes = entries.get(seq).unwrap().unwrap().value().to_vec();
                let at = (bytes.len() - 1) * part / 4;
                bytes[at] ^= 1;
                entries.insert(seq, bytes.as_slice()).unwrap();
            });
            let (status, said) = stopped.verify();
            let expect = format!("PROBLEM: entry {seq} was changed, or sealed under another");
            assert!(status == Some(1) && said.contains(&expect), "{seq} {part} {said}");
            fs::write(stopped.data(), &before).unwrap();
        }
    }
}

#[tokio::test]
async fn a_missing_entry_is_named() {
    let stopped = Stopped::new().await;
    for (seq, expect) in [
        (3, "PROBLEM: entry 3 is missing"),
        (7, "PROBLEM: the journal ends with entry 6, and the state with entry 7"),
    ] {
        let before = fs::read(stopped.data()).unwrap();
        stopped.change(|transaction| {
            transaction.open_table(ENTRIES).unwrap().remove(seq).unwrap();
        });
        let (status, said) = stopped.verify();
        assert!(status == Some(1) && said.contains(expect), "{seq} {said}");
        fs::write(stopped.data(), &before).unwrap();
    }
}

#[tokio::test]
async fn a_changed_row_is_named_with_its_table_and_key() {
    let stopped = Stopped::new().await;
    let before = fs::read(stopped.data()).unwrap();
    let rows: Vec<_> = dump(&stopped.data())
        .into_iter()
        .filter(|(table, ..)| !table.starts_with("journal-"))
        .collect();
    assert!(rows.len() > 30, "{}", rows.len());
    for (table, key, row) in rows {
        let definition: Bytes = TableDefinition::new(Box::leak(table.clone().into_boxed_str()));
        stopped.change(|transaction| {
            let mut row = row.clone();
            let at = row.len() / 2;
            row[at] ^= 1;
            let mut rows = transaction.open_table(definition).unwrap();
            rows.insert(key.as_slice(), row.as_slice()).unwrap();
        });
        let problems = stopped.problems().await.join("\n");
        let expect = match &*table {
            "position" => "position".to_owned(),
            table => format!("of {table} is not what the journal made"),
        };
        assert!(problems.contains(&expect), "{table}: {problems}");
        if table == "workspaces" {
            let key = String::from_utf8(key).unwrap();
            assert_eq!(
                problems,
                format!("the row {key} of workspaces is not what the journal made")
            );
        }
        fs::write(stopped.data(), &before).unwrap();
    }
}

#[tokio::test]
async fn a_changed_snapshot_is_named() {
    let stopped = Stopped::new().await;
    let path = stopped.path(SNAPSHOT_FILE);
    let before = fs::read(&path).unwrap();
    let check = |bytes: &[u8], at: usize| {
        fs::write(&path, bytes).unwrap();
        let (status, said) = stopped.verify();
        let expect = "PROBLEM: the snapshot was changed, cut, or sealed under another seal key";
        assert!(status == Some(1) && said.contains(expect), "{at} {said}");
    };
    for at in (0..before.len()).step_by(before.len() / 60) {
        let mut bytes = before.clone();
        bytes[at] ^= 1;
        check(&bytes, at);
    }
    check(&before[..before.len() - 1], before.len());
}

/// redb finds damage of its own pages; whatever it does not find must have changed nothing.
#[tokio::test]
async fn a_changed_byte_of_the_file_is_found_or_means_nothing() {
    let stopped = Stopped::new().await;
    let (before, rows) = (fs::read(stopped.data()).unwrap(), dump(&stopped.data()));
    let used: Vec<_> = (0..before.len()).filter(|at| before[*at] != 0).collect();
    let mut found = 0;
    for at in used.iter().step_by(used.len() / 100) {
        let mut bytes = before.clone();
        bytes[*at] ^= 1;
        fs::write(stopped.data(), &bytes).unwrap();
        if stopped.problems().await.is_empty() {
            assert_eq!(dump(&stopped.data()), rows, "byte {at}");
        } else {
            found += 1;
        }
    }
    assert!(found > 5, "{found}");
}

/// The file has older copies of its pages; one of the places where an entry stands is the entry.
#[tokio::test]
async fn a_changed_byte_in_an_entry_in_the_file_is_named() {
    let stopped = Stopped::new().await;
    let before = fs::read(stopped.data()).unwrap();
    for seq in 1..=7 {
        let text = format!(r#"{{"format":2,"seq":{seq},"#);
        let places: Vec<_> =
            (0..before.len()).filter(|at| before[*at..].starts_with(text.as_bytes())).collect();
        let mut named = 0;
        for at in places {
            let mut bytes = before.clone();
            bytes[at + 100] ^= 1;
            fs::write(stopped.data(), &bytes).unwrap();
            let problems = stopped.problems().await.join("\n");
            if !problems.is_empty() {
                assert!(problems.contains(&format!("entry {seq} was changed")), "{problems}");
                assert!(problems.contains("the file is damaged"), "{problems}");
                named += 1;
            }
        }
        assert_eq!(named, 1, "entry {seq}");
    }
}
