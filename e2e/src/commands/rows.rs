//! The table itself.

use Stdout::{Ends, Grid, Is, Keep, Nothing, Pairs};

/// One command, and what must come of it. In all texts `$name` stands for what was kept under
/// that name.
pub(super) struct Row {
    /// The token.
    pub(super) token: &'static str,
    /// Command and arguments, with blanks between them.
    pub(super) typed: &'static str,
    pub(super) stdin: &'static str,
    pub(super) exit: i32,
    pub(super) stdout: Stdout,
    /// Lines that must be among those on stderr. `…` stands for anything, and `$=name` keeps the rest
    /// of the line.
    pub(super) stderr: &'static [&'static str],
}

/// What stands on stdout.
pub(super) enum Stdout {
    Nothing,
    /// This, and an end of line.
    Is(&'static str),
    /// This at the end: one program asks its question on stdout.
    Ends(&'static str),
    /// One line, which is kept under this name.
    Keep(&'static str),
    /// Names and values, `|` between them, in two columns. `*` is any value but none.
    Pairs(&'static [&'static str]),
    /// A grid with these cells, `|` between them: names first, then rows in any order.
    Grid(&'static [&'static str]),
}

const UNKNOWN: &[&str] = &["Exception: HTTP 401: auth failure"];
/// Known to the gateway a moment ago, and gone.
const GONE: &[&str] = UNKNOWN;
const FORBIDDEN: &[&str] = &["Exception: HTTP 403: access denied"];
const NO_USER: &[&str] = &["Exception: not-found: user not found"];
const NO_KEY: &[&str] = &["Exception: not-found: api key not found"];
const ELSEWHERE: &[&str] =
    &["Exception: operation-not-permitted: user is in a different workspace"];

/// A success.
const fn ok(token: &'static str, typed: &'static str, stdout: Stdout) -> Row {
    Row { token, typed, stdin: "", exit: 0, stdout, stderr: &[] }
}

/// A failure: nothing on stdout, and its reason on stderr.
const fn no(token: &'static str, typed: &'static str, stderr: &'static [&'static str]) -> Row {
    Row { token, typed, stdin: "", exit: 1, stdout: Nothing, stderr }
}

/// A misuse.
const fn misuse(token: &'static str, typed: &'static str) -> Row {
    Row { token, typed, stdin: "", exit: 2, stdout: Nothing, stderr: &[] }
}

impl Row {
    const fn saying(self, stderr: &'static [&'static str]) -> Self {
        Self { stderr, ..self }
    }

    const fn answering(self, stdin: &'static str) -> Self {
        Self { stdin, ..self }
    }
}

