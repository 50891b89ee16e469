//! The commands that manage users, keys, workspaces and grants: what each asks of IAM, and what it
//! makes of the answer, as transcripts in `golden/`.

use std::fmt::Write;

use expect_test::expect_file;

use crate::harness::{binary, run, server, told};

const DONE: &str = r#"{"bootstrap_available":false}"#;
const USERS: &str = r#"{"users":[{"id":"u-1","username":"ann","name":"Ann\nB","roles":["reader","writer"],"enabled":true},{"id":"u-22","username":"bo","roles":[],"enabled":false,"must_change_password":true}]}"#;
const USER: &str = r#"{"user":{"id":"u-1","default_workspace":"w","username":"ann","name":"Ann","email":"a@b.c","roles":["reader"],"enabled":true,"created":"2026-11-22T04:00:00+00:00"}}"#;
const WORKSPACES: &str =
    r#"{"workspaces":[{"id":"default","name":"","enabled":true,"created":"2026-11-22"}]}"#;
const WORKSPACE: &str =
    r#"{"workspace":{"id":"w","name":"W","enabled":false,"created":"2026-11-22"}}"#;
const KEYS: &str = r#"{"api_keys":[{"id":"k-1","name":"laptop","prefix":"tg_abcd","created":"2026-11-22"},{"id":"k-2","name":"ci","prefix":"tg_efgh","created":"2026-11-22","last_used":"2026-11-23","expires":"2027-01-01"}]}"#;
const HEARD: &str = r#"{"receipt":{"gateways_marked":2,"gateways_silent":0,"sockets_closed":1,"calls_cancelled":3,"took_ms":4}}"#;
const SILENT: &str = r#"{"temporary_password":"abc","receipt":{"gateways_marked":1,"gateways_silent":1,"sockets_closed":0,"calls_cancelled":0,"took_ms":5000}}"#;
const REHEARSED: &str = r#"{"dry_run":{"changes":[{"event":"user.delete","id":"u-1","user_id":"u-1","workspace":"w"},{"event":"restore"}],"sockets":3,"survey":{"gateways_heard":1,"gateways_silent":2}}}"#;
const SESSIONS: &str = r#"{"sessions":[{"id":"s-1","user_id":"u-1","username":"ann","workspace":"w","credential":"api-key","credential_id":"k-1","address":"192.0.2.1","opened":"2026-11-22","gateway":"g-1"},{"id":"s-2","user_id":"u-2","username":"bob","workspace":"w","credential":"session","credential_id":"j-1","opened":"2026-11-22","gateway":"g-2"}],"survey":{"gateways_heard":2,"gateways_silent":0}}"#;
const REFUSED: &str = r#"{"error":{"type":"not-found","message":"user not found"}}"#;
const JWT: &str = r#"{"jwt":"h.p.s","jwt_expires":"2026-11-22T05:00:00+00:00"}"#;
const GRANTS: &str = r#"{"grants_json":"[{\"id\":\"g-1\",\"role\":\"writer\",\"workspace\":\"w\",\"expires\":\"\",\"granted_by\":\"\",\"created\":\"2026-11-22\"},{\"id\":\"g-2\",\"capability\":\"llm\",\"workspace\":\"*\",\"expires\":\"2027-01-01\",\"granted_by\":\"u-9\",\"created\":\"2026-11-22\"}]"}"#;
const PERMISSIONS: &str = r#"{"effective_permissions_json":"{\"user_id\":\"u-1\",\"permissions\":[{\"workspace\":\"w\",\"capabilities\":[\"keys:self\",\"llm\",\"rows:write\"],\"grants\":[{\"id\":\"g-1\",\"role\":\"reader\",\"workspace\":\"w\",\"capabilities\":[\"keys:self\",\"llm\"]},{\"id\":\"g-2\",\"role\":\"writer\",\"workspace\":\"w\",\"capabilities\":[\"llm\",\"rows:write\"]}]},{\"workspace\":\"*\",\"capabilities\":[\"mcp\"],\"grants\":[{\"id\":\"g-3\",\"capability\":\"mcp\",\"workspace\":\"*\",\"capabilities\":[\"mcp\"]}]}]}","user":{"default_workspace":"w"},"workspaces":[{"id":"w","enabled":true},{"id":"elsewhere","enabled":true},{"id":"shut","enabled":false}],"workspace":{"id":"shut","enabled":false}}"#;

/// What was typed, what a server was asked that answers `reply` to everything, and what was told.
#[derive(Default)]
struct Transcript(String);

impl Transcript {
    fn run(&mut self, reply: &'static str, typed: &str) {
        self.run_with(reply, typed, "");
    }

