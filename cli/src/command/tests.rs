//! The name the binary is called by, and the help texts, which are the documentation. After a
//! change of them: `UPDATE_EXPECT=1 cargo test -p tollgate-cli`.

use clap::CommandFactory;
use expect_test::expect_file;

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
}

/// What `tg …` prints, as wide as the golden file is.
fn printed(args: &[&str]) -> String {
    let cli = Cli::command().term_width(100);
    cli.try_get_matches_from(args).unwrap_err().to_string()
}

fn all() -> Vec<clap::Command> {
    Cli::command().get_subcommands().cloned().collect()
}

/// What does something: a command, or those of a group, by their names behind `tg`.
fn leaves(command: &clap::Command) -> Vec<(String, clap::Command)> {
    let name = command.get_name();
    if !command.has_subcommands() {
        return vec![(name.to_owned(), command.clone())];
    }
    let own = command.get_subcommands();
    own.map(|leaf| (format!("{name} {}", leaf.get_name()), leaf.clone())).collect()
}

#[test]
fn help_is_as_it_was() {
    let rule = "-".repeat(100);
    let mut pages = vec![printed(&["tg", "--help"])];
    for (name, _) in all().iter().flat_map(leaves) {
        let args: Vec<_> = ["tg"].into_iter().chain(name.split(' ')).chain(["--help"]).collect();
        pages.push(format!("$ tg {name} --help\n{}", printed(&args)));
    }
    expect_file!["../../golden/help.txt"].assert_eq(&pages.join(&format!("{rule}\n")));
}

#[test]
fn every_flag_of_every_command_takes_one_line_of_help() {
    for command in all() {
        let help = printed(&["tg", command.get_name(), "--help"]);
        let (_, options) = help.split_once("Options:\n").unwrap();
        let options = options.lines().take_while(|line| !line.is_empty());
        for line in options {
            assert!(line.trim_start().starts_with('-') && line.contains("  "), "{help}");
        }
    }
}

#[test]
fn every_command_that_can_be_linked_speaks_json() {
    for (name, command) in linkable().iter().flat_map(leaves) {
        let mut arguments = command.get_arguments();
        assert!(arguments.any(|argument| argument.get_id() == "json"), "{name}");
    }
}

#[test]
fn the_page_of_commands_is_made_from_them() {
    let mut rows = Vec::new();
    for (name, command) in all().iter().flat_map(leaves) {
        let about = command.get_about().unwrap();
        rows.push(format!("| `{name}` | {about} | {} |", own_flags(&command)));
    }
    let page =
        include_str!("cli.md").replace("ROWS", &rows.join("\n")).replace("HELP", ENVIRONMENT_HELP);
    expect_file!["../../../docs/CLI.md"].assert_eq(&page);
}

/// Arguments that not every command has; `[…]` can be left out, one of `a|b` is given.
fn own_flags(command: &clap::Command) -> String {
    let common = ["api_url", "token", "json"];
    let mut own: Vec<_> =
        command.get_arguments().filter(|a| !common.contains(&a.get_id().as_str())).collect();
    own.sort_by_key(|a| ["wait", "dry_run"].contains(&a.get_id().as_str()));
    // Of every struct of arguments there is a group too, which says nothing.
    let is_choice = |group: &&clap::ArgGroup| {
        group.is_required_set() || !clap::ArgGroup::clone(group).is_multiple()
    };
    let either: Vec<_> = command.get_groups().filter(is_choice).collect();
    let mut flags = Vec::new();
    for argument in own {
        let group = either.iter().find(|group| group.get_args().any(|id| id == argument.get_id()));
        match group {
            None if argument.is_required_set() => flags.push(format!("`{}`", flag(argument))),
            None => flags.push(format!("`[{}]`", flag(argument))),
            Some(group) if group.get_args().next() == Some(argument.get_id()) => {
                let ids: Vec<_> = group.get_args().collect();
                let all = command.get_arguments().filter(|a| ids.contains(&a.get_id()));
                let all = all.map(flag).collect::<Vec<_>>().join("\\|");
                flags.push(if group.is_required_set() {
                    format!("`{all}`")
                } else {
                    format!("`[{all}]`")
                });
            }
            Some(_) => {}
        }
    }
    flags.join(" ")
}

fn flag(argument: &clap::Arg) -> String {
    let value = argument.get_value_names().map(|names| names[0].to_string());
    let value = value.filter(|_| argument.get_action().takes_values());
    match (argument.get_long(), value) {
        (Some(long), Some(value)) => format!("--{long} {value}"),
        (Some(long), None) => format!("--{long}"),
        (None, value) => value.unwrap(),
    }
}
