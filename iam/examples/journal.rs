//! What the embedded journal costs: changes a sync under concurrent writers, and a million changes
//! rebuilt, written to a snapshot, loaded from it, verified and started on.
//!
//! `cargo run --release -p tollgate-iam --example journal -- [--changes N] [--seconds N] [FOLDER]`
//!
//! Each step of the second part is a process of its own, so that its peak memory is its own. The
//! figures in `docs/PERFORMANCE.md` come from here.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Parser, ValueEnum};
use secrecy::SecretString;
use tokio::time::Instant;
use tollgate_iam::commit::{Decided, MAX_CHANGES, Proposal, Writer};
use tollgate_iam::config::{DEFAULTS, IamSettings};
use tollgate_iam::feed::Feed;
use tollgate_iam::journal::embedded::{Embedded, FILE};
use tollgate_iam::journal::entry::Act;
use tollgate_iam::journal::{Journal, replay, snapshot, verify};
use tollgate_iam::policy;
use tollgate_iam::record::{Change, Deployment, Outcome, User};
use tollgate_iam::seal::Seal;
use tollgate_iam::state::{Read, State};
use tollgate_proto::iam::Client;
use tollgate_proto::ids::{OperationId, UserId, WorkspaceId};
use tollgate_runtime::clock::SystemClock;
use tollgate_runtime::config::{Flags, LinkSettings, load};
use tollgate_runtime::files;
use tollgate_runtime::lifecycle::Lifecycle;
use tollgate_runtime::units::Period;
use uuid::Uuid;

/// The seal key of the data that is made here.
const SEAL_KEY: &str = "5555555555555555555555555555555555555555555555555555555555555555";
/// One change in this many makes a user; the others change one.
const USERS: u64 = 10;
/// How long gateways trust what they heard; nobody listens here.
const LEASE: Duration = Duration::from_secs(5);

#[derive(Debug, Parser)]
struct Line {
    /// How many changes the second part is about.
    #[arg(long, default_value_t = 1_000_000)]
    changes: u64,
    /// How long each row of the first part is measured.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Where the data goes; a folder of its own is made there and removed.
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// One step only, on the folder itself.
    #[arg(long, hide = true)]
    step: Option<Step>,
}

/// The steps of the second part, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Step {
    Fill,
    Rebuild,
    Write,
    Load,
    Verify,
    Start,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let line = Line::parse();
    if let Some(step) = line.step {
        return run_step(step, &line).await;
    }
    let folder = line.folder.join(format!("journal-bench-{}", std::process::id()));
    let measured = measure(&line, &folder).await;
    fs::remove_dir_all(&folder)?;
    measured
}

async fn measure(line: &Line, folder: &Path) -> anyhow::Result<()> {
    say(&format!("a sync of 4 KiB: {:?} (median)", sync_latency(folder)?))?;
    say("writers  changes/s  entries/s  changes an entry")?;
    for writers in [1, 32, 256] {
        let own = folder.join(writers.to_string());
        files::make_private_folder(&own)?;
        let (changes, entries) = group_commit(&own, writers, line.seconds).await?;
        let rate = |count: u32| u64::from(count) / line.seconds;
        let each = f64::from(changes) / f64::from(entries);
        say(&format!("{writers:7} {:10} {:10} {each:17.1}", rate(changes), rate(entries)))?;
    }
    say(&format!("{} changes:", line.changes))?;
    let own = folder.join("data");
    files::make_private_folder(&own)?;
    files::write_new_secret(&own.join("seal.key"), SEAL_KEY)?;
    for step in Step::value_variants() {
        let name = step.to_possible_value().context("a step without a name")?;
        let status = Command::new(std::env::current_exe()?)
            .args(["--step", name.get_name(), "--changes", &line.changes.to_string()])
            .arg(&own)
            .status()?;
        if !status.success() {
            bail!("the step {} failed", name.get_name());
        }
    }
    Ok(())
}

