//! `tg call`: one call over the socket, and its answer for people or for scripts.

mod body;
mod show;

use std::time::Duration;

use anyhow::bail;
use tollgate_client::{CallError, Client, Config, Request};

use crate::access::{Access, AccessArgs};
use crate::api::NO_TOKEN;
use crate::context::Context;
use show::Show;

const EXAMPLES: &str = "\
A flow service needs nothing but its request. With --operation, and for config, flow, iam,
knowledge, librarian and collection-management, no flow is sent unless --flow names one.

Without --json, an answer that is a text (response, content, chunk or text) is printed as such, and
anything else as indented JSON.

Examples:
  tg call text-completion '{\"prompt\":\"hello\"}'
  tg call text-completion '{\"prompt\":\"hello\"}' --stream
  tg call config --operation list '{\"type\":\"prompt\"}' --json
  echo '{\"query\":\"who?\"}' | tg call graph-rag - --workspace research --deadline 30s";

/// Services that belong to no flow.
const WITHOUT_FLOW: [&str; 6] =
    ["collection-management", "config", "flow", "iam", "knowledge", "librarian"];

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    access: AccessArgs,
    /// The service: text-completion, graph-rag, config, …
    service: String,
    /// The request: a JSON object, @FILE, or - for standard input
    #[arg(value_name = "JSON", default_value = "{}")]
    body: String,
    /// The operation, for services that offer several
    #[arg(short, long, value_name = "OP")]
    operation: Option<String>,
    /// The flow, or none [default: default, or none with --operation]
    #[arg(short, long)]
    flow: Option<String>,
    /// The workspace [default: the token's own]
    #[arg(short, long, value_name = "ID")]
    workspace: Option<String>,
    /// Ask for a stream; with --json, print every part and not the last alone
    #[arg(short, long)]
    stream: bool,
    /// Print each response as one line of JSON
    #[arg(long)]
    json: bool,
    /// Give up after this long: 500ms, 30s, 5m
    #[arg(short, long, value_name = "TIME", value_parser = duration)]
    deadline: Option<Duration>,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> anyhow::Result<()> {
    let flow = flow(args.flow, args.operation.is_some(), &args.service);
    let body = body::read(&args.body)?;
    let body = body::complete(&body, args.operation.as_deref(), args.stream)?;
    let workspace = args.workspace.or_else(|| context.environment.workspace.get().cloned());
    let request =
        Request { flow, workspace, deadline: args.deadline, ..Request::raw(args.service, body) };
    let Access { url, token } = args.access.resolve(context)?;
    let is_anonymous = token.is_none();
    let client = Client::connect(Config { token, ..Config::new(url) }).await?;
    let mut show = Show::new(context.output, args.json);
    let result = exchange(&client, request, args.stream || !args.json, &mut show).await;
    client.close().await;
    match result {
        Err(error) if is_anonymous && lacks_authority(&error) => bail!("{error}{NO_TOKEN}"),
        result => result,
    }
}

async fn exchange(
    client: &Client,
    request: Request,
    as_stream: bool,
    show: &mut Show<'_>,
) -> anyhow::Result<()> {
    if !as_stream {
        let response = client.call(request).await?;
        show.response(&response)?;
        return show.end();
    }
    let mut stream = client.stream(request).await?;
    while let Some(response) = stream.next().await {
        match response {
            Ok(response) => show.response(&response)?,
            Err(error) => {
                show.end()?;
                return Err(error.into());
            }
        }
    }
    show.end()
}

fn lacks_authority(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<CallError>();
    error.and_then(CallError::kind).is_some_and(|kind| kind == "auth-required")
}

fn flow(named: Option<String>, has_operation: bool, service: &str) -> Option<String> {
    match named.as_deref() {
        Some("none") => None,
        Some(_) => named,
        None if has_operation || WITHOUT_FLOW.contains(&service) => None,
        None => Some("default".to_owned()),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err("a number with its unit is needed: 500ms, 30s, 5m, 1h".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "a whole number is needed".to_owned())?;
    number.checked_mul(milliseconds).map(Duration::from_millis).ok_or("too long".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flow_services_get_the_default_flow_and_others_none() {
        let check = |named: Option<&str>, has_operation, service, expect: Option<&str>| {
            let flow = flow(named.map(str::to_owned), has_operation, service);
            assert_eq!(flow.as_deref(), expect, "{named:?} {has_operation} {service}");
        };
        check(None, false, "text-completion", Some("default"));
        check(None, false, "iam", None);
        check(None, true, "anything", None);
        check(Some("none"), false, "text-completion", None);
        check(Some("mine"), true, "structured-diag", Some("mine"));
    }

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("5m"), Ok(Duration::from_mins(5)));
        for bad in
            ["", "30", "s", "-1s", "1.5s", "30 s", "99999999999999999999s", "6000000000000000h"]
        {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
