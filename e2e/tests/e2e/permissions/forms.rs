//! Every operation of IAM, in every form whose answer differs.

use serde_json::{Value, json};
use tollgate_e2e::PASSWORD;

use super::form::{Form, Leaves, Subject, Target, Way};

/// Known to clients of old, and answered `not-supported` to whoever is somebody.
pub(super) const NOT_OFFERED: &[&str] = &[
    "create-group",
    "get-group",
    "list-groups",
    "update-group",
    "delete-group",
    "add-group-member",
    "remove-group-member",
    "list-group-members",
    "add-group-grant",
    "remove-group-grant",
    "list-group-grants",
];

/// The sections of the page.
pub(super) const SECTIONS: &[(&str, &[Form])] = &[
    ("Ways in", WAYS_IN),
    ("Oneself", ONESELF),
    ("Users", USERS),
    ("API keys", KEYS),
    ("Sockets", SOCKETS),
    ("Workspaces", WORKSPACES),
    ("Grants", GRANTS),
    ("Signing keys and minted tokens", SIGNING),
    ("Groups", GROUPS),
];

const NOTHING: &[Target] = &[Target::Nothing];
const ANY_USER: &[Target] =
    &[Target::Own, Target::Other, Target::Above, Target::Foreign, Target::Shut, Target::Ghost];
const ANY_WORKSPACE: &[Target] = &[Target::Own, Target::Foreign, Target::Shut, Target::Ghost];
/// The same as [`ANY_USER`], where it matters that a user is disabled.
const ANY_USER_OR_OFF: &[Target] = &[
    Target::Own,
    Target::Other,
    Target::Off,
    Target::Above,
    Target::Foreign,
    Target::Shut,
    Target::Ghost,
];

const fn form(operation: &'static str, targets: &'static [Target], ask: Ask) -> Form {
    let (way, leaves) = (Way::Iam, Leaves::Nothing);
    let (is_granted, is_connected) = (false, false);
    Form { operation, detail: "", way, targets, ask, is_granted, is_connected, leaves }
}

type Ask = fn(&Subject) -> Value;

const BARE: Ask = |_| json!({});
const USER: Ask = |of| json!({ "user_id": of.id });
const WORKSPACE: Ask = |of| json!({ "workspace_record": { "id": of.workspace } });

/// The new password of whoever changes its own.
const NEW_PASSWORD: &str = "twelve yellow spoons dance";

const WAYS_IN: &[Form] = &[
    Form { detail: "unclaimed", way: Way::Unclaimed, ..form("bootstrap", NOTHING, BARE) },
    form("bootstrap", NOTHING, BARE),
    Form { way: Way::Path("/api/v1/auth/bootstrap"), ..form("bootstrap", NOTHING, BARE) },
    form("bootstrap-status", NOTHING, BARE),
    Form {
        way: Way::Path("/api/v1/auth/bootstrap-status"),
        ..form("bootstrap-status", NOTHING, BARE)
    },
    form("login", &[Target::Other, Target::Ghost], LOGIN),
    Form {
        way: Way::Path("/api/v1/auth/login"),
        ..form("login", &[Target::Other, Target::Ghost], LOGIN)
    },
];

const LOGIN: Ask = |of| json!({ "username": of.username, "password": PASSWORD });

const ONESELF: &[Form] = &[
    form("whoami", NOTHING, BARE),
    form("list-my-workspaces", NOTHING, BARE),
    Form { leaves: Leaves::SpentActor, ..form("logout", NOTHING, BARE) },
    Form {
        leaves: Leaves::SpentActor,
        ..form(
            "change-password",
            &[Target::Own, Target::Other, Target::Ghost],
            |of| json!({ "user_id": of.id, "password": PASSWORD, "new_password": NEW_PASSWORD }),
        )
    },
    Form {
        way: Way::Path("/api/v1/auth/change-password"),
        leaves: Leaves::SpentActor,
        ..form(
            "change-password",
            &[Target::Own],
            |_| json!({ "current_password": PASSWORD, "new_password": NEW_PASSWORD }),
        )
    },
];

