//! Autobahn 6: text is UTF-8, by the tables of Markus Kuhn's decoder stress test.
//!
//! A message in one frame is judged when all of it is there, a message in fragments with each of
//! them: RFC 6455 §8.1 asks for no more, the suite calls the former "non-strict".

use tollgate_e2e::frames::opcode::{BINARY, CONTINUATION, TEXT};
use tollgate_e2e::frames::{FIN, fragments, frame};

use super::{Case, Expect, case, check, echo, not_json};

/// 6.2, 6.5–6.7, 6.9, 6.11, 6.13, 6.22, 6.23: what UTF-8 is.
const VALID: [&[u8]; 25] = [
    b"Hello-\xc2\xb5@\xc3\x9f\xc3\xb6\xc3\xa4\xc3\xbc\xc3\xa0\xc3\xa1-UTF-8!!",
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5",
    // The first and the last of each length.
    b"\x20",
    b"\x7f",
    b"\xc2\x80",
    b"\xdf\xbf",
    b"\xe0\xa0\x80",
    b"\xef\xbf\xbf",
    b"\xf0\x90\x80\x80",
    // Around the surrogates and the end.
    b"\xed\x9f\xbf",
    b"\xee\x80\x80",
    b"\xef\xbf\xbd",
    b"\xf4\x8f\xbf\xbf",
    // Noncharacters are characters on the wire.
    b"\xef\xbf\xbe",
    b"\xf0\x9f\xbf\xbe",
    b"\xf0\x9f\xbf\xbf",
    b"\xf0\xaf\xbf\xbe",
    b"\xf0\xbf\xbf\xbf",
    b"\xf1\x8f\xbf\xbe",
    b"\xf2\x9f\xbf\xbf",
    b"\xf3\xaf\xbf\xbe",
    b"\xf3\xbf\xbf\xbf",
    b"\xf4\x8f\xbf\xbe",
    b"\xef\xb7\x90",
    b"\xf0\x9d\x84\x9e",
];

/// 6.3, 6.6, 6.8, 6.10, 6.12, 6.14–6.21: what it is not.
const INVALID: [&[u8]; 68] = [
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80edited",
    // Cut off.
    b"\xce",
    b"\xce\xba\xe1",
    b"\xce\xba\xe1\xbd",
    b"\xce\xba\xe1\xbd\xb9\xcf",
    // 6.8: five and six bytes; 6.10: beyond U+10FFFF.
    b"\xf8\x88\x80\x80\x80",
    b"\xfc\x84\x80\x80\x80\x80",
    b"\xf7\xbf\xbf\xbf",
    b"\xfb\xbf\xbf\xbf\xbf",
    b"\xfd\xbf\xbf\xbf\xbf\xbf",
    b"\xf4\x90\x80\x80",
    b"\xf5\x80\x80\x80",
    // 6.14: continuation bytes without a start.
    b"\x80",
    b"\xbf",
    b"\x80\xbf",
    b"\x80\xbf\x80",
    b"\x80\xbf\x80\xbf",
    b"\x80\xbf\x80\xbf\x80",
    b"\x80\xbf\x80\xbf\x80\xbf",
    b"\x80\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\x8e\x8f\x90",
    // 6.15: starts without continuation.
    b"\xc0 \xc1 \xc2 \xc3 \xc4 \xc5 \xc6 \xc7 \xc8 \xc9",
    b"\xe0 \xe1 \xe2 \xe3 \xe4 \xe5 \xe6 \xe7 \xe8 \xe9",
    b"\xf0 \xf1 \xf2 \xf3 \xf4 \xf5 \xf6 \xf7",
    b"\xf8 \xf9 \xfa \xfb",
    b"\xfc \xfd",
    b"\xc2 ",
    b"\xe1 ",
    b"\xf1 ",
    // 6.16, 6.17: the last byte is missing.
    b"\xc0",
    b"\xe0\x80",
    b"\xf0\x80\x80",
    b"\xf8\x80\x80\x80",
    b"\xfc\x80\x80\x80\x80",
    b"\xdf",
    b"\xef\xbf",
    b"\xf7\xbf\xbf",
    b"\xfb\xbf\xbf\xbf",
    b"\xfd\xbf\xbf\xbf\xbf",
    b"\xc0\xe0\x80\xf0\x80\x80\xf8\x80\x80\x80\xfc\x80\x80\x80\x80\xdf\xef\xbf\xf7\xbf\xbf",
    // Bytes that never are.
    b"\xfe",
    b"\xff",
    b"\xfe\xfe\xff\xff",
    b"\xc1",
    // 6.18–6.20: overlong.
    b"\xc0\xaf",
    b"\xe0\x80\xaf",
    b"\xf0\x80\x80\xaf",
    b"\xf8\x80\x80\x80\xaf",
    b"\xfc\x80\x80\x80\x80\xaf",
    b"\xc1\xbf",
    b"\xe0\x9f\xbf",
    b"\xf0\x8f\xbf\xbf",
    b"\xf8\x87\xbf\xbf\xbf",
    b"\xfc\x83\xbf\xbf\xbf\xbf",
    b"\xc0\x80",
    b"\xe0\x80\x80",
    b"\xf0\x80\x80\x80",
    b"\xf8\x80\x80\x80\x80",
    b"\xfc\x80\x80\x80\x80\x80",
    // 6.21: surrogates, alone and in pairs.
    b"\xed\xa0\x80",
    b"\xed\xad\xbf",
    b"\xed\xae\x80",
    b"\xed\xaf\xbf",
    b"\xed\xb0\x80",
    b"\xed\xbe\x80",
    b"\xed\xbf\xbf",
    b"\xed\xa0\x80\xed\xb0\x80",
    b"\xed\xaf\xbf\xed\xbf\xbf",
];