/// What the disk takes to keep something.
fn sync_latency(folder: &Path) -> anyhow::Result<Duration> {
    files::make_private_folder(folder)?;
    let mut file = File::create(folder.join("sync"))?;
    let mut took = Vec::new();
    for _ in 0..101 {
        file.write_all(&[7; 4_096])?;
        let begun = Instant::now();
        file.sync_data()?;
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    Ok(took[took.len() / 2])
}

/// Writers that each propose again as soon as they are answered. Gives changes and entries.
async fn group_commit(folder: &Path, writers: u64, seconds: u64) -> anyhow::Result<(u32, u32)> {
    let (journal, state) = Embedded::open(&folder.join(FILE))?;
    replay::begin(&journal, &state, &seal()?)?;
    let life = Lifecycle::new();
    let feed = Feed::begin(&state, LEASE)?;
    let writer =
        Writer::start(Arc::new(journal), state.clone(), seal()?, feed, Arc::default(), &life);
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..writers {
        let writer = writer.clone();
        tasks.spawn(async move {
            let mut changes = 0;
            while Instant::now() < end {
                let user = new_user(number << 32 | changes);
                writer.commit(propose(user)).await.map_err(|error| anyhow::anyhow!("{error}"))?;
                changes += 1;
            }
            Ok::<u64, anyhow::Error>(changes)
        });
    }
    let mut changes = 0;
    for done in tasks.join_all().await {
        changes += done?;
    }
    Ok((u32::try_from(changes)?, u32::try_from(state.view()?.position().seq.0)?))
}

fn propose(user: User) -> Proposal {
    let decide = move |_: &dyn Read| {
        let allowed = policy::allow_claim(&Deployment::default())?;
        let changes = vec![Change::AddUser(user.clone())];
        Ok(Decided { allowed, changes, outcome: Outcome::Done })
    };
    Proposal {
        id: OperationId(Uuid::new_v4()),
        operation: "create-user",
        actor: None,
        client: Client::default(),
        at_ms: 0,
        decide: Box::new(decide),
    }
}

async fn run_step(step: Step, line: &Line) -> anyhow::Result<()> {
    let begun = Instant::now();
    let path = line.folder.join(FILE);
    let (what, size) = match step {
        Step::Fill => {
            fill(&path, line.changes).await?;
            ("entries written", Some(path))
        }
        Step::Rebuild => {
            let (journal, stored) = Embedded::open(&path)?;
            let made = State::in_memory()?;
            replay::catch_up(&journal, &made, &seal()?).await?;
            if made.view()?.position() != stored.view()?.position() {
                bail!("the rebuilt state is another one");
            }
            ("rebuilt from every entry", None)
        }
        Step::Write => {
            let (journal, state) = Embedded::open(&path)?;
            snapshot::save(&journal, &state, &seal()?).await?;
            ("snapshot written", Some(line.folder.join("iam.snapshot")))
        }
        Step::Load => {
            let (journal, stored) = Embedded::open(&path)?;
            let made = State::in_memory()?;
            replay::catch_up(&journal, &made, &seal()?).await?;
            if made.view()?.position() != stored.view()?.position() {
                bail!("the loaded state is another one");
            }
            ("rebuilt from the snapshot", None)
        }
        Step::Verify => {
            let (journal, state) = Embedded::look_at(&path)?;
            let report = verify::verify(&journal, &state, &seal()?).await;
            if !report.problems.is_empty() {
                bail!("{:?}", report.problems);
            }
            ("verified", None)
        }
        Step::Start => {
            let lifecycle = Lifecycle::new();
            let secret = SecretString::from("a service secret of 32 characters");
            let settings = settings(&line.folder)?;
            let (secret_file, ca_file) = (PathBuf::new(), PathBuf::new());
            let between = LinkSettings { secret_file, ca_file, lease: Period(LEASE) };
            let clock = SystemClock::shared();
            tollgate_iam::start(&settings, &between, secret, clock, &lifecycle).await?;
            ("server started", None)
        }
    };
    let (took, busy, memory) = (begun.elapsed().as_secs_f64(), processor_time()?, peak_memory()?);
    let size = size.map(|path| path.metadata()).transpose()?;
    let size = size.map(|file| format!(", {} MB on disk", file.len() >> 20)).unwrap_or_default();
    say(&format!("  {what:26} {took:8.2} s ({busy:6.2} s of CPU), {memory:4} MB at most{size}"))
}

/// Writes full entries, as group commit does under load.
async fn fill(path: &Path, changes: u64) -> anyhow::Result<()> {
    let (journal, state) = Embedded::open(path)?;
    let seal = seal()?;
    replay::begin(&journal, &state, &seal)?;
    let mut done = 0;
    while done < changes {
        let last = (done + MAX_CHANGES as u64).min(changes);
        let acts = (done..last).map(act).collect();
        let mut open = state.open()?;
        let row = replay::append(&mut open, acts, &seal)?;
        journal.commit(open, row).await?;
        done = last;
    }
    Ok(())
}

fn act(number: u64) -> Act {
    let change = if number.is_multiple_of(USERS) {
        Change::AddUser(new_user(number))
    } else {
        // Some user of before, without a pattern that a cache could like.
        let user = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) % (number / USERS + 1) * USERS;
        Change::SetProfile { user: id(user), name: format!("User {number}"), email: String::new() }
    };
    Act {
        id: OperationId(Uuid::new_v4()),
        operation: "update-user".to_owned(),
        at_ms: 0,
        actor: None,
        client: Client::default(),
        capability: None,
        outcome: Outcome::User(id(number)),
        changes: vec![change],
    }
}

fn new_user(number: u64) -> User {
    User {
        id: id(number),
        username: format!("user{number}"),
        name: "Somebody".to_owned(),
        email: format!("user{number}@example.com"),
        home: WorkspaceId::default_workspace(),
        enabled: true,
        suspended: false,
        password: None,
        must_change_password: false,
        auth_epoch: 1,
        authz_epoch: 1,
        created_ms: 0,
    }
}

/// Spread as drawn ids are.
fn id(number: u64) -> UserId {
    UserId(Uuid::from_u64_pair(number.wrapping_mul(0x9E37_79B9_7F4A_7C15), number))
}

fn seal() -> anyhow::Result<Seal> {
    Ok(Seal::new(&SecretString::from(SEAL_KEY))?)
}

fn settings(folder: &Path) -> anyhow::Result<IamSettings> {
    #[derive(serde::Deserialize)]
    struct Whole {
        iam: IamSettings,
    }
    let folder = folder.display().to_string();
    let settings = vec![
        ("iam.listen", "127.0.0.1:0".to_owned()),
        ("iam.bootstrap_mode", "bootstrap".to_owned()),
        ("iam.data_dir", folder),
    ];
    Ok(load::<Whole>(&[DEFAULTS], &Flags { file: None, settings }, [])?.iam)
}

/// Of all threads, in seconds.
fn processor_time() -> anyhow::Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(") ").context("no stat")?;
    let ticks = fields.split(' ').skip(11).take(2).map(str::parse::<u32>);
    Ok(f64::from(ticks.sum::<Result<u32, _>>()?) / 100.0)
}

/// In MB.
fn peak_memory() -> anyhow::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes: u64 =
        line.and_then(|line| line.trim().strip_suffix(" kB")).context("no VmHWM")?.parse()?;
    Ok(kilobytes >> 10)
}

fn say(line: &str) -> anyhow::Result<()> {
    Ok(writeln!(io::stdout(), "{line}")?)
}