    fn run_with(&mut self, reply: &'static str, typed: &str, stdin: &str) {
        let server = server(200, reply);
        let args: Vec<_> = typed.split(' ').collect();
        let output = run(&mut server.tg(&binary(), &args), stdin);
        let piped = if stdin.is_empty() { String::new() } else { format!(" <<< {stdin:?}") };
        writeln!(self.0, "$ tg {typed}{piped}").unwrap();
        for asked in server.asked() {
            writeln!(self.0, "{asked}").unwrap();
        }
        writeln!(self.0, "{}", told(&output)).unwrap();
    }
}

#[test]
fn lists_are_tables_that_scripts_know() {
    let mut transcript = Transcript::default();
    transcript.run(USERS, "list-users -w w");
    transcript.run(DONE, "list-users");
    transcript.run(USERS, "list-users --json");
    transcript.run(WORKSPACES, "list-workspaces");
    transcript.run(DONE, "list-my-workspaces");
    transcript.run(KEYS, "list-api-keys --user-id u-1");
    transcript.run(DONE, "list-api-keys --user-id u-1 -w w");
    expect_file!["../../golden/lists.txt"].assert_eq(&transcript.0);
}

#[test]
fn one_record_is_a_line_a_field() {
    let mut transcript = Transcript::default();
    transcript.run(USER, "get-user --user-id u-1 -w w");
    transcript.run(USER, "get-user --user-id u-1 --json");
    transcript.run(REFUSED, "get-user --user-id u-1");
    transcript.run(WORKSPACE, "get-workspace --workspace-id w");
    // What a server says that lost the error on its way is no success, for programs neither.
    transcript.run(DONE, "get-workspace --workspace-id w");
    transcript.run(DONE, "get-workspace --workspace-id w --json");
    transcript.run(r#"{"bootstrap_available":true}"#, "bootstrap-status");
    transcript.run(DONE, "bootstrap-status");
    transcript.run(DONE, "bootstrap-status --json");
    expect_file!["../../golden/records.txt"].assert_eq(&transcript.0);
}

#[test]
fn a_change_sends_what_is_named_and_nothing_else() {
    let mut transcript = Transcript::default();
    transcript.run(USER, "update-user --user-id u-1 --roles reader writer --enabled no");
    transcript.run(USER, "update-user --user-id u-1 --name Ann --must-change-password Yes");
    transcript.run(USER, "update-user --user-id u-1");
    transcript.run(USER, "update-user --user-id u-1 --enabled maybe");
    transcript.run(WORKSPACE, "update-workspace --workspace-id w --name W --enabled YES");
    transcript.run(WORKSPACE, "update-workspace --workspace-id w");
    transcript.run(DONE, "disable-user --user-id u-1");
    transcript.run(REFUSED, "disable-user --user-id u-1");
    transcript.run(DONE, "enable-user --user-id u-1 -w w");
    transcript.run(DONE, "disable-workspace --workspace-id w");
    transcript.run(DONE, "revoke-api-key --key-id k-1");
    transcript.run(DONE, "revoke-api-key --key-id k-1 --json");
    expect_file!["../../golden/changes.txt"].assert_eq(&transcript.0);
}

#[test]
fn a_change_is_waited_for_or_rehearsed() {
    let mut transcript = Transcript::default();
    transcript.run(HEARD, "revoke-api-key --key-id k-1 --wait");
    transcript.run(HEARD, "disable-user --user-id u-1 --wait --json");
    transcript.run(SILENT, "reset-password --user-id u-1 --wait");
    transcript.run(REHEARSED, "delete-user --user-id u-1 --dry-run");
    transcript.run(REHEARSED, "delete-user --user-id u-1 --dry-run --json");
    transcript.run(
        r#"{"dry_run":{"changes":[{"event":"restore"}],"survey":{"nodes_silent":1}}}"#,
        "delete-user --user-id u-1 --dry-run",
    );
    transcript.run(r#"{"dry_run":{"changes":[]}}"#, "enable-user --user-id u-1 --dry-run");
    transcript.run(DONE, "update-user --user-id u-1 --roles reader --wait --dry-run");
    transcript.run(REFUSED, "rotate-signing-key --dry-run");
    // A server that knows no manners has done it.
    transcript.run(DONE, "disable-workspace --workspace-id w --dry-run");
    transcript.run(DONE, "disable-workspace --workspace-id w --wait");
    expect_file!["../../golden/manners.txt"].assert_eq(&transcript.0);
}

#[test]
fn sockets_are_listed_and_closed() {
    let mut transcript = Transcript::default();
    transcript.run(SESSIONS, "sessions");
    transcript.run(SESSIONS, "sessions --json");
    transcript.run(SESSIONS, "list-sessions --workspace w");
    transcript.run(
        r#"{"survey":{"gateways_heard":1,"gateways_silent":1,"is_cut":true}}"#,
        "list-sessions --user u-1",
    );
    for survey in [
        r#"{"survey":{"gateways_heard":1,"gateways_silent":0,"nodes_silent":1}}"#,
        r#"{"survey":{"gateways_heard":1,"gateways_silent":2,"nodes_silent":2}}"#,
    ] {
        transcript.run(survey, "list-sessions --user u-1");
    }
    transcript.run(SESSIONS, "list-sessions");
    transcript.run(SESSIONS, "list-sessions --user-id=");
    transcript.run(SESSIONS, "list-sessions --workspace=");
    transcript.run(HEARD, "kick --user u-1 --wait");
    transcript.run(REFUSED, "kick --user-id u-1 -w w");
    transcript.run(DONE, "end-session s-1");
    transcript.run(DONE, "end-session s-1 --user u-1");
    expect_file!["../../golden/sessions.txt"].assert_eq(&transcript.0);
}

#[test]
fn a_user_is_deleted_when_it_is_meant() {
    let mut transcript = Transcript::default();
    transcript.run(DONE, "delete-user --user-id u-1 --yes");
    transcript.run_with(DONE, "delete-user --user-id u-1", " yes \n");
    transcript.run_with(DONE, "delete-user --user-id u-1", "y\n");
    transcript.run(DONE, "delete-user --user-id u-1");
    expect_file!["../../golden/delete-user.txt"].assert_eq(&transcript.0);
}

#[test]
fn passwords_come_from_the_lines_of_standard_input() {
    let mut transcript = Transcript::default();
    transcript.run_with(DONE, "change-password", "old one\n new one\r\n");
    transcript.run_with(DONE, "change-password", "old one\n");
    transcript.run(DONE, "change-password --current old --new new");
    expect_file!["../../golden/change-password.txt"].assert_eq(&transcript.0);
}

#[test]
fn secrets_and_ids_stand_alone_on_stdout() {
    let mut transcript = Transcript::default();
    transcript.run(r#"{"temporary_password":"abc"}"#, "reset-password --user-id u-1");
    transcript.run(DONE, "reset-password --user-id u-1");
    transcript.run(r#"{"signing_key_id":"k2"}"#, "rotate-signing-key");
    transcript.run(JWT, r#"mint-token -w w --user-context {"a":[1]} --self"#);
    transcript.run(JWT, "mint-token -w w --user-context {} --username ann");
    transcript.run(JWT, "mint-token -w w --user-context {} --user-id u-1 --json");
    transcript.run(JWT, "mint-token -w w --user-context [1] --self");
    transcript.run(JWT, "mint-token -w w --user-context {}");
    transcript.run(JWT, "mint-token -w w --user-context {} --self --user-id u-1");
    expect_file!["../../golden/secrets.txt"].assert_eq(&transcript.0);
}

#[test]
fn grants_are_given_listed_and_taken_away() {
    let mut transcript = Transcript::default();
    transcript.run(GRANTS, "list-user-grants --user-id u-1");
    transcript.run(r#"{"grants_json":"[]"}"#, "list-user-grants --user-id u-1");
    transcript.run(GRANTS, "list-user-grants --user-id u-1 --json");
    transcript.run(DONE, "add-user-grant --user-id u-1 --role writer -w w --expires 2027-01-01");
    transcript.run(DONE, "remove-user-grant --user-id u-1 --capability llm -w *");
    transcript.run(DONE, "add-user-grant --user-id u-1 -w w");
    transcript.run(DONE, "add-user-grant --user-id u-1 --role reader --capability llm -w w");
    transcript.run(DONE, "add-user-grant --user-id u-1 --role reader");
    expect_file!["../../golden/grants.txt"].assert_eq(&transcript.0);
}

#[test]
fn can_i_names_the_grant_or_what_is_missing() {
    let mut transcript = Transcript::default();
    transcript.run(PERMISSIONS, "can-i rows:write -w w");
    transcript.run(PERMISSIONS, "can-i mcp -w elsewhere");
    transcript.run(PERMISSIONS, "can-i mcp -w *");
    transcript.run(PERMISSIONS, "can-i mcp -w shut");
    transcript.run(PERMISSIONS, "can-i mcp -w nowhere --json");
    transcript.run(PERMISSIONS, "can-i mcp -w shut --user-id u-1");
    transcript.run(PERMISSIONS, "can-i rows:write -w elsewhere");
    transcript.run(PERMISSIONS, "can-i rows:write -w *");
    transcript.run(PERMISSIONS, "can-i rows:write -w elsewhere --json");
    // The home workspace, if none is named; somebody else, if one is.
    transcript.run(PERMISSIONS, "can-i llm");
    transcript.run(PERMISSIONS, "can-i users:admin --user-id u-1");
    transcript.run(
        r#"{"effective_permissions_json":"{\"user_id\":\"u-1\",\"permissions\":[]}"}"#,
        "can-i llm -w w",
    );
    transcript.run(DONE, "can-i llm -w w");
    // A misspelt capability is no no.
    transcript.run(PERMISSIONS, "can-i rows:wriet -w w");
    expect_file!["../../golden/can-i.txt"].assert_eq(&transcript.0);
}