/// A message with these bytes as its text.
fn message(text: &[u8]) -> Vec<u8> {
    [br#"{"type":"ping","t":""#, text, br#""}"#].concat()
}

/// Whole, in two frames cut anywhere, and a frame for each octet.
fn rows_of(name: &str, message: &[u8], expect: &Expect) -> Vec<Case> {
    let expect = std::slice::from_ref(expect);
    let mut rows = vec![
        case(format!("{name}, whole"), &[frame(FIN | TEXT, message)], expect),
        case(format!("{name}, octet by octet"), &[frame(FIN | TEXT, message)], expect).chopped(1),
        case(format!("{name}, a frame an octet"), &[fragments(TEXT, message, 1)], expect),
    ];
    // What stands in front of the text is ASCII.
    for cut in 20..message.len() {
        let (first, rest) = message.split_at(cut);
        let frames = [frame(TEXT, first), frame(FIN | CONTINUATION, rest)];
        rows.push(case(format!("{name}, cut at {cut}"), &frames, expect));
    }
    rows
}

#[tokio::test]
async fn text_that_is_utf8_comes_back_however_it_is_cut() -> anyhow::Result<()> {
    check(|_| {
        let rows = |bytes: &&[u8]| {
            let text = std::str::from_utf8(bytes).unwrap();
            rows_of(&format!("6 {bytes:x?}"), &message(bytes), &echo(text).1)
        };
        VALID.iter().flat_map(rows).collect()
    })
    .await
}

#[tokio::test]
async fn text_that_is_not_ends_the_socket_however_it_is_cut() -> anyhow::Result<()> {
    check(|_| {
        let rows = |bytes: &&[u8]| {
            rows_of(&format!("6 {bytes:x?}"), &message(bytes), &Expect::Fails(1007))
        };
        INVALID.iter().flat_map(rows).collect()
    })
    .await
}

#[tokio::test]
async fn a_fragment_that_is_not_utf8_is_not_waited_upon() -> anyhow::Result<()> {
    check(|_| {
        let fails = [Expect::Fails(1007)];
        // None of these messages ends.
        vec![
            case(
                "6.4.1",
                &[
                    frame(TEXT, b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"),
                    frame(CONTINUATION, b"\xf4\x90\x80\x80"),
                ],
                &fails,
            ),
            case(
                "6.4.2",
                &[
                    frame(TEXT, b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4"),
                    frame(CONTINUATION, b"\x90"),
                ],
                &fails,
            ),
            case("6.4, a surrogate", &[frame(TEXT, b"\xed"), frame(CONTINUATION, b"\xa0")], &fails),
            case("6.4, overlong", &[frame(TEXT, b"\xe0"), frame(CONTINUATION, b"\x80")], &fails),
            case("6.4, never", &[frame(TEXT, b"\xff")], &fails),
        ]
    })
    .await
}

#[tokio::test]
async fn bytes_in_a_binary_message_are_no_text_and_no_reason_to_close() -> anyhow::Result<()> {
    check(|_| {
        let row = |bytes: &&[u8]| {
            let frames = [frame(FIN | BINARY, &message(bytes))];
            case(format!("binary {bytes:x?}"), &frames, &[not_json()])
        };
        INVALID.iter().map(row).collect()
    })
    .await
}
