//! `tg can-i`: whether a user may do something, and which grant allows it or what is missing.
//!
//! In: a capability and a workspace. Out: a sentence, and exit code 0 for yes or 1 for no. The
//! answer is made from what IAM says the user may do and which workspaces can be used, never from
//! what this side knows of roles.

use anyhow::Context as _;
use clap::builder::PossibleValuesParser;
use hyper::StatusCode;
use serde_json::json;
use tollgate_proto::capability::Capability;
use tollgate_proto::iam::{
    EffectivePermissions, GrantRecord, Operation, RefusalKind, ScopePermissions, WorkspaceInput,
};

use crate::api::Refusal;
use crate::command::SaidNo;
use crate::context::Context;
use crate::grant::{self, DEPLOYMENT, place};
use crate::iam::{Iam, IamArgs};

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  tg can-i documents:write -w research     yes: role writer in research (grant 6f0c…)
  tg can-i users:admin -w '*'              no: needs users:admin in the whole deployment; …")]
pub(crate) struct Args {
    #[command(flatten)]
    iam: IamArgs,
    /// What to do: documents:read, users:admin, …
    #[arg(value_parser = known_capability(), hide_possible_values = true)]
    capability: String,
    /// Where, or * for the whole deployment [default: the user's home workspace]
    #[arg(short, long, value_name = "ID")]
    workspace: Option<String>,
    /// Who [default: the caller]
    #[arg(long, value_name = "ID")]
    user_id: Option<String>,
}

/// A misspelt capability is a misuse and not a no.
fn known_capability() -> PossibleValuesParser {
    PossibleValuesParser::new(Capability::ALL.iter().map(|capability| capability.as_str()))
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> anyhow::Result<()> {
    let iam = args.iam.connect(context)?;
    let workspace = match args.workspace {
        Some(workspace) => workspace,
        None => home(&iam, args.user_id.as_deref()).await?,
    };
    let is_self = args.user_id.is_none();
    let operation = Operation::ResolveEffectivePermissions { user_id: args.user_id };
    let answer = iam.ask(&operation).await?;
    let text = answer.reply.effective_permissions_json.as_ref();
    let text = text.context("the reply holds no permissions")?;
    let permissions: EffectivePermissions =
        serde_json::from_str(text).context("the permissions are not as expected")?;

    let mut verdict = judge(permissions.permissions, &args.capability, &workspace);
    if let Verdict::Yes(grant) = verdict {
        verdict = match usable(&iam, &workspace, is_self).await? {
            Some(false) => Verdict::NoWorkspace(grant),
            Some(true) => Verdict::Yes(grant),
            None => {
                context.output.note(&format!(
                    "That workspace {workspace} is there and enabled was not checked: you may not see it."
                ));
                Verdict::Yes(grant)
            }
        };
    }
    let json = json!({
        "allowed": matches!(verdict, Verdict::Yes(_)),
        "user_id": permissions.user_id,
        "capability": args.capability,
        "workspace": workspace,
        "grants": verdict.grants(),
    });
    match &verdict {
        Verdict::Yes(grant) => iam.tell(&format!("yes: {}", in_words(grant)), &json),
        Verdict::NoWorkspace(_) => {
            iam.tell(&format!("no: workspace {workspace} is disabled, or not there"), &json)?;
            Err(SaidNo.into())
        }
        Verdict::No(held) => {
            let held: Vec<_> = held.iter().map(in_words).collect();
            let held = if held.is_empty() { "nothing".to_owned() } else { held.join(", ") };
            let who = if is_self { "you have" } else { "the user has" };
            let needs = format!("{} {}", args.capability, place(&workspace));
            iam.tell(&format!("no: needs {needs}; {who} {held}"), &json)?;
            Err(SaidNo.into())
        }
    }
}

/// The workspace that is meant when none is named.
async fn home(iam: &Iam<'_>, user_id: Option<&str>) -> anyhow::Result<String> {
    let operation = match user_id {
        None => Operation::Whoami {},
        Some(id) => Operation::GetUser { user_id: Some(id.to_owned()), workspace: None },
    };
    let user = iam.ask(&operation).await?.reply.user.context("the reply holds no user")?;
    Ok(user.default_workspace)
}

/// Whether the workspace is there and enabled, as far as the caller may know. IAM lists to
/// everybody those that can be used, and shows any one to its managers.
async fn usable(iam: &Iam<'_>, workspace: &str, is_self: bool) -> anyhow::Result<Option<bool>> {
    if workspace == DEPLOYMENT {
        return Ok(Some(true));
    }
    if is_self {
        let mine = iam.ask(&Operation::ListMyWorkspaces {}).await?.reply.workspaces;
        return Ok(Some(mine.iter().any(|record| record.id == workspace && record.enabled)));
    }
    let record = WorkspaceInput { id: Some(workspace.to_owned()), ..WorkspaceInput::default() };
    match iam.ask(&Operation::GetWorkspace { workspace_record: Some(record) }).await {
        Ok(answer) => {
            let record = answer.reply.workspace.context("the reply holds no workspace")?;
            Ok(Some(record.enabled))
        }
        Err(error) => match error.downcast_ref::<Refusal>() {
            Some(refusal) if refusal.status == StatusCode::FORBIDDEN => Ok(None),
            Some(refusal) if refusal.kind == RefusalKind::NotFound.as_str() => Ok(Some(false)),
            Some(_) | None => Err(error),
        },
    }
}

/// A decision, and what it rests on.
enum Verdict {
    /// The grant that allows it.
    Yes(GrantRecord),
    /// The grant that would, if the workspace could be used.
    NoWorkspace(GrantRecord),
    /// None of these does.
    No(Vec<GrantRecord>),
}

impl Verdict {
    fn grants(&self) -> &[GrantRecord] {
        match self {
            Self::Yes(grant) | Self::NoWorkspace(grant) => std::slice::from_ref(grant),
            Self::No(held) => held,
        }
    }
}

fn judge(permissions: Vec<ScopePermissions>, capability: &str, workspace: &str) -> Verdict {
    let allows = |grant: &GrantRecord| {
        [workspace, DEPLOYMENT].contains(&&*grant.workspace)
            && grant.capabilities.iter().any(|held| held == capability)
    };
    let mut held: Vec<_> = permissions.into_iter().flat_map(|scope| scope.grants).collect();
    match held.iter().position(allows) {
        Some(at) => Verdict::Yes(held.swap_remove(at)),
        None => Verdict::No(held),
    }
}

fn in_words(grant: &GrantRecord) -> String {
    let (role, capability) = (grant.role.as_deref(), grant.capability.as_deref());
    format!("{} (grant {})", grant::in_words(role, capability, &grant.workspace), grant.id)
}
