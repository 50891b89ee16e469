//! Autobahn 5 and 10: messages in several frames.

use tollgate_e2e::frames::opcode::{BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT};
use tollgate_e2e::frames::{FIN, fragments, frame};

use super::{Case, Expect, Who, case, check, echo, echo_of, not_json};

/// A row as it is, frame by frame octets at a time, and by single octets.
fn in_all_chops(rows: &mut Vec<Case>, name: &str, frames: &[Vec<u8>], expect: &[Expect]) {
    rows.push(case(name, frames, expect));
    rows.push(case(format!("{name}, in pieces of 7"), frames, expect).chopped(7));
    rows.push(case(format!("{name}, by octets"), frames, expect).chopped(1));
}

#[tokio::test]
async fn control_frames_are_whole() -> anyhow::Result<()> {
    check(|_| {
        let mut rows = Vec::new();
        for (name, opcode) in [("5.1 ping", PING), ("5.2 pong", PONG), ("5 close", CLOSE)] {
            let frames = [frame(opcode, b""), frame(FIN | CONTINUATION, b"")];
            in_all_chops(&mut rows, name, &frames, &[Expect::Fails(1002)]);
            let started = [&[frame(TEXT, b"{")][..], &frames].concat();
            in_all_chops(&mut rows, &format!("{name}, within"), &started, &[Expect::Fails(1002)]);
        }
        rows
    })
    .await
}

#[tokio::test]
async fn fragments_become_one_message() -> anyhow::Result<()> {
    check(|_| {
        let mut rows = Vec::new();
        let (message, answer) = echo("fragment1fragment2");
        let (first, rest) = message.split_at(29);
        let (second, third) = rest.split_at(5);
        let ping = frame(FIN | PING, b"ping");
        let answered = Expect::Pong(b"ping".into());
        for opcode in [TEXT, BINARY] {
            let [start, end] = [frame(opcode, first), frame(FIN | CONTINUATION, rest)];
            let two = [start.clone(), end.clone()];
            in_all_chops(&mut rows, "5.3-5.5", &two, std::slice::from_ref(&answer));
            let frames = [start.clone(), ping.clone(), end];
            in_all_chops(&mut rows, "5.6-5.8", &frames, &[answered.clone(), answer.clone()]);
            let frames = [
                start,
                ping.clone(),
                frame(CONTINUATION, second),
                frame(FIN | PONG, b""),
                frame(CONTINUATION, b""),
                ping.clone(),
                frame(CONTINUATION, third),
                frame(FIN | CONTINUATION, b""),
            ];
            let expect = [answered.clone(), answered.clone(), answer.clone()];
            in_all_chops(&mut rows, "5.19-5.20", &frames, &expect);
            for size in 1..=message.len() {
                let frames = [fragments(opcode, &message, size)];
                let name = format!("5 in frames of {size}");
                rows.push(case(name, &frames, std::slice::from_ref(&answer)));
            }
        }
        rows.push(case(
            "6.1.2",
            &[frame(TEXT, b""), frame(CONTINUATION, b""), frame(FIN | CONTINUATION, b"")],
            &[not_json()],
        ));
        rows.push(case(
            "6.1.3",
            &[frame(TEXT, b""), frame(CONTINUATION, &message), frame(FIN | CONTINUATION, b"")],
            &[answer],
        ));
        rows
    })
    .await
}

#[tokio::test]
async fn fragments_out_of_order_end_the_socket() -> anyhow::Result<()> {
    check(|_| {
        let mut rows = Vec::new();
        let (message, answer) = echo("x");
        let (first, rest) = message.split_at(5);
        let whole = frame(FIN | TEXT, &message);
        let fails = [Expect::Fails(1002)];
        for (name, first) in [("5.9-5.11", FIN | CONTINUATION), ("5.12-5.14", CONTINUATION)] {
            let frames = [frame(first, b"non-continuation"), whole.clone()];
            in_all_chops(&mut rows, name, &frames, &fails);
        }
        let message = [frame(TEXT, first), frame(FIN | CONTINUATION, rest)];
        for (name, first) in [("5.15", CONTINUATION), ("5.15 final", FIN | CONTINUATION)] {
            let frames = [&message[..], &[frame(first, b"stray"), whole.clone()]].concat();
            in_all_chops(&mut rows, name, &frames, &[answer.clone(), Expect::Fails(1002)]);
        }
        for (name, first) in [("5.16", CONTINUATION), ("5.17", FIN | CONTINUATION)] {
            let frames = [&[frame(first, b"stray")][..], &message].concat();
            in_all_chops(&mut rows, name, &frames, &fails);
        }
        for second in [TEXT, BINARY, FIN | TEXT, FIN | BINARY] {
            let frames = [message[0].clone(), frame(second, rest)];
            in_all_chops(&mut rows, "5.18", &frames, &fails);
        }
        rows
    })
    .await
}

#[tokio::test]
async fn a_message_that_a_library_cuts_up_comes_back_whole() -> anyhow::Result<()> {
    fn rows(who: Who) -> Vec<Case> {
        let (message, answer) = echo_of(who.max_message().min(65_536));
        let cut = |size| fragments(TEXT, &message, size);
        let expect = std::slice::from_ref(&answer);
        let sizes = [1_300, 1_024, 100, 3, 1].into_iter();
        sizes.map(|size| case(format!("10.1.1 by {size}"), &[cut(size)], expect)).collect()
    }
    check(rows).await
}
