use std::borrow::Cow;
use std::collections::BTreeSet;

use tollgate_proto::error::ErrorKind;
use tollgate_proto::iam::Operation;
use tollgate_proto::json::{Limits, Object};
use tollgate_proto::resource::Resource;

use super::resolve::Request;
use super::*;
use crate::call::{Call, Needs, Target};
use crate::iam::table::identity;

fn registry() -> Registry {
    Registry::load(None).unwrap()
}

fn load_with(file: &str) -> Result<Registry, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.toml");
    std::fs::write(&path, file).unwrap();
    Registry::load(Some(&path))
        .map_err(|e| e.to_string().replace(&format!("{}/", folder.path().display()), ""))
}

fn request<'a>(service: &'a str, flow: Option<&'a str>, body: &'a str) -> Request<'a> {
    Request {
        service: Cow::Borrowed(service),
        flow: flow.map(Cow::Borrowed),
        workspace: None,
        body: Object::parse(body, Limits::FRIEND),
        deadline: None,
        traceparent: None,
        fate: None,
    }
}

fn resolve(request: Request<'_>) -> Result<Call, ErrorKind> {
    registry().resolve(request, Some(&identity("ann"))).map_err(|error| error.kind)
}

fn backend_body(call: Call) -> String {
    match call.target {
        Target::Backend(_, body) => body.into_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_built_in_registry_knows_every_operation_of_iam() {
    let registry = registry();
    let registered: BTreeSet<_> = registry.services[IAM].keys().map(String::as_str).collect();
    let known: BTreeSet<_> = tollgate_proto::iam::known_operations().iter().copied().collect();
    assert_eq!(registered, known);
}

#[test]
fn the_built_in_registry_has_the_services_that_clients_call() {
    let registry = registry();
    assert_eq!(registry.flow_services.len(), 23);
    assert!(registry.flow_service("thru/any/thing").is_some());
    assert!(registry.flow_service("thru/").is_none());
    assert!(registry.flow_service("iam").is_none());
    let count = |service: &str| registry.services[service].len();
    assert_eq!(
        ["config", "flow", "librarian", "knowledge", "collection-management"].map(count),
        [6, 12, 19, 11, 3]
    );
    let getvalues_all = registry.operation("config", "getvalues-all-ws");
    assert!(getvalues_all.is_none(), "it would read every tenant");
}

#[test]
fn a_file_that_could_open_a_hole_fails_the_start() {
    let check = |file: &str, expect: &str| {
        let error = load_with(file).unwrap_err();
        assert!(error.contains(expect), "{error}\nlacks\n{expect}");
    };
    check("[flow-service.mine]\nbackend = \"echo\"", "r.toml: [mine] has no capability");
    check("[flow-service.mine]\ncapability = \"all\"", "[mine] unknown capability \"all\"");
    check("[flow-service.mine]\ncapability = \"public\"", "[mine] needs a capability");
    check("[service.mine.operations]\nget = \"authenticated\"", "operation get needs a capability");
    check("[flow-service.mine]\ncapability = \"llm\"\nbackend = \"x\"", "there is no [backend.x]");
    check("[flow-service.mine]\ncapabilty = \"llm\"", "unknown field `capabilty`");
    check("[backend.x]\ntype = \"carrier-pigeon\"", "unknown variant `carrier-pigeon`");
    check("[flow_service.mine]", "unknown field `flow_service`");
    check(
        "[flow-import.rows]\nbackend = \"echo\"",
        "[import/rows] is passed on, which [backend.echo] cannot take",
    );
    check("[stream.mine]\ncapability = \"llm\"", "[stream.mine] is no stream that is served");
    check("[metrics]\nbackend = \"echo\"", "[metrics] is passed on");
    check("[flow-export.mine]\nbackend = \"http://h/\"", "[export/mine] has no capability");
    let http = |lines: &str| format!("[backend.x]\ntype = \"http\"\n{lines}");
    let check_http = |lines: &str, expect: &str| check(&http(lines), expect);
    check_http("", "r.toml: [backend.x] has no urls");
    check_http("urls = []", "[backend.x] has no urls");
    check_http("urls = [\"h:9\"]", "\"h:9\" is not a URL like \"http://127.0.0.1:9000/\"");
    check_http("urls = [\"https://h/\"]", "\"https://h/\" is https://, and no ca_file says");
    check_http("urls = []\nca_file = \"/no\"", "ca_file: /no: ");
    check_http("urls = [\"http://a:b@h/\"]", "[backend.x] a url must not hold a user or password");
    check_http("url = \"http://h/\"", "unknown field `url`");
    check_http("url = \"http://h/\"", "in `backend.x`");
    check_http("urls = [\"http://h/\"]\nmax_inflight = 0", "would refuse every call");
    check_http("urls = [\"http://h/\"]\nmax_answer = \"8\"", "\"8\" is not a whole number with B");
    check_http("urls = [\"http://h/\"]\nsecret_file = \"/no\"", "secret_file: /no: No such file");
    check(
        "[flow-service.mine]\ncapability = \"llm\"\nbackend = \"ftp://h\"",
        "[mine] \"ftp://h\" is neither http:// nor",
    );
    let mine = "[flow-service.mine]\ncapability = \"llm\"\nbackend = \"echo\"\ntimeout = \"5s\"";
    let registry = load_with(mine).unwrap();
    assert_eq!(registry.flow_service("mine").unwrap().timeout, Duration::from_secs(5));
    assert!(registry.flow_service("agent").is_some(), "laid over, not instead");
}

#[test]
fn a_backend_is_named_or_is_the_url_itself() {
    let registry = load_with(
        "[backend.x]\ntype = \"http\"\nurls = [\"http://a/\", \"http://b/\"]\nmax_answer = \"1KiB\"\n\
         [flow-service.one]\ncapability = \"llm\"\nbackend = \"x\"\n\
         [flow-service.two]\ncapability = \"llm\"\nbackend = \"http://c/\"\n\
         [service.three]\nbackend = \"http://c/\"\n[service.three.operations]\nget = \"llm\"",
    )
    .unwrap();
    let urls = |entry: Option<&Entry>| match &registry.backends()
        [entry.unwrap().backend.as_ref().unwrap()]
    {
        BackendSettings::Http(http) => (http.addresses.len(), http.max_answer),
        other @ BackendSettings::Echo { .. } => panic!("{other:?}"),
    };
    assert_eq!(urls(registry.flow_service("one")), (2, 1 << 10));
    assert_eq!(urls(registry.flow_service("two")), (1, 8 << 20));
    assert_eq!(urls(registry.operation("three", "get")), (1, 8 << 20));
    assert_eq!(registry.backends().len(), 3, "echo, x and the one that two services share");
}

#[test]
fn a_call_carries_what_was_resolved_and_not_what_was_claimed() {
    let again = || {
        request(
            "agent",
            Some("default"),
            r#"{"workspace":"evil","user-context":{"admin":true},"question":"?"}"#,
        )
    };
    let call = resolve(again()).unwrap();
    let Needs::Check(check) = &call.needs else { panic!() };
    assert_eq!(check.resource.workspace().unwrap().as_str(), "home");
    assert!(matches!(check.resource, Resource::Flow { .. }));
    assert_eq!(backend_body(call), r#"{"workspace":"home","question":"?"}"#);

    let mut asked = again();
    asked.workspace = Some("other".into());
    asked.deadline = Some(Duration::from_secs(1));
    let call = resolve(asked).unwrap();
    assert_eq!(call.budget, Duration::from_secs(1));
    assert_eq!(backend_body(call), r#"{"workspace":"other","question":"?"}"#);
}

#[test]
fn a_minted_context_replaces_the_callers_own() {
    let mut minted = identity("ann");
    minted.user_context = Some(r#"{"tier":1}"#.into());
    let asked = request("agent", Some("default"), r#"{"user-context":{"tier":9}}"#);
    let call = registry().resolve(asked, Some(&minted)).unwrap();
    assert_eq!(backend_body(call), r#"{"workspace":"home","user-context":{"tier":1}}"#);
}

#[test]
fn what_cannot_be_called_says_why() {
    let check = |service, flow, body, expect| {
        assert_eq!(resolve(request(service, flow, body)).unwrap_err(), expect, "{service} {body}");
    };
    check("nope", Some("default"), "{}", ErrorKind::UnknownService);
    check("agent", None, "{}", ErrorKind::UnknownService);
    check("", None, "{}", ErrorKind::UnknownService);
    check("config", None, "{}", ErrorKind::UnknownService);
    check("config", None, r#"{"operation":7}"#, ErrorKind::UnknownService);
    check("config", Some("default"), r#"{"operation":"get"}"#, ErrorKind::UnknownService);
    check("iam", None, r#"{"operation":"authorise"}"#, ErrorKind::UnknownService);
    check("agent", Some("default"), "[]", ErrorKind::InvalidRequest);
    check("agent", Some("a\u{7}b"), "{}", ErrorKind::InvalidRequest);
    check("config", None, r#"{"operation":"get","operation":"put"}"#, ErrorKind::InvalidRequest);
    let mut asked = request("agent", Some("default"), "{}");
    asked.workspace = Some("a/../b".into());
    assert_eq!(resolve(asked).unwrap_err(), ErrorKind::InvalidRequest);
    let asked = request("agent", Some("default"), "{}");
    let anonymous = registry().resolve(asked, None).unwrap_err();
    assert_eq!(anonymous.kind, ErrorKind::AuthRequired);
}

#[test]
fn an_operation_of_iam_is_parsed_whole_and_iam_decides() {
    let body = r#"{"operation":"create-user","user":{"username":"eve"},"actor":"admin"}"#;
    let call = resolve(request("iam", None, body)).unwrap();
    assert!(matches!(call.needs, Needs::Identity));
    let Target::Iam(order, _) = call.target else { panic!() };
    assert!(matches!(order.operation, Operation::CreateUser { .. }));
    let call = resolve(request("iam", None, r#"{"operation":"bootstrap-status"}"#)).unwrap();
    assert!(matches!(call.needs, Needs::Nothing));
}

#[test]
fn a_service_without_a_backend_is_known() {
    let call = resolve(request("config", None, r#"{"operation":"get"}"#)).unwrap();
    assert_eq!(&*call.name, "config:get");
    assert!(matches!(call.target, Target::Nothing));
}
