use super::*;

#[test]
fn every_known_operation_parses_bare_and_writes_its_name() {
    for name in known_operations() {
        let text = format!(r#"{{"operation":"{name}"}}"#);
        let operation = Operation::parse(&text).unwrap();
        assert_eq!(operation.name(), *name);
        assert_eq!(serde_json::to_string(&operation).unwrap(), text);
    }
}

#[test]
fn null_and_empty_are_absent_and_unknown_fields_ignored() {
    let text = r#"{"operation":"create-user","workspace":"","actor":"evil","user":{"username":"ann","name":null,"roles":[],"password":"","unknown":1}}"#;
    let Ok(Operation::CreateUser { workspace: None, user: Some(user) }) = Operation::parse(text)
    else {
        panic!()
    };
    assert_eq!(user.username.as_deref(), Some("ann"));
    assert!(user.name.is_none() && user.roles.is_none() && user.password.is_none());
}

#[test]
fn a_list_is_not_taken_for_an_object_by_position() {
    let check = |operation, field, value: &str| {
        let text = format!(r#"{{"operation":"{operation}","{field}":{value}}}"#);
        Operation::parse(&text).map(drop).map_err(|error| error.to_string())
    };
    for (operation, field) in [
        ("create-user", "user"),
        ("update-user", "user"),
        ("create-api-key", "key"),
        ("create-workspace", "workspace_record"),
        ("add-user-grant", "grant"),
    ] {
        let refused = |of| format!("invalid type: {of}, expected {field} to be an object");
        for list in ["[]", r#"["x"]"#, r#"["x","y","z"]"#] {
            assert_eq!(check(operation, field, list), Err(refused("sequence")), "{list}");
        }
        assert_eq!(check(operation, field, "7"), Err(refused("integer `7`")));
        for good in ["null", "{}", r#"{"name":"x"}"#] {
            assert_eq!(check(operation, field, good), Ok(()), "{good}");
        }
    }
}

#[test]
fn what_is_no_operation_says_why() {
    let check = |text, expect: &str| {
        assert_eq!(Operation::parse(text).unwrap_err().to_string(), expect, "{text}");
    };
    check(r#"{"operation":"resolve-api-key"}"#, "unknown operation");
    check("{}", "unknown operation");
    check("[]", "not a JSON object");
    check(r#"{"operation":"whoami","operation":"login"}"#, "a key is repeated");
    check(
        r#"{"operation":"create-user","user":{"roles":["a"],"roles":["admin"]}}"#,
        "duplicate field `roles`",
    );
    check(
        r#"{"operation":"get-user","user_id":7}"#,
        "invalid type: integer `7`, expected a string",
    );
}