const USERS: &[Form] = &[
    Form {
        detail: "roles `[reader]`",
        ..form("create-user", ANY_WORKSPACE, |of| create_user(of, "reader"))
    },
    Form {
        detail: "roles `[admin]`",
        ..form("create-user", ANY_WORKSPACE, |of| create_user(of, "admin"))
    },
    Form { detail: "no filter", ..form("list-users", NOTHING, BARE) },
    form("list-users", ANY_WORKSPACE, |of| json!({ "workspace": of.workspace })),
    form("get-user", ANY_USER, USER),
    Form {
        detail: "`name`",
        ..form("update-user", ANY_USER, |of| update_user(of, json!({ "name": "Ann" })))
    },
    Form {
        detail: "`enabled`",
        leaves: Leaves::SpentTarget,
        ..form("update-user", ANY_USER, |of| update_user(of, json!({ "enabled": false })))
    },
    Form {
        detail: "roles `[reader]`",
        leaves: Leaves::SpentTarget,
        ..form("update-user", ANY_USER, |of| update_user(of, json!({ "roles": ["reader"] })))
    },
    Form {
        detail: "roles `[admin]`",
        leaves: Leaves::SpentTarget,
        ..form("update-user", ANY_USER, |of| update_user(of, json!({ "roles": ["admin"] })))
    },
    Form { leaves: Leaves::SpentTarget, ..form("disable-user", ANY_USER, USER) },
    form("enable-user", ANY_USER, USER),
    Form { leaves: Leaves::SpentTarget, ..form("enable-user", &[Target::Off], USER) },
    Form { leaves: Leaves::SpentTarget, ..form("delete-user", ANY_USER, USER) },
    Form { leaves: Leaves::SpentTarget, ..form("reset-password", ANY_USER, USER) },
];

fn create_user(of: &Subject, role: &str) -> Value {
    let user = json!({ "username": of.unused, "password": PASSWORD, "roles": [role] });
    json!({ "workspace": of.workspace, "user": user })
}

fn update_user(of: &Subject, user: Value) -> Value {
    let mut ask = json!({ "user_id": of.id });
    ask["user"] = user;
    ask
}

const KEYS: &[Form] = &[
    form(
        "create-api-key",
        ANY_USER_OR_OFF,
        |of| json!({ "key": { "user_id": of.id, "name": "another" } }),
    ),
    form("list-api-keys", ANY_USER, USER),
    Form {
        leaves: Leaves::SpentTarget,
        ..form("revoke-api-key", ANY_USER, |of| json!({ "key_id": of.key_id }))
    },
];

const SOCKETS: &[Form] = &[
    Form { detail: "no user", ..form("list-sessions", NOTHING, BARE) },
    form("list-sessions", ANY_USER, USER),
    Form {
        detail: "`workspace`",
        ..form("list-sessions", ANY_WORKSPACE, |of| json!({ "workspace": of.workspace }))
    },
    Form { leaves: Leaves::ClosedSocket, ..form("kick-user", ANY_USER, USER) },
    Form { detail: "nobody's", ..form("end-session", NOTHING, |_| json!({ "session_id": NO_ID })) },
    Form { is_connected: true, ..form("end-session", ANY_USER, SESSION) },
    Form {
        detail: "`user_id`",
        is_connected: true,
        ..form("end-session", ANY_USER, |of| with_user(of, SESSION(of)))
    },
    Form {
        detail: "`user_id`, nobody's",
        ..form("end-session", ANY_USER, |of| with_user(of, json!({ "session_id": NO_ID })))
    },
];

const SESSION: Ask = |of| json!({ "session_id": of.session_id });

fn with_user(of: &Subject, mut ask: Value) -> Value {
    ask["user_id"] = json!(of.id);
    ask
}

/// The id of nothing.
const NO_ID: &str = "00000000-0000-0000-0000-000000000000";

