//! Autobahn 2: pings and pongs.

use tollgate_e2e::frames::opcode::{PING, PONG, TEXT};
use tollgate_e2e::frames::{FIN, frame};

use super::{Case, Expect, Who, case, check, echo};

#[tokio::test]
async fn every_ping_is_answered_with_its_payload() -> anyhow::Result<()> {
    check(|_| {
        let answered = |name: &str, payload: &[u8]| {
            case(name, &[frame(FIN | PING, payload)], &[Expect::Pong(payload.into())])
        };
        let mut rows: Vec<_> =
            (0..=125).map(|n| answered(&format!("2.4 {n} bytes"), &vec![0xfe; n])).collect();
        rows.extend([
            answered("2.1", b""),
            answered("2.2", b"Hello, world!"),
            answered("2.3", &[0x00, 0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0x00, 0xff]),
            answered("2.6", &[0xfe; 125]).chopped(1),
        ]);
        for size in [126, 127, 128, 1_000, 16_384] {
            let too_long = frame(FIN | PING, &vec![0xfe; size]);
            rows.push(case(format!("2.5 {size} bytes"), &[too_long], &[Expect::Fails(1002)]));
            let too_long = frame(FIN | PONG, &vec![0xfe; size]);
            rows.push(case(format!("2.5 {size}, a pong"), &[too_long], &[Expect::Fails(1002)]));
        }
        rows
    })
    .await
}

#[tokio::test]
async fn pongs_that_nobody_asked_for_change_nothing() -> anyhow::Result<()> {
    fn rows(_: Who) -> Vec<Case> {
        let (message, answer) = echo("x");
        let [empty, stray] = [frame(FIN | PONG, b""), frame(FIN | PONG, b"unsolicited")];
        let asked = frame(FIN | PING, b"payload");
        let pings: Vec<_> = (0..10).map(|n| frame(FIN | PING, &[b'a' + n])).collect();
        let answers: Vec<_> = (0..10).map(|n| Expect::Pong(vec![b'a' + n])).collect();
        vec![
            case("2.7", &[empty], &[]),
            case("2.8", std::slice::from_ref(&stray), &[]),
            case("2.9", &[stray.clone(), asked], &[Expect::Pong(b"payload".into())]),
            case("2.10", &pings, &answers),
            case("2.11", &pings, &answers).chopped(1),
            case("2 pong, text", &[stray, frame(FIN | TEXT, &message)], &[answer]),
        ]
    }
    check(rows).await
}
