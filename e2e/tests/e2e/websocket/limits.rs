//! Autobahn 9: large messages, and many.

use tollgate_e2e::frames::opcode::{BINARY, TEXT};
use tollgate_e2e::frames::{FIN, fragments, frame};

use super::{Expect, Who, case, check, echo_of};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

#[tokio::test]
async fn large_messages_come_back_up_to_the_limit() -> anyhow::Result<()> {
    check(|who| {
        let mut rows = Vec::new();
        let most = who.max_message();
        for size in [4 * KIB, 64 * KIB, MIB, 4 * MIB, 16 * MIB, most] {
            let (message, answer) = echo_of(size);
            let expect = [if size > most { Expect::Fails(1009) } else { answer }];
            for opcode in [TEXT, BINARY] {
                let name = format!("9.1-9.2 {size} bytes, opcode {opcode}");
                rows.push(case(name, &[frame(FIN | opcode, &message)], &expect));
            }
        }
        // One byte more, whole or in fragments that are small enough each.
        let (message, _) = echo_of(most + 1);
        for size in [most + 1, most, most / 2, most / 16] {
            let frames = [fragments(TEXT, &message, size)];
            rows.push(case(format!("9 too large, by {size}"), &frames, &[Expect::Fails(1009)]));
        }
        rows
    })
    .await
}

#[tokio::test]
async fn large_messages_may_come_in_small_pieces() -> anyhow::Result<()> {
    check(|who| {
        let mut rows = Vec::new();
        let (message, answer) = echo_of(who.max_message().min(4 * MIB));
        for size in [64, 256, KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB, 4 * MIB] {
            let frames = [fragments(TEXT, &message, size)];
            let name = format!("9.3-9.4 in frames of {size}");
            rows.push(case(name, &frames, std::slice::from_ref(&answer)));
        }
        let (message, answer) = echo_of(who.max_message().min(MIB));
        for chop in [64, 128, 256, 512, KIB, 2 * KIB] {
            let frames = [frame(FIN | TEXT, &message)];
            let name = format!("9.5-9.6 in pieces of {chop}");
            rows.push(case(name, &frames, std::slice::from_ref(&answer)).chopped(chop));
        }
        rows
    })
    .await
}

#[tokio::test]
async fn many_messages_come_back_in_their_order() -> anyhow::Result<()> {
    check(|who| {
        // They are pings, of which a stranger has 50 at once.
        let count = if matches!(who, Who::Stranger) { 45 } else { 95 };
        let mut rows = Vec::new();
        for size in [32, 64, 256, KIB, 4 * KIB, 16 * KIB] {
            let (message, answer) = echo_of(size);
            let frames = vec![frame(FIN | TEXT, &message); count];
            rows.push(case(format!("9.7-9.8 {size} bytes"), &frames, &vec![answer; count]));
        }
        rows
    })
    .await
}
