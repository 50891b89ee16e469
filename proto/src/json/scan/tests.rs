use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;

const WIDE: Limits = Limits { depth: 64, tokens: usize::MAX };

fn scan(text: &str, limits: Limits) -> Result<&str, ObjectError> {
    let mut scanner = Scanner::new(text, limits);
    let value = scanner.value()?;
    scanner.end()?;
    Ok(value.get())
}

#[track_caller]
fn check_like_serde(text: &str) {
    let theirs = serde_json::from_str::<&RawValue>(text).map(RawValue::get).ok();
    assert_eq!(scan(text, WIDE).ok(), theirs, "{text:?}");
}

#[test]
fn it_takes_what_serde_json_takes() {
    for text in [
        "",
        " ",
        "null",
        " true ",
        "falsey",
        "nul",
        "0",
        "-0",
        "-",
        "01",
        "1.",
        "1.0e",
        "1e+9",
        "1E5",
        ".5",
        "+1",
        "-1.25e-3",
        "\"\"",
        "\"",
        "\"\\u12g4\"",
        "\"\\ud800\"",
        "\"\\x\"",
        "\"a\tb\"",
        "\"\\\"",
        "[]",
        "[,]",
        "[1,]",
        "[1 2]",
        "[1,[2,{}],\"]\"]",
        "[}",
        "{]",
        "{}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{\"a\":1 \"b\":2}",
        "{a:1}",
        "{} {}",
        "{\"a\":{\"b\":[{}]},\"c\":null}",
        "\u{feff}1",
        "\"\u{7f}é\u{1f600}\"",
        "[1]]",
    ] {
        check_like_serde(text);
    }
}

#[test]
fn a_string_is_looked_at_to_its_last_byte() {
    for length in 0..40 {
        for special in ["", "\"", "\\\\", "\\", "\u{1f}", "\n"] {
            check_like_serde(&format!("\"{}{special}{}\"", "x".repeat(length), "y".repeat(9)));
            check_like_serde(&format!("\"{}{special}", "é".repeat(length)));
        }
    }
}

#[test]
fn depth_and_tokens_are_limited_outside_strings() {
    let beyond = Err(ObjectError::BeyondLimits);
    let deep = |n| format!("{}{}", "[".repeat(n), "]".repeat(n));
    assert!(scan(&deep(32), Limits::STRANGER).is_ok());
    assert_eq!(scan(&deep(33), Limits::STRANGER), beyond);
    assert!(scan(&deep(64), WIDE).is_ok());
    let no_limit = Limits { depth: usize::MAX, ..WIDE };
    assert_eq!(scan(&deep(65), no_limit), beyond);
    assert!(scan(&format!("\"{}\\\"[\"", "[".repeat(99)), Limits::STRANGER).is_ok());
    let wide = |n| format!("[{}0]", "0,".repeat(n));
    assert!(scan(&wide(1_999), Limits::STRANGER).is_ok());
    assert_eq!(scan(&wide(2_000), Limits::STRANGER), beyond);
    let members = |n| format!("{{{}\"a\":0}}", "\"a\":0,".repeat(n));
    assert!(scan(&members(999), Limits::STRANGER).is_ok());
    assert_eq!(scan(&members(1_000), Limits::STRANGER), beyond);
}

#[test]
fn digits_are_limited_number_by_number() {
    let number = |digits: usize| format!("[1, -{}.00E+0]", "1".repeat(digits - 3));
    for limits in [Limits::STRANGER, WIDE] {
        assert!(scan(&number(64), limits).is_ok());
        assert_eq!(scan(&number(65), limits), Err(ObjectError::BeyondLimits));
        assert!(scan(&format!("\"{}\"", "1".repeat(65)), limits).is_ok());
    }
}

proptest! {
    #[test]
    fn it_takes_what_serde_json_takes_of_anything(
        text in "[\\[\\]{}\",:\\\\ 0-9.eE+\\-utrfnalse\u{1}é]{0,24}",
    ) {
        check_like_serde(&text);
    }

    #[test]
    fn it_takes_what_serde_json_takes_of_broken_json(
        members in proptest::collection::btree_map("[a-z\"\\\\é]{0,20}", any::<f64>(), 0..6),
        at in 0..200_usize,
        change in "[\\[\\]{}\",:\\\\ 0-9e.\\-]{0,1}",
    ) {
        let text = serde_json::json!([members, { "nested": [members, null, true] }]).to_string();
        let at = (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap();
        let (before, behind) = text.split_at(at);
        let mut behind = behind.chars();
        behind.next();
        check_like_serde(&format!("{before}{change}{}", behind.as_str()));
    }
}
