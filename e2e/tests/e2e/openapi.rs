//! `docs/openapi.json` and the running server say the same.
//!
//! A [`Visitor`] drives every path and every operation of IAM, done and refused, and validates all
//! that it sends and receives against the schemas of the document. What the document has was seen;
//! what the code has is in the document.

mod document;
mod visitor;
mod auth;
mod flow_sockets;
mod iam;
mod services;
mod socket;
mod streams;

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::ensure;
use serde_json::{Value, json};
use tollgate_e2e::{Tollgate, raw};
use tollgate_proto::capability::Capability;
use tollgate_proto::iam::{
    GrantInput, KeyInput, Manner, Operation, UserInput, WorkspaceInput, known_arguments,
    known_operations,
};

use document::{Document, members};
use visitor::Visitor;

/// Documented, and not to be had here without waiting.
fn is_seen_elsewhere(route: &str, status: u16) -> bool {
    match status {
        // Ten seconds; gateway/src/http/answer.rs has a test on paused time.
        408 => true,
        // A quarter of a gibibyte; e2e/tests/e2e/streams.rs announces one and sends none.
        413 => route == "POST /api/v1/import-core",
        // The gateway is ready when it has started, and stops to answer when it is not.
        503 => route == "GET /readyz",
        _ => false,
    }
}

#[tokio::test]
async fn the_server_does_what_the_document_says_and_no_more() -> anyhow::Result<()> {
    let mut visitor = Visitor::new()?;
    auth::drive(&mut visitor).await?;
    iam::drive(&mut visitor).await?;
    services::drive(&mut visitor).await?;
    socket::drive(&mut visitor).await?;
    flow_sockets::drive(&mut visitor).await?;
    streams::drive(&mut visitor).await?;

    let mut unseen = visitor.document.routes();
    unseen.retain(|(route, status)| !is_seen_elsewhere(route, *status));
    unseen.retain(|seen| !visitor.seen.contains(seen));
    assert!(unseen.is_empty(), "documented, and never seen: {unseen:#?}");
    for name in known_operations() {
        let offered = visitor.document.iam_operation(name).get("x-reply").is_some();
        assert_eq!(visitor.done.contains(*name), offered, "{name} was done");
        // Whoever asks is told; there is nothing to refuse.
        let can_fail = *name != "bootstrap-status";
        assert_eq!(visitor.refused.contains(*name), can_fail, "{name} was refused");
    }
    Ok(())
}

#[tokio::test]
async fn the_document_is_valid_openapi() -> anyhow::Result<()> {
    let check = || -> anyhow::Result<()> {
        let python = tollgate_e2e::packages::python(
            env!("CARGO_TARGET_TMPDIR"),
            "openapi-spec-validator",
            None,
        )?;
        let module = ["-m", "openapi_spec_validator", "--schema", "3.1"];
        let output = Command::new(python).args(module).arg(Document::path()).output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    };
    tokio::task::spawn_blocking(check).await?
}

#[test]
fn every_operation_and_field_is_documented_and_no_other() -> anyhow::Result<()> {
    let document = Document::read()?;
    assert_eq!(document.json["info"]["version"], env!("CARGO_PKG_VERSION"));
    let mapping = &document.schema("IamRequest")["discriminator"]["mapping"];
    let known: BTreeSet<_> = known_operations().iter().copied().collect();
    assert_eq!(names(mapping), known);
    let alternatives = document.schema("IamRequest")["oneOf"].as_array().into_iter().flatten();
    let alternatives: BTreeSet<_> = alternatives.filter_map(|one| one["$ref"].as_str()).collect();
    let mapped: BTreeSet<_> = members(mapping).filter_map(|(_, to)| to.as_str()).collect();
    assert_eq!(alternatives, mapped);
    for (name, arguments) in known_arguments() {
        let schema = document.iam_operation(name);
        document.check(&schema["properties"]["operation"], &json!(name))?;
        let mut parsed: BTreeSet<_> = arguments.iter().copied().chain(["operation"]).collect();
        let operation = Operation::parse(&json!({ "operation": name }).to_string())?;
        if operation.has_manners() && schema.get("x-reply").is_some() {
            parsed.extend(Manner::MEMBERS);
        }
        assert_eq!(names(&schema["properties"]), parsed, "{name}");
    }
    for (schemas, filled) in filled_inputs()? {
        for schema in schemas {
            let documented = names(&document.schema(schema)["properties"]);
            assert_eq!(documented, names(&filled), "{schema}");
        }
    }
    let capabilities: Vec<_> = Capability::ALL.iter().map(|one| one.as_str()).collect();
    assert_eq!(document.schema("Capability")["enum"], json!(capabilities));
    Ok(())
}

/// What the objects inside operations parse: a new field does not compile before it stands here.
fn filled_inputs() -> anyhow::Result<[(&'static [&'static str], Value); 4]> {
    let text = || Some("x".to_owned());
    let user = UserInput {
        username: text(),
        name: text(),
        email: text(),
        password: Some("x".into()),
        roles: Some(vec!["x".to_owned()]),
        enabled: Some(true),
        must_change_password: Some(true),
    };
    let key = KeyInput { user_id: text(), name: text(), expires: text() };
    let workspace = WorkspaceInput { id: text(), name: text(), enabled: Some(true) };
    let grant = GrantInput { role: text(), capability: text(), workspace: text(), expires: text() };
    Ok([
        (&["NewUser", "UserUpdate"], serde_json::to_value(user)?),
        (&["NewApiKey"], serde_json::to_value(key)?),
        (&["WorkspaceInput"], serde_json::to_value(workspace)?),
        (&["GrantInput"], serde_json::to_value(grant)?),
    ])
}

#[test]
fn every_route_is_documented_and_no_other() -> anyhow::Result<()> {
    let routers = [
        include_str!("../../../gateway/src/http.rs"),
        include_str!("../../../runtime/src/probes.rs"),
    ];
    let served: BTreeSet<String> = routers
        .iter()
        .flat_map(|source| source.split(".route(").skip(1))
        .filter_map(|after| after.split('"').nth(1))
        .map(|path| path.replace("{*", "{"))
        .collect();
    let document = Document::read()?;
    let documented: BTreeSet<_> =
        names(&document.json["paths"]).into_iter().map(Into::into).collect();
    assert_eq!(served, documented);
    Ok(())
}

#[tokio::test]
async fn whatever_is_not_documented_is_404_or_405() -> anyhow::Result<()> {
    let tollgate = Tollgate::start().await?;
    let admin = [("Authorization", format!("Bearer {}", tollgate.admin_key))];
    let check = async |method: &str, path: &str, expect: (u16, &str)| {
        let answer = raw::http(tollgate.address, method, path, &admin, b"").await?;
        assert_eq!((answer.status, &*answer.body), expect, "{method} {path}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        anyhow::Ok(())
    };
    let not_found = (404, "404: Not Found");
    for path in
        ["/", "/api/v1", "/API/v1/socket", "/api/v1/socket/", "/livez", "/metrics", "/v1/call"]
    {
        check("GET", path, not_found).await?;
    }
    for path in ["/api/v1/iam/", "/api/v1//iam", "/api/v1/%69am", "/api/v1/flow/default/service"] {
        check("POST", path, not_found).await?;
    }
    let wrong = (405, "405: Method Not Allowed");
    for method in ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"] {
        check(method, "/api/v1/iam", wrong).await?;
    }
    check("POST", "/api/v1/socket", wrong).await
}

fn names(value: &Value) -> BTreeSet<&str> {
    members(value).map(|(name, _)| name).collect()
}
