//! One operation of IAM, from the flags that every such command takes to what is shown.
//!
//! In: flags, and an operation. Out: the reply as it came with `--json`, else what the command
//! reads in it. A reply that lacks what the command is for is a failure either way.

use serde::Serialize;
use tollgate_proto::iam::{Manner, Operation, Reply};

use crate::access::AccessArgs;
use crate::api::{Answer, Api};
use crate::context::Context;
use crate::manner::{self, MannerArgs, Told};
use crate::output::Output;

/// The flags of every command that asks IAM.
#[derive(clap::Args)]
pub(crate) struct IamArgs {
    #[command(flatten)]
    access: AccessArgs,
    /// Print the reply as JSON
    #[arg(long, display_order = LAST)]
    json: bool,
}

/// The flags of every command that moves authority.
#[derive(clap::Args)]
pub(crate) struct ChangeArgs {
    #[command(flatten)]
    iam: IamArgs,
    #[command(flatten)]
    manner: MannerArgs,
}

/// Behind the flags that a command has of its own.
const LAST: usize = 100;

/// The flags of a command about one user.
#[derive(clap::Args)]
pub(crate) struct UserArgs {
    /// The user
    #[arg(long, value_name = "ID")]
    pub user_id: String,
    /// Refuse unless the user's home workspace is this one
    #[arg(short, long, value_name = "ID")]
    pub workspace: Option<String>,
}

/// IAM, as one caller.
pub(crate) struct Iam<'a> {
    api: Api,
    json: bool,
    /// How changes are made.
    manner: Manner,
    output: &'a Output,
}

/// An operation as it goes over the wire.
#[derive(Serialize)]
struct Asked<'a> {
    #[serde(flatten)]
    operation: &'a Operation,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    wait: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dry_run: bool,
}

/// What a reply says to people: words on stderr, then data on stdout.
pub(crate) struct Shown {
    notes: Vec<String>,
    data: String,
    json: Option<String>,
}

impl IamArgs {
    /// Settles where IAM is and who asks; nothing is sent yet.
    pub(crate) fn connect<'a>(self, context: &Context<'a>) -> anyhow::Result<Iam<'a>> {
        let api = Api::new(self.access.resolve(context)?)?;
        Ok(Iam { api, json: self.json, manner: Manner::Usual, output: context.output })
    }
}

impl ChangeArgs {
    /// The same for somebody who changes something.
    pub(crate) fn connect<'a>(self, context: &Context<'a>) -> anyhow::Result<Iam<'a>> {
        Ok(Iam { manner: self.manner.into(), ..self.iam.connect(context)? })
    }
}

impl Iam<'_> {
    /// Does an operation and shows what `read` makes of the reply.
    pub(crate) async fn operate(
        &self,
        operation: &Operation,
        read: impl FnOnce(&Reply) -> anyhow::Result<Shown>,
    ) -> anyhow::Result<()> {
        self.show(&self.ask(operation).await?, read)
    }

    /// The same with a request that has a path of its own.
    pub(crate) async fn call(
        &self,
        path: &str,
        body: &impl Serialize,
        read: impl FnOnce(&Reply) -> anyhow::Result<Shown>,
    ) -> anyhow::Result<()> {
        self.show(&self.api.call(path, body).await?, read)
    }

    /// Does an operation and shows nothing yet.
    pub(crate) async fn ask(&self, operation: &Operation) -> anyhow::Result<Answer> {
        let (wait, dry_run) = (self.manner == Manner::Wait, self.manner == Manner::DryRun);
        self.api.operate(&Asked { operation, wait, dry_run }).await
    }

    /// Whether nothing is changed, whatever is asked.
    pub(crate) fn only_rehearses(&self) -> bool {
        self.manner == Manner::DryRun
    }

    /// Shows what was made of several replies.
    pub(crate) fn tell(&self, words: &str, json: &serde_json::Value) -> anyhow::Result<()> {
        self.output.line(&if self.json { json.to_string() } else { words.to_owned() })
    }

    fn show(
        &self,
        answer: &Answer,
        read: impl FnOnce(&Reply) -> anyhow::Result<Shown>,
    ) -> anyhow::Result<()> {
        let told = manner::told(self.manner, &answer.reply)?;
        if let Told::Rehearsed(words) = &told {
            return self.output.line(if self.json { answer.text.trim() } else { words });
        }
        let shown = read(&answer.reply)?;
        if self.json {
            return self.output.line(shown.json.as_deref().unwrap_or(answer.text.trim()));
        }
        for note in &shown.notes {
            self.output.note(note);
        }
        self.output.line(&shown.data)?;
        if let Told::Heard(words) = told {
            self.output.note(&words);
        }
        Ok(())
    }
}

impl Shown {
    /// Data alone.
    pub(crate) fn data(data: impl Into<String>) -> Self {
        Self { notes: Vec::new(), data: data.into(), json: None }
    }

    /// A line of words.
    #[must_use]
    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// What programs get where the reply wraps it in a text.
    #[must_use]
    pub(crate) fn json(mut self, json: impl Into<String>) -> Self {
        self.json = Some(json.into());
        self
    }
}
