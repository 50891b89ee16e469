//! Autobahn 7: the closing handshake.

use tollgate_e2e::frames::opcode::{CLOSE, CONTINUATION, PING, TEXT};
use tollgate_e2e::frames::{FIN, close, frame};

use super::{Expect, case, check, echo, echo_of};

#[tokio::test]
async fn a_goodbye_is_answered_and_nothing_behind_it() -> anyhow::Result<()> {
    check(|who| {
        let (message, answer) = echo("Hello");
        let (large, large_answer) = echo_of(who.max_message().min(256 << 10));
        let whole = frame(FIN | TEXT, &message);
        let closes = Expect::Closes(Some(1000));
        let goodbye = close(1000, b"");
        let behind: Vec<_> = std::iter::repeat_n(whole.clone(), 1_000).collect();
        vec![
            case("7.1.1", &[whole.clone(), goodbye.clone()], &[answer, closes.clone()]),
            case("7.1.2", &[goodbye.clone(), goodbye.clone()], std::slice::from_ref(&closes)),
            case(
                "7.1.3",
                &[goodbye.clone(), frame(FIN | PING, b"")],
                std::slice::from_ref(&closes),
            ),
            case("7.1.4", &[goodbye.clone(), whole], std::slice::from_ref(&closes)),
            case(
                "7.1.4, a lot",
                &[goodbye.clone(), behind.concat()],
                std::slice::from_ref(&closes),
            ),
            case(
                "7.1.5",
                &[
                    frame(TEXT, b"fragment1"),
                    goodbye.clone(),
                    frame(FIN | CONTINUATION, b"fragment2"),
                ],
                std::slice::from_ref(&closes),
            ),
            case("7.1.6", &[frame(FIN | TEXT, &large), goodbye], &[large_answer, closes]),
        ]
    })
    .await
}

#[tokio::test]
async fn close_frames_are_well_formed() -> anyhow::Result<()> {
    check(|_| {
        let closes = Expect::Closes(Some(1000));
        vec![
            case("7.3.1", &[frame(FIN | CLOSE, b"")], &[Expect::Closes(None)]),
            case("7.3.2", &[frame(FIN | CLOSE, b"a")], &[Expect::Fails(1002)]),
            case("7.3.3", &[close(1000, b"")], std::slice::from_ref(&closes)),
            case("7.3.4", &[close(1000, b"Hello World!")], std::slice::from_ref(&closes)),
            case("7.3.5", &[close(1000, &[b'*'; 123])], std::slice::from_ref(&closes)),
            case("7.3.5, by octets", &[close(1000, &[b'*'; 123])], &[closes]).chopped(1),
            case("7.3.6", &[close(1000, &[b'*'; 124])], &[Expect::Fails(1002)]),
            case("7.5.1", &[close(1000, b"\xce\xba\xed\xa0\x80edited")], &[Expect::Fails(1007)]),
            case("7.5.1, cut", &[close(1000, b"\xce")], &[Expect::Fails(1007)]),
        ]
    })
    .await
}

#[tokio::test]
async fn a_close_code_is_echoed_if_it_may_be_sent() -> anyhow::Result<()> {
    check(|_| {
        let may = [
            1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 3000, 3999, 4000,
            4408, 4999,
        ];
        // 1014 is for gateways, and has no meaning from a client.
        let may_not =
            [0, 1, 999, 1004, 1005, 1006, 1014, 1015, 1016, 1100, 2000, 2999, 5000, 9999, 65_535];
        let echoed = may.map(|code| (code, code));
        let refused = may_not.map(|code| (code, 1002));
        let mut rows = Vec::new();
        for (code, answer) in echoed.into_iter().chain(refused) {
            for reason in ["", "reason"] {
                let name = format!("7.7-7.13 {code} {reason}");
                let frames = [close(code, reason.as_bytes())];
                rows.push(case(name, &frames, &[Expect::Closes(Some(answer))]));
            }
        }
        rows
    })
    .await
}
