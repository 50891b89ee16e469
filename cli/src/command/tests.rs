//! The name the binary is called by, and the help texts, which are the documentation.
#![expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]

use clap::CommandFactory;
use expect_test::expect;

use super::*;

#[test]
fn a_link_is_its_command() {
    let check = |args: &[&str], expect: &[&str]| {
        assert_eq!(expand(args.iter().map(OsString::from)), expect, "{args:?}");
    };
    check(&["tg", "login", "-u", "x"], &["tg", "login", "-u", "x"]);
    check(&["/usr/bin/tg-login", "-u", "x"], &["tg", "login", "-u", "x"]);
    check(&["tg-create-api-key"], &["tg", "create-api-key"]);
    check(&["./tg-"], &["tg"]);
    check(&["other", "login"], &["tg", "login"]);
    check(&[], &["tg"]);
}

#[test]
fn the_definition_holds() {
    Cli::command().debug_assert();
    assert!(linkable().iter().all(|name| Cli::try_parse_from(["tg", name, "--help"]).is_err()));
}

fn help_of(command: &str) -> String {
    let mut cli = Cli::command().term_width(100);
    cli.build();
    cli.find_subcommand_mut(command).unwrap().render_help().to_string()
}

#[test]
fn every_flag_of_every_command_takes_one_line_of_help() {
    for command in linkable() {
        let help = help_of(&command);
        let (_, options) = help.split_once("Options:\n").unwrap();
        let options = options.lines().take_while(|line| !line.is_empty());
        for line in options {
            assert!(line.trim_start().starts_with('-') && line.contains("  "), "{help}");
        }
    }
}

#[test]
fn help_of_tg() {
    expect![[r#"
        Talk to a Tollgate gateway: log in, manage users and keys, call services

        Usage: tg <COMMAND>

        Commands:
          bootstrap-iam     Claim a fresh deployment and print the first API key
          login             Log in with a password and print the token, or keep it
          logout            Forget the token that login kept
          whoami            Show who the token stands for
          create-user       Create a user and print its id
          create-api-key    Create an API key for a user and print the key
          create-workspace  Create a workspace
          call              Call a service and print its answer
          install-links     Make a link tg-COMMAND for every command
          help              Print this message or the help of the given subcommand(s)

        Options:
          -h, --help     Print help
          -V, --version  Print version

        Every command also runs as tg-COMMAND, through links that `tg install-links DIR` makes.

        Environment:
          TOLLGATE_URL        The gateway, unless -u says it [else: TRUSTGRAPH_URL]
          TOLLGATE_TOKEN      API key or JWT, unless -t says it [else: TRUSTGRAPH_TOKEN]
          TOLLGATE_WORKSPACE  The workspace of `tg call`, unless -w says it [else: TRUSTGRAPH_WORKSPACE]

        Data goes to stdout, words to stderr. Exit code: 0 done, 1 refused or failed, 2 misused.
    "#]].assert_eq(&Cli::command().term_width(100).render_help().to_string());
}

#[test]
fn help_of_login() {
    expect![[r#"
        Log in with a password and print the token, or keep it

        Usage: tg login [OPTIONS] --username <NAME>

        Options:
          -u, --api-url <URL>        The gateway, else TOLLGATE_URL [default: http://localhost:8088/]
              --username <NAME>      Who logs in
              --password <PASSWORD>  Better not: asked for, or the first line of standard input
          -w, --workspace <ID>       The token's default workspace, instead of the user's own
              --save                 Keep the token for later commands instead of printing it
              --json                 Print the reply as JSON
          -h, --help                 Print help

        The token is printed, so that TOLLGATE_TOKEN=$(tg login …) works. With --save it goes to
        $XDG_CONFIG_HOME/tollgate/credentials.json (mode 0600; ~/.config if that is not set) instead, and
        later commands for the same gateway use it when neither -t nor the environment gives one.
    "#]].assert_eq(&help_of("login"));
}

#[test]
fn help_of_call() {
    expect![[r#"
        Call a service and print its answer

        Usage: tg call [OPTIONS] <SERVICE> [JSON]

        Arguments:
          <SERVICE>  The service: text-completion, graph-rag, config, …
          [JSON]     The request: a JSON object, @FILE, or - for standard input [default: {}]

        Options:
          -u, --api-url <URL>    The gateway, else TOLLGATE_URL [default: http://localhost:8088/]
          -t, --token <TOKEN>    API key or JWT, else TOLLGATE_TOKEN, else what login --save kept
          -o, --operation <OP>   The operation, for services that offer several
          -f, --flow <FLOW>      The flow, or none [default: default, or none with --operation]
          -w, --workspace <ID>   The workspace [default: the token's own]
          -s, --stream           Ask for a stream; with --json, print every part and not the last alone
              --json             Print each response as one line of JSON
          -d, --deadline <TIME>  Give up after this long: 500ms, 30s, 5m
          -h, --help             Print help

        A flow service needs nothing but its request. With --operation, and for config, flow, iam,
        knowledge, librarian and collection-management, no flow is sent unless --flow names one.

        Without --json, an answer that is a text (response, content, chunk or text) is printed as such, and
        anything else as indented JSON.

        Examples:
          tg call text-completion '{"prompt":"hello"}'
          tg call text-completion '{"prompt":"hello"}' --stream
          tg call config --operation list '{"type":"prompt"}' --json
          echo '{"query":"who?"}' | tg call graph-rag - --workspace research --deadline 30s
    "#]].assert_eq(&help_of("call"));
}
