//! The commands that ask over HTTP, and those that ask nobody.

use std::os::unix::fs::symlink;

use expect_test::expect;
use tokio::net::TcpListener;

use crate::harness::{binary, check, run, server, told};

#[test]
fn bootstrap_iam_prints_the_key_alone() {
    let reply = r#"{"bootstrap_admin_user_id":"u-1","bootstrap_admin_api_key":"tg_first","bootstrap_available":false}"#;
    let claimed = server(200, reply);
    check(
        &claimed.run(&["bootstrap-iam"]),
        &expect![[r#"
        exit 0
        out:
        tg_first
        err:
        Admin user id: u-1
        The key is shown this once. Keep it safe, and use it as TOLLGATE_TOKEN.
    "#]],
    );
    assert_eq!(claimed.asked(), ["POST /api/v1/auth/bootstrap as nobody: {}"]);
    let json = claimed.run(&["bootstrap-iam", "--json"]);
    assert_eq!((json.stdout, json.stderr), (format!("{reply}\n").into_bytes(), vec![]));

    check(
        &server(401, r#"{"error":"auth failure"}"#).run(&["bootstrap-iam"]),
        &expect![[r#"
        exit 1
        out:
        err:
        Exception: HTTP 401: {"error":"auth failure"}
        hint: the deployment was claimed before, or it cannot be claimed in this way; whoever has its first key can make you a user
    "#]],
    );
    check(
        &server(200, "{}").run(&["bootstrap-iam"]),
        &expect![[r#"
        exit 1
        out:
        err:
        Exception: the reply holds no key: {}
    "#]],
    );
}

#[test]
fn login_takes_the_password_from_standard_input_and_prints_the_token() {
    let reply =
        r#"{"jwt":"h.p.s","jwt_expires":"2026-11-22T05:00:00+00:00","bootstrap_available":false}"#;
    let server = server(200, reply);
    let output =
        run(&mut server.tg(&binary(), &["login", "--username", "ann"]), " pass word \nmore");
    check(
        &output,
        &expect![[r#"
        exit 0
        out:
        h.p.s
        err:
        JWT expires: 2026-11-22T05:00:00+00:00
    "#]],
    );
    assert_eq!(
        server.asked(),
        [r#"POST /api/v1/auth/login as nobody: {"username":"ann","password":" pass word "}"#]
    );
    let args = ["login", "--username", "ann", "--password", "p", "-w", "w"];
    check(
        &server.run(&args),
        &expect![[r#"
        exit 0
        out:
        h.p.s
        err:
        warning: a password on the command line is visible to other users; use the prompt or standard input
        JWT expires: 2026-11-22T05:00:00+00:00
    "#]],
    );
    assert!(server.asked()[0].ends_with(r#"{"username":"ann","password":"p","workspace":"w"}"#));
    check(
        &server.run(&["login", "--username", "ann"]),
        &expect![[r#"
        exit 1
        out:
        err:
        Exception: no password was given
    "#]],
    );
    assert_eq!(server.run(&["login"]).status.code(), Some(2), "no username");
}

#[test]
fn a_refused_login_prints_nothing_on_stdout() {
    let args = ["login", "--username", "ann", "--password", "p"];
    check(
        &server(401, r#"{"error":"auth failure"}"#).run(&args),
        &expect![[r#"
        exit 1
        out:
        err:
        warning: a password on the command line is visible to other users; use the prompt or standard input
        Exception: HTTP 401: auth failure
    "#]],
    );
    // What a server says that lost the error on its way.
    let lost = server(200, r#"{"bootstrap_available":false}"#).run(&args);
    assert!(lost.stdout.is_empty() && lost.status.code() == Some(1));
}

const USER: &str = r#"{"user":{"id":"u-1","default_workspace":"default","username":"ann","name":"Ann","roles":["reader","writer"],"enabled":true,"created":"2026-11-22T04:00:00+00:00"}}"#;

#[test]
fn whoami_is_a_plain_table() {
    let server = server(200, USER);
    check(
        &server.run(&["whoami", "-t", "tg_x"]),
        &expect![[r#"
        exit 0
        out:
        id                    u-1
        username              ann
        name                  Ann
        email
        workspace             default
        roles                 reader, writer
        enabled               yes
        must change password  no
        created               2026-11-22T04:00:00+00:00
        err:
        warning: a token on the command line is visible to other users; use TOLLGATE_TOKEN or tg login --save
    "#]],
    );
    assert_eq!(server.asked(), [r#"POST /api/v1/iam as Bearer tg_x: {"operation":"whoami"}"#]);
    assert_eq!(server.run(&["whoami", "--json"]).stdout, format!("{USER}\n").into_bytes());
}

#[test]
fn a_refusal_says_what_the_server_said() {
    let refused = |status, reply| told(&server(status, reply).run(&["whoami"]));
    expect![[r#"
        exit 1
        out:
        err:
        Exception: HTTP 401: auth failure
        hint: no token was given; use tg login --save, TOLLGATE_TOKEN or --token
    "#]]
    .assert_eq(&refused(401, r#"{"error":"auth failure"}"#));
    expect![[r#"
        exit 1
        out:
        err:
        Exception: HTTP 403: access denied
    "#]]
    .assert_eq(&refused(403, r#"{"error":"access denied"}"#));
    expect![[r#"
        exit 1
        out:
        err:
        Exception: not-found: m
    "#]]
    .assert_eq(&refused(200, r#"{"error":{"type":"not-found","message":"m"}}"#));
    expect![[r#"
        exit 1
        out:
        err:
        Exception: HTTP 502: bad gateway
    "#]]
    .assert_eq(&refused(502, "bad gateway\n"));
}

#[test]
fn create_user_prints_the_id_alone() {
    let server = server(200, USER);
    let args = ["create-user", "-t", "tg_x", "--username", "ann", "--roles", "reader", "writer"];
    let output = run(&mut server.tg(&binary(), &args), "long enough\n");
    check(
        &output,
        &expect![[r#"
        exit 0
        out:
        u-1
        err:
        warning: a token on the command line is visible to other users; use TOLLGATE_TOKEN or tg login --save
        User id: u-1
        Username: ann
        Roles: reader, writer
    "#]],
    );
    expect![[r#"POST /api/v1/iam as Bearer tg_x: {"operation":"create-user","user":{"username":"ann","password":"long enough","roles":["reader","writer"],"enabled":true,"must_change_password":false}}"#]].assert_eq(&server.asked()[0]);
}

#[test]
fn create_api_key_prints_the_key_alone() {
    let server = server(
        200,
        r#"{"api_key_plaintext":"tg_new","api_key":{"id":"k-1","name":"laptop","prefix":"tg_newk"}}"#,
    );
    let args = ["create-api-key", "--user-id", "u-1", "--name", "laptop", "-w", "default"];
    check(
        &server.run(&args),
        &expect![[r#"
        exit 0
        out:
        tg_new
        err:
        Key id: k-1
        Name: laptop
        Prefix: tg_newk
        The key is shown this once. Keep it safe.
    "#]],
    );
    expect![[r#"POST /api/v1/iam as nobody: {"operation":"create-api-key","workspace":"default","key":{"user_id":"u-1","name":"laptop"}}"#]].assert_eq(&server.asked()[0]);
}

#[test]
fn create_workspace_says_so() {
    let server = server(200, r#"{"workspace":{"id":"research","enabled":true}}"#);
    check(
        &server.run(&["create-workspace", "--workspace-id", "research"]),
        &expect![[r#"
        exit 0
        out:
        Workspace created: research
        err:
    "#]],
    );
    expect![[r#"POST /api/v1/iam as nobody: {"operation":"create-workspace","workspace_record":{"id":"research","enabled":true}}"#]].assert_eq(&server.asked()[0]);
}

#[test]
fn a_link_is_its_command() {
    let server = server(200, USER);
    let dir = tempfile::tempdir().unwrap();
    let made = server.run(&["install-links", dir.path().to_str().unwrap()]);
    assert!(made.status.success(), "{}", told(&made));
    let output = run(&mut server.tg(&dir.path().join("tg-whoami"), &["--json"]), "");
    assert_eq!(output.stdout, format!("{USER}\n").into_bytes());

    std::fs::remove_file(dir.path().join("tg-login")).unwrap();
    symlink("/usr/bin/true", dir.path().join("tg-login")).unwrap();
    let refused = server.run(&["install-links", dir.path().to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(1));
}

#[test]
fn a_reader_that_left_is_no_failure() {
    let server = server(200, USER);
    let mut child = server.tg(&binary(), &["whoami", "--json"]).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", told(&output));
}

#[test]
fn nobody_there_is_said_in_one_line() {
    let server = server(200, "{}");
    let listener = server.runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let said = |args: &[&str]| {
        let output = server.run(&[args, &["-u", &url]].concat());
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap().replace(&url["http://".len()..], "HOST")
    };
    expect![[r#"
        Exception: cannot reach http://HOST: Connection refused (os error 111)
    "#]]
    .assert_eq(&said(&["whoami"]));
    expect![[r#"
        Exception: cannot connect to HOST: Connection refused (os error 111)
    "#]]
    .assert_eq(&said(&["call", "text-completion"]));
    assert_eq!(server.run(&["whoami", "--no-such-flag"]).status.code(), Some(2));
}

#[test]
fn what_is_no_gateway_is_said_in_one_line() {
    let server = server(404, "404: Not Found");
    let said = |args: &[&str]| {
        let output = server.run(args);
        assert_eq!(output.status.code(), Some(1));
        let host = server.url["http://".len()..].trim_end_matches('/');
        String::from_utf8(output.stderr).unwrap().replace(host, "HOST")
    };
    expect![[r#"
        Exception: HTTP 404: 404: Not Found
    "#]]
    .assert_eq(&said(&["whoami"]));
    expect![[r#"
        Exception: HOST opened no socket: HTTP error: 404 Not Found
    "#]]
    .assert_eq(&said(&["call", "x"]));
    expect![[r#"
        Exception: "localhost:8088" is no url of a gateway: it must begin with https:// or http://
    "#]]
    .assert_eq(&said(&["whoami", "-u", "localhost:8088"]));
}
