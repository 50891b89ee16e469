//! Autobahn 1, 3 and 4: sizes of frames, reserved bits, reserved opcodes; and what the suite leaves
//! out: masks, lengths.

use tollgate_e2e::Tollgate;
use tollgate_e2e::frames::opcode::{BINARY, CLOSE, PING, TEXT};
use tollgate_e2e::frames::{FIN, Seen, Wire, frame, frame_of_length, unmasked};

use super::{Case, Expect, Who, case, check, echo, echo_of, not_json};

#[tokio::test]
async fn messages_of_every_length_come_back() -> anyhow::Result<()> {
    check(|who| {
        let mut rows = Vec::new();
        for (group, opcode) in [("1.1", TEXT), ("1.2", BINARY)] {
            rows.push(case(format!("{group}.1"), &[frame(FIN | opcode, b"")], &[not_json()]));
            let sizes = [125, 126, 127, 128, 65_535, 65_536];
            for (n, size) in (2..).zip(sizes) {
                let (message, answer) = echo_of(size);
                let expect = if size > who.max_message() { Expect::Fails(1009) } else { answer };
                let frame = frame(FIN | opcode, &message);
                rows.push(case(format!("{group}.{n}"), &[frame], &[expect]));
            }
            // Strangers have the largest that they may send.
            let (message, answer) = echo_of(who.max_message().min(65_536));
            for (n, chop) in [(8, 997), (9, 1), (10, 4_096)] {
                let name = format!("{group}.{n} in pieces of {chop}");
                let frame = frame(FIN | opcode, &message);
                rows.push(case(name, &[frame], std::slice::from_ref(&answer)).chopped(chop));
            }
        }
        rows
    })
    .await
}

#[tokio::test]
async fn reserved_bits_and_opcodes_end_the_socket() -> anyhow::Result<()> {
    fn rows(_: Who) -> Vec<Case> {
        const RSV: [u8; 7] = [0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70];
        let (message, answer) = echo("Hello");
        let good = frame(FIN | TEXT, &message);
        let bad_bits = RSV.into_iter().flat_map(|rsv| {
            let message = message.clone();
            [(TEXT, message.clone()), (BINARY, message), (PING, vec![]), (CLOSE, vec![3, 232])].map(
                move |(opcode, payload)| {
                    (format!("3 rsv {rsv:x} of {opcode}"), frame(FIN | rsv | opcode, &payload))
                },
            )
        });
        let bad_opcodes = (3..=7).chain(11..=15).flat_map(|opcode| {
            [("", &b""[..]), (" with payload", b"payload"), (" not final", b"")].map(
                |(what, payload)| {
                    let first = if what == " not final" { opcode } else { FIN | opcode };
                    (format!("4 opcode {opcode}{what}"), frame(first, payload))
                },
            )
        });
        let mut rows = Vec::new();
        for (name, bad) in bad_bits.chain(bad_opcodes) {
            let fails = [answer.clone(), Expect::Fails(1002)];
            let ping = frame(FIN | PING, b"never answered");
            rows.push(case(&name, std::slice::from_ref(&bad), &fails[1..]));
            rows.push(case(format!("{name}, later"), &[good.clone(), bad.clone(), ping], &fails));
            rows.push(case(format!("{name}, by octets"), &[good.clone(), bad], &fails).chopped(1));
        }
        rows
    }
    check(rows).await
}

#[tokio::test]
async fn a_client_masks_what_it_sends() -> anyhow::Result<()> {
    check(|_| {
        let (message, answer) = echo("x");
        let zero_mask = [&[FIN | TEXT, 0x97, 0, 0, 0, 0][..], &message].concat();
        vec![
            case("unmasked text", &[unmasked(FIN | TEXT, &message)], &[Expect::Fails(1002)]),
            case("unmasked, empty", &[unmasked(FIN | TEXT, b"")], &[Expect::Fails(1002)]),
            case("unmasked ping", &[unmasked(FIN | PING, b"x")], &[Expect::Fails(1002)]),
            case("unmasked close", &[unmasked(FIN | CLOSE, b"")], &[Expect::Fails(1002)]),
            case("a mask of zeros", &[zero_mask], &[answer]),
        ]
    })
    .await
}

/// docs/PROTOCOL.md says why.
#[tokio::test]
async fn lengths_are_read_leniently_and_bounded() -> anyhow::Result<()> {
    check(|who| {
        let (message, answer) = echo("x");
        let long_form = frame_of_length(FIN | TEXT, message.len() as u64, &message);
        let mut rows = vec![case("a short length in eight bytes", &[long_form], &[answer])];
        let beyond = who.max_message() as u64 + 1;
        for announced in [beyond, 1 << 31, 1 << 32, (1 << 32) + 5, (1 << 63) - 1, 1 << 63, u64::MAX]
        {
            // Nothing of what was announced has to come.
            let frame = frame_of_length(FIN | TEXT, announced, b"");
            rows.push(case(format!("{announced:#x} announced"), &[frame], &[Expect::Fails(1009)]));
        }
        rows
    })
    .await
}

#[tokio::test]
async fn compression_is_declined() -> anyhow::Result<()> {
    let tollgate = Tollgate::start().await?;
    let offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\
                 Sec-WebSocket-Protocol: chat, superchat\r\n";
    let (mut wire, head) = Wire::open_with(tollgate.address, offer).await?;
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    assert!(!head.contains("sec-websocket-extensions"), "{head}");
    assert!(!head.contains("sec-websocket-protocol"), "{head}");
    // Who compresses nevertheless breaks the protocol.
    let compressed = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    let bytes = frame(FIN | 0x40 | TEXT, &compressed);
    tokio::io::AsyncWriteExt::write_all(&mut wire.writer, &bytes).await?;
    assert_eq!(wire.reader.next().await?, Seen::Close(Some(1002)));
    Ok(())
}
