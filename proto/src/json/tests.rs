use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[track_caller]
fn check_rewrite(input: &str, expect: &str) {
    let object = Object::parse(input, Limits::FRIEND).unwrap();
    assert_eq!(
        object.rewrite(&[("workspace", Value::Text("w"))], &["user-context"]).as_str(),
        expect
    );
}

#[test]
fn members_are_replaced_and_stripped_and_the_rest_kept_byte_for_byte() {
    check_rewrite("{}", r#"{"workspace":"w"}"#);
    check_rewrite(r#"{"a":1}"#, r#"{"workspace":"w","a":1}"#);
    check_rewrite(
        r#" { "a" : 1.50 , "workspace":"evil" , "b" : [ 1, 2 ] } "#,
        r#"{"workspace":"w","a" : 1.50,"b" : [ 1, 2 ]}"#,
    );
    check_rewrite(r#"{"user-context":{"x":1},"a":"\u00e9"}"#, r#"{"workspace":"w","a":"\u00e9"}"#);
    check_rewrite(r#"{"work\u0073pace":"evil","user\u002dcontext":1}"#, r#"{"workspace":"w"}"#);
}

#[test]
fn objects_that_two_readers_could_read_differently_are_refused() {
    let check = |text: &str, expect| {
        assert_eq!(Object::parse(text, Limits::FRIEND).unwrap_err(), expect, "{text}");
    };
    check(r#"{"operation":"get","operation":"put"}"#, ObjectError::DuplicateKey);
    check(r#"{"operation":"get","\u006fperation":"put"}"#, ObjectError::DuplicateKey);
    check("[]", ObjectError::NotAnObject);
    check("7", ObjectError::NotAnObject);
    check("{", ObjectError::NotJson);
    check("{} x", ObjectError::NotJson);
    check("", ObjectError::NotJson);
}

/// A text, and what is in it by another count.
#[derive(Debug, Clone)]
struct Counted {
    text: String,
    depth: usize,
    tokens: usize,
    digits: usize,
}

fn json() -> impl Strategy<Value = Counted> {
    let leaf = |text: String, digits| Counted { text, depth: 0, tokens: 0, digits };
    let number = "-?[1-9][0-9]{0,9}([0-9]{50,60})?(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,2})?";
    let leaves = prop_oneof![
        number.prop_map(move |text| {
            let digits = text.bytes().filter(u8::is_ascii_digit).count();
            leaf(text, digits)
        }),
        // What counts outside of a string does not count within.
        "[\\[\\]{}\",:\\\\0-9é]{0,80}"
            .prop_map(move |text| leaf(serde_json::to_string(&text).unwrap(), 0)),
        prop_oneof![Just("true"), Just("null")].prop_map(move |text| leaf(text.to_owned(), 0)),
    ];
    leaves.prop_recursive(6, 40, 5, |inner| {
        let list = proptest::collection::vec((inner, "[a-c\"]{0,2}", "[ \n]{0,1}"), 0..5);
        (list, any::<bool>()).prop_map(|(items, is_object)| {
            let parts: Vec<_> = items
                .iter()
                .map(|(item, key, blank)| {
                    let key = serde_json::to_string(key).unwrap();
                    let before = if is_object { format!("{key}{blank}:") } else { blank.clone() };
                    format!("{before}{}{blank}", item.text)
                })
                .collect();
            let (open, close) = if is_object { ('{', '}') } else { ('[', ']') };
            let own = 1 + items.len().saturating_sub(1) + if is_object { items.len() } else { 0 };
            let most = |of: fn(&Counted) -> usize| items.iter().map(|(i, ..)| of(i)).max();
            Counted {
                text: format!("{open}{}{close}", parts.join(",")),
                depth: 1 + most(|item| item.depth).unwrap_or(0),
                tokens: own + items.iter().map(|(item, ..)| item.tokens).sum::<usize>(),
                digits: most(|item| item.digits).unwrap_or(0),
            }
        })
    })
}

proptest! {
    #[test]
    fn limits_are_what_a_count_says(text in json(), depth in 0_usize..5, tokens in 0_usize..40) {
        let Counted { text, depth: deepest, tokens: all, digits } = text;
        // Whatever limits say, it is JSON.
        prop_assert!(serde_json::from_str::<&RawValue>(&text).is_ok(), "{}", text);
        let within = deepest <= depth && all <= tokens && digits <= 64;
        prop_assert_eq!(check(&text, Limits { depth, tokens }).is_ok(), within, "{}", text);
    }

    #[test]
    fn objects_are_those_of_serde_json_without_repeated_keys(
        text in json(),
        at in any::<proptest::sample::Index>(),
        with in "[\\[\\]{}\",:\\\\a0. ]{0,2}",
    ) {
        // Half of them broken somewhere.
        let mut text = text.text;
        let boundaries: Vec<_> = text.char_indices().map(|(at, _)| at).collect();
        text.insert_str(boundaries[at.index(boundaries.len())], &with);
        let value = serde_json::from_str::<BTreeMap<String, &RawValue>>(&text);
        match Object::parse(&text, Limits::BACKEND) {
            Ok(object) => {
                prop_assert_eq!(value.unwrap().len(), object.members.len());
            }
            Err(ObjectError::NotJson) => prop_assert!(value.is_err(), "{}", text),
            Err(ObjectError::NotAnObject) => {
                prop_assert_ne!(text.trim_start().chars().next(), Some('{'));
            }
            Err(ObjectError::DuplicateKey) => prop_assert!(value.is_ok(), "{}", text),
            Err(ObjectError::BeyondLimits) => {
                prop_assert!(text.bytes().filter(u8::is_ascii_digit).count() > 64);
            }
        }
    }

    #[test]
    fn a_rewritten_object_says_the_same(
        members in proptest::collection::btree_map("[a-z\"\\\\é]{1,6}", any::<i32>(), 0..24),
    ) {
        let text = serde_json::to_string(&members).unwrap();
        let rewritten = Object::parse(&text, Limits::FRIEND).unwrap().rewrite(&[("workspace", Value::Text("w"))], &[]);
        let mut value: serde_json::Value = serde_json::from_str(rewritten.as_str()).unwrap();
        prop_assert_eq!(value.as_object_mut().unwrap().remove("workspace").unwrap(), "w");
        prop_assert_eq!(value, serde_json::to_value(&members).unwrap());
        for (key, value) in &members {
            prop_assert_eq!(rewritten.get(key).unwrap().get(), value.to_string());
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "[\\[\\]{}\",:\\\\a0 ]{0,40}") {
        let _ = check(&text, Limits::STRANGER);
        if let Ok(object) = Object::parse(&text, Limits::FRIEND) {
            let again = object.rewrite(&[], &[]);
            prop_assert!(Object::parse(again.as_str(), Limits::FRIEND).is_ok());
        }
    }
}