const WORKSPACES: &[Form] = &[
    Form {
        detail: "a new one",
        ..form("create-workspace", NOTHING, |of| json!({ "workspace_record": { "id": of.unused } }))
    },
    Form {
        detail: "one that is there",
        ..form("create-workspace", &[Target::Own, Target::Foreign, Target::Shut], WORKSPACE)
    },
    form("list-workspaces", NOTHING, BARE),
    form("get-workspace", ANY_WORKSPACE, WORKSPACE),
    Form {
        detail: "`name`",
        ..form(
            "update-workspace",
            ANY_WORKSPACE,
            |of| json!({ "workspace_record": { "id": of.workspace, "name": "Renamed" } }),
        )
    },
    Form {
        detail: "`enabled`",
        leaves: Leaves::MovedWorkspace,
        ..form(
            "update-workspace",
            ANY_WORKSPACE,
            |of| json!({ "workspace_record": { "id": of.workspace, "enabled": true } }),
        )
    },
    Form { leaves: Leaves::MovedWorkspace, ..form("disable-workspace", ANY_WORKSPACE, WORKSPACE) },
];

const fn grant(
    operation: &'static str,
    detail: &'static str,
    targets: &'static [Target],
    ask: Ask,
) -> Form {
    Form { detail, leaves: Leaves::MovedGrant, ..form(operation, targets, ask) }
}

/// A capability that all but nobody have at home.
const IN_OWN: Ask = |of| place(of, "llm", "acme");
const IN_FOREIGN: Ask = |of| place(of, "llm", "umbrella");
const IN_SHUT: Ask = |of| place(of, "llm", "shut");
const IN_GHOST: Ask = |of| place(of, "llm", "ghost");
const EVERYWHERE: Ask = |of| place(of, "llm", "*");
/// One that only admins have.
const LACKED: Ask = |of| place(of, "config:write", "acme");

fn place(of: &Subject, capability: &str, workspace: &str) -> Value {
    json!({ "user_id": of.id, "grant": { "capability": capability, "workspace": workspace } })
}

const OTHER: &[Target] = &[Target::Other];

const GRANTS: &[Form] = &[
    grant("add-user-grant", "`llm` in own", ANY_USER, IN_OWN),
    grant("add-user-grant", "`config:write` in own", OTHER, LACKED),
    grant("add-user-grant", "`llm` in foreign", OTHER, IN_FOREIGN),
    grant("add-user-grant", "`llm` in shut", OTHER, IN_SHUT),
    grant("add-user-grant", "`llm` in ghost", OTHER, IN_GHOST),
    grant("add-user-grant", "`llm` everywhere", OTHER, EVERYWHERE),
    Form { is_granted: true, ..grant("remove-user-grant", "`llm` in own", ANY_USER, IN_OWN) },
    grant("remove-user-grant", "`llm` in own, not held", ANY_USER, IN_OWN),
    Form { is_granted: true, ..grant("remove-user-grant", "`config:write` in own", OTHER, LACKED) },
    Form { is_granted: true, ..grant("remove-user-grant", "`llm` in foreign", OTHER, IN_FOREIGN) },
    grant("remove-user-grant", "`llm` in ghost", OTHER, IN_GHOST),
    Form { is_granted: true, ..grant("remove-user-grant", "`llm` everywhere", OTHER, EVERYWHERE) },
    form("list-user-grants", ANY_USER, USER),
    Form { detail: "no user", ..form("resolve-effective-permissions", NOTHING, BARE) },
    form("resolve-effective-permissions", ANY_USER, USER),
];

const SIGNING: &[Form] = &[
    form("rotate-signing-key", NOTHING, BARE),
    Form {
        detail: "`revoke`",
        ..form("rotate-signing-key", &[Target::Ghost], |_| json!({ "revoke": "0000000000000000" }))
    },
    form(
        "mint-token",
        ANY_USER_OR_OFF,
        |of| json!({ "user_id": of.id, "workspace": of.workspace }),
    ),
];

const GROUPS: &[Form] = &[
    form("create-group", NOTHING, BARE),
    form("get-group", NOTHING, BARE),
    form("list-groups", NOTHING, BARE),
    form("update-group", NOTHING, BARE),
    form("delete-group", NOTHING, BARE),
    form("add-group-member", NOTHING, BARE),
    form("remove-group-member", NOTHING, BARE),
    form("list-group-members", NOTHING, BARE),
    form("add-group-grant", NOTHING, BARE),
    form("remove-group-grant", NOTHING, BARE),
    form("list-group-grants", NOTHING, BARE),
];