#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    // A deployment is claimed once.
    ok("", "tg-bootstrap-iam", Keep("admin")).saying(&["Admin user id: $=root"]),
    no("", "tg-bootstrap-iam", &[r#"Exception: HTTP 401: {"error":"auth failure"}"#]),
    ok("$admin", "tg-whoami", Pairs(&[
        "id|$root", "username|admin", "name|Administrator", "email|", "workspace|default", "roles|admin",
        "enabled|yes", "must change password|yes", "created|*",
    ])),
    no("tg_no", "tg-whoami", UNKNOWN),
    no("", "tg-whoami", UNKNOWN),
    misuse("$admin", "tg-whoami --no-such-flag"),

    // Workspaces.
    ok("$admin", "tg-create-workspace --workspace-id acme --name Acme", Is("Workspace created: acme")),
    ok("$admin", "tg-create-workspace --workspace-id acme --name Other", Is("Workspace created: acme")),
    no("$admin", "tg-create-workspace --workspace-id _x", &["Exception: invalid-argument: …"]),
    misuse("$admin", "tg-create-workspace"),
    ok("$admin", "tg-list-workspaces", Grid(&[
        "id|name|enabled|created", "acme|Acme|yes|*", "default|Default|yes|*",
    ])),
    ok("$admin", "tg-list-my-workspaces", Grid(&[
        "id|name|enabled|created", "acme|Acme|yes|*", "default|Default|yes|*",
    ])),

    // Users.
    ok("$admin", "tg-create-user -w acme --username ann --password $first --name Ann --email ann@example.com --roles writer reader", Keep("ann"))
        .saying(&["User id: $ann", "Username: ann", "Roles: reader, writer"]),
    no("$admin", "tg-create-user -w acme --username ann --password $first", &["Exception: duplicate: username already exists"]),
    no("$admin", "tg-create-user --username bob --password $first", &["Exception: invalid-argument: workspace required"]),
    no("$admin", "tg-create-user -w nowhere --username bob --password $first", &["Exception: not-found: workspace not found or disabled"]),
    no("$admin", "tg-create-user -w acme --username bob --password short", &["Exception: weak-password: …"]),
    misuse("$admin", "tg-create-user -w acme"),
    ok("$admin", "tg-create-user -w acme --username bob --password $first --must-change-password", Keep("bob"))
        .saying(&["Roles: reader"]),
    ok("$admin", "tg-list-users -w acme", Grid(&[
        "id|username|name|roles|enabled|change-pw",
        "$ann|ann|Ann|reader, writer|yes|no", "$bob|bob|bob|reader|yes|yes",
    ])),
    ok("$admin", "tg-list-users -w default", Grid(&[
        "id|username|name|roles|enabled|change-pw", "$root|admin|Administrator|admin|yes|yes",
    ])),
    ok("$admin", "tg-list-users -w nowhere", Is("No users.")),

    // Sessions, and what they may.
    ok("", "tg-login --username ann --password $first", Keep("session")).saying(&["JWT expires: $=later"]),
    ok("", "tg-login --username ann --password $first -w acme", Keep("other")),
    no("", "tg-login --username ann --password $wrong", UNKNOWN),
    no("", "tg-login --username nobody --password $first", UNKNOWN),
    no("", "tg-login --username ann --password $first -w default", UNKNOWN),
    misuse("", "tg-login"),
    ok("$session", "tg-whoami", Pairs(&[
        "id|$ann", "username|ann", "name|Ann", "email|ann@example.com", "workspace|acme", "roles|reader, writer",
        "enabled|yes", "must change password|no", "created|*",
    ])),
    ok("$session", "tg-list-my-workspaces", Grid(&["id|name|enabled|created", "acme|Acme|yes|*"])),
    no("", "tg-list-my-workspaces", UNKNOWN),
    no("$session", "tg-list-workspaces", FORBIDDEN),
    no("$session", "tg-list-users", FORBIDDEN),
    no("$session", "tg-create-workspace --workspace-id mine", FORBIDDEN),
    no("$session", "tg-create-user -w acme --username eve --password $first", FORBIDDEN),

    // Keys.
    ok("$admin", "tg-list-api-keys --user-id $ann", Is("No keys.")),
    ok("$admin", "tg-create-api-key --user-id $ann --name laptop", Keep("key"))
        .saying(&["Key id: $=laptop", "Name: laptop", "Prefix: tg_…"]),
    ok("$admin", "tg-create-api-key --user-id $ann --name ci --expires $later -w acme", Keep("lasting"))
        .saying(&["Key id: $=ci"]),
    no("$admin", "tg-create-api-key --user-id $nobody --name x", NO_USER),
    no("$admin", "tg-create-api-key --user-id $ann --name x -w default", ELSEWHERE),
    misuse("$admin", "tg-create-api-key --user-id $ann"),
    ok("$admin", "tg-list-api-keys --user-id $ann", Grid(&[
        "id|name|prefix|created|last used|expires",
        "$laptop|laptop|*|*|—|never", "$ci|ci|*|*|—|$later",
    ])),
    no("$admin", "tg-list-api-keys --user-id $nobody", NO_USER),
    ok("$key", "tg-list-my-workspaces", Grid(&["id|name|enabled|created", "acme|Acme|yes|*"])),
    ok("$admin", "tg-revoke-api-key --key-id $laptop", Is("Revoked key $laptop")),
    no("$key", "tg-list-my-workspaces", GONE),
    ok("$lasting", "tg-list-my-workspaces", Grid(&["id|name|enabled|created", "acme|Acme|yes|*"])),
    no("$admin", "tg-revoke-api-key --key-id $laptop", NO_KEY),
    no("$admin", "tg-revoke-api-key --key-id $ci -w default", &["Exception: operation-not-permitted: key belongs to a different workspace"]),

    // Passwords.
    no("$session", "tg-change-password --current $wrong --new $second", UNKNOWN),
    no("$session", "tg-change-password --current $first --new short", &["Exception: HTTP 400: …"]),
    no("", "tg-change-password --current $first --new $second", UNKNOWN),
    ok("$session", "tg-change-password --current $first --new $second", Is("Password changed.")),
    no("$session", "tg-whoami", GONE),
    no("", "tg-login --username ann --password $first", UNKNOWN),
    ok("", "tg-login --username ann --password $second", Keep("session")),
    ok("$admin", "tg-reset-password --user-id $ann", Keep("temporary")),
    no("$admin", "tg-reset-password --user-id $nobody", NO_USER),
    no("$session", "tg-reset-password --user-id $ann", UNKNOWN),
    no("", "tg-login --username ann --password $second", UNKNOWN),
    ok("", "tg-login --username ann --password $temporary", Keep("session")),
    ok("$session", "tg-whoami", Pairs(&[
        "id|$ann", "username|ann", "name|Ann", "email|ann@example.com", "workspace|acme", "roles|reader, writer",
        "enabled|yes", "must change password|yes", "created|*",
    ])),
    no("$session", "tg-list-my-workspaces", FORBIDDEN),
    ok("$session", "tg-change-password --current $temporary --new $first", Is("Password changed.")),
    no("", "tg-login --username ann --password $temporary", UNKNOWN),
    ok("", "tg-login --username ann --password $first", Keep("session")),
    ok("$session", "tg-list-my-workspaces", Grid(&["id|name|enabled|created", "acme|Acme|yes|*"])),

    // What a user is.
    ok("$admin", "tg-update-user --user-id $ann --name $name --roles reader", Ends("must-change-pw: no")),
    ok("$admin", "tg-update-user --user-id $ann --email a.b@example.com -w acme", Is(
        "id        : $ann\nusername  : ann\nname      : Ann B.\nemail     : a.b@example.com\ndefault_ws: acme\nroles     : reader\nenabled   : yes\nmust-change-pw: no",
    )),
    ok("$admin", "tg-update-user --user-id $bob --must-change-password no", Ends("enabled   : yes\nmust-change-pw: no")),
    ok("$admin", "tg-update-user --user-id $bob --enabled no", Ends("enabled   : no\nmust-change-pw: no")),
    misuse("$admin", "tg-update-user --user-id $ann"),
    misuse("$admin", "tg-update-user --user-id $ann --enabled maybe"),
    no("$admin", "tg-update-user --user-id $nobody --name x", NO_USER),
    no("$admin", "tg-update-user --user-id $ann --name x -w default", ELSEWHERE),
    no("$session", "tg-update-user --user-id $ann --roles admin", FORBIDDEN),
    ok("$admin", "tg-list-users -w acme", Grid(&[
        "id|username|name|roles|enabled|change-pw",
        "$ann|ann|Ann B.|reader|yes|no", "$bob|bob|bob|reader|no|no",
    ])),

    // Authority that ends at once, and comes back without its keys.
    ok("$admin", "tg-disable-user --user-id $ann", Is("Disabled user $ann")),
    no("$admin", "tg-disable-user --user-id $nobody", NO_USER),
    no("$admin", "tg-disable-user --user-id $ann -w default", ELSEWHERE),
    no("$session", "tg-whoami", GONE),
    no("$lasting", "tg-whoami", GONE),
    no("", "tg-login --username ann --password $first", UNKNOWN),
    ok("$admin", "tg-enable-user --user-id $ann", Is("Enabled user $ann")),
    no("$admin", "tg-enable-user --user-id $nobody", NO_USER),
    no("$session", "tg-whoami", GONE),
    no("$lasting", "tg-whoami", GONE),
    ok("$admin", "tg-list-api-keys --user-id $ann", Is("No keys.")),
    ok("", "tg-login --username ann --password $first", Keep("session")),
    ok("$session", "tg-list-my-workspaces", Grid(&["id|name|enabled|created", "acme|Acme|yes|*"])),

    // Tokens for others.
    ok("$admin", "tg-mint-token -w acme --user-context $context --user-id $ann", Keep("minted")).saying(&["JWT expires: 20…"]),
    ok("$minted", "tg-list-my-workspaces", Grid(&["id|name|enabled|created", "acme|Acme|yes|*"])),
    ok("$admin", "tg-mint-token -w acme --user-context $context --username ann", Keep("minted")),
    ok("$minted", "tg-list-my-workspaces", Grid(&["id|name|enabled|created", "acme|Acme|yes|*"])),
    ok("$admin", "tg-mint-token -w default --user-context {} --self", Keep("own")),
    ok("$own", "tg-whoami", Pairs(&[
        "id|$root", "username|admin", "name|Administrator", "email|", "workspace|default", "roles|admin",
        "enabled|yes", "must change password|yes", "created|*",
    ])),
    no("$own", "tg-list-users -w default", FORBIDDEN),
    no("$admin", "tg-mint-token -w acme --user-context {} --user-id $nobody", NO_USER),
    no("$admin", "tg-mint-token -w acme --user-context {} --username nobody", NO_USER),
    no("$admin", "tg-mint-token -w nowhere --user-context {} --username ann", &["Exception: not-found: …"]),
    no("$admin", "tg-mint-token -w acme --user-context [1] --self", &[]),
    no("$admin", "tg-mint-token -w acme --user-context tier=gold --self", &[]),
    no("$session", "tg-mint-token -w acme --user-context {} --username bob", FORBIDDEN),
    misuse("$admin", "tg-mint-token -w acme --user-context {}"),
    misuse("$admin", "tg-mint-token -w acme --user-context {} --self --username ann"),

    // The end.
    ok("$admin", "tg-delete-user --user-id $ann", Ends("Aborted.")).answering("no\n"),
    no("$admin", "tg-delete-user --user-id $nobody --yes", NO_USER),
    no("$admin", "tg-delete-user --user-id $ann --yes -w default", ELSEWHERE),
    no("$session", "tg-delete-user --user-id $bob --yes", FORBIDDEN),
    ok("$session", "tg-list-my-workspaces", Grid(&["id|name|enabled|created", "acme|Acme|yes|*"])),
    ok("$admin", "tg-delete-user --user-id $ann", Ends("Deleted user $ann")).answering("yes\n"),
    no("$session", "tg-whoami", GONE),
    no("$minted", "tg-whoami", GONE),
    no("", "tg-login --username ann --password $first", UNKNOWN),
    ok("$admin", "tg-create-user -w acme --username ann --password $first", Keep("ann")),
    ok("$admin", "tg-delete-user --user-id $ann --yes", Is("Deleted user $ann")),
    no("$admin", "tg-delete-user --user-id $ann --yes", NO_USER),
];
