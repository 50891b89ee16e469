use secrecy::SecretString;
use uuid::Uuid;

use super::*;
use crate::audit::{Event, Next, Target, TargetKind};
use crate::ids::JournalId;

fn key(digit: &str) -> AuditKey {
    AuditKey::of(&SealKey::parse(&SecretString::from(digit.repeat(64))).unwrap())
}

fn line(seq: u64) -> Line {
    Line {
        seq: Some(Seq(seq)),
        also: vec![Event::GrantAdd],
        target: Some(Target::new(TargetKind::User, Uuid::from_u128(seq.into()))),
        operation: Some("create-user".into()),
        ..Line::new(Event::UserCreate, "2027-01-15T08:00:00.000000000Z".to_owned(), "host".into())
    }
}

/// Five lines of a chain.
fn lines() -> Vec<Vec<u8>> {
    let mut last = None;
    let seal = |seq| {
        let (text, mac) = key("a").seal(&line(seq), last).unwrap();
        last = Some(mac);
        text
    };
    (11..16).map(seal).collect()
}

fn verify(lines: &[Vec<u8>]) -> Result<Verifier, String> {
    let mut verifier = Verifier::default();
    for text in lines {
        verifier.take(text, &key("a").open(text)).map_err(|broken| broken.to_string())?;
    }
    Ok(verifier)
}

#[track_caller]
fn check(lines: &[Vec<u8>], expect: &str) {
    assert_eq!(verify(lines).unwrap_err(), expect);
}

#[test]
fn the_form_of_a_line_stays_as_it_is() {
    let (text, _) = key("a").seal(&line(7), None).unwrap();
    let expect = expect_test::expect![[r#"
        {"v":1,"seq":7,"time":"2027-01-15T08:00:00.000000000Z","event":"user.create","also":["grant.add"],"request_id":null,"node":"host","actor":null,"client":null,"target":{"kind":"user","id":"00000000-0000-0000-0000-000000000007","workspace":null,"user":null},"operation":"create-user","capability":null,"outcome":"ok","reason":null,"latency_us":null,"prev":null,"mac":"1a27d2fdea79fa641cc4d60f640b26ba269975df9ad48310e7d0386f80bad83d"}
    "#]];
    expect.assert_eq(std::str::from_utf8(&text).unwrap());
    assert_eq!(serde_json::from_slice::<Line>(&text).unwrap(), line(7));
}

#[test]
fn a_whole_chain_is_whole() {
    let lines = lines();
    let verified = verify(&lines).unwrap();
    assert_eq!((verified.lines(), verified.begins()), (5, None));
    assert_eq!(verified.seqs(), Some((Seq(11), Seq(15))));
    // So is the rest of one, and it says on what it follows.
    let rest = verify(&lines[2..]).unwrap();
    assert_eq!(rest.begins(), Some(key("a").open(&lines[1]).unwrap().mac));
    assert_eq!(rest.last(), verified.last());
}

/// In every line, the last one too.
#[test]
fn any_flipped_bit_of_any_byte_is_found_and_its_line_named() {
    let lines = lines();
    for (number, line) in lines.iter().enumerate() {
        for at in 0..line.len() {
            for bit in 0..8 {
                let mut lines = lines.clone();
                lines[number][at] ^= 1 << bit;
                // A file is cut into lines where its line ends are.
                let file = lines.concat();
                let lines: Vec<_> = file.split_inclusive(|byte| *byte == b'\n').collect();
                let lines: Vec<_> = lines.into_iter().map(<[u8]>::to_vec).collect();
                let error = verify(&lines).err().unwrap_or_else(|| panic!("byte {at} bit {bit}"));
                let named = format!("line {} ", number + 1);
                assert!(error.starts_with(&named), "byte {at} bit {bit}: {error}");
            }
        }
    }
}

#[test]
fn what_was_removed_inserted_or_moved_is_named() {
    let gone = "does not follow on the line before: lines were removed, inserted or moved there";
    let mut removed = lines();
    removed.remove(2);
    check(&removed, &format!("line 3 (seq 14) {gone}"));
    let mut twice = lines();
    twice.insert(2, twice[1].clone());
    check(&twice, &format!("line 3 (seq 12) {gone}"));
    let mut moved = lines();
    moved.swap(1, 2);
    check(&moved, &format!("line 2 (seq 13) {gone}"));
    let mut foreign = lines();
    foreign.insert(1, key("b").seal(&line(12), None).unwrap().0);
    check(&foreign, "line 2 (seq 12) was changed, or written under another seal key");
    let mut cut = lines();
    cut[4].truncate(100);
    check(&cut, "line 5 is cut off");
    check(&[b"\n".to_vec()], "line 1 was changed, or written under another seal key");
}

#[test]
fn a_head_is_believed_only_as_it_was_written() {
    let last = key("a").open(&lines()[4]).unwrap().mac;
    let next = Next { seq: Seq(16), act: 0 };
    let journal = JournalId(Uuid::from_u128(1));
    let head = Head { time: "now".to_owned(), journal, next, last: Some(last) };
    let text = key("a").seal_head(&head).unwrap();
    assert_eq!(key("a").open_head(&text), Some(head));
    assert_eq!(key("b").open_head(&text), None);
    let mut changed = text.clone();
    changed[20] ^= 1;
    assert_eq!(key("a").open_head(&changed), None);
    // A head is no line, although both are sealed.
    assert_eq!(key("a").open(&text), Err(Fault::Changed));
}

#[test]
fn a_name_is_known_again_under_the_same_key_only() {
    assert_eq!(key("a").name("ann"), key("a").name("ann"));
    assert_ne!(key("a").name("ann"), key("a").name("bob"));
    assert_ne!(key("a").name("ann"), key("b").name("ann"));
}

#[test]
fn lines_are_read_whole_and_monsters_are_not_kept() {
    let check = |text: &[u8], expect: &[(u64, &[u8])]| {
        // Whatever the buffers are.
        for size in [1, 7, 100_000] {
            let mut from = io::BufReader::with_capacity(size, text);
            let mut line = Vec::new();
            for (length, text) in expect {
                assert_eq!(read_line(&mut from, &mut line).unwrap(), *length);
                assert_eq!(line, *text);
            }
            assert_eq!(read_line(&mut from, &mut line).unwrap(), 0);
        }
    };
    check(b"", &[]);
    check(b"one\n\ntwo\ncu", &[(4, b"one\n"), (1, b"\n"), (4, b"two\n"), (2, b"cu")]);
    let long = [&*vec![b'x'; MAX_LINE + 10], b"\nnext\n"].concat();
    let kept = [&*vec![b'x'; MAX_LINE - 1], b"\n"].concat();
    check(&long, &[(MAX_LINE as u64 + 11, &kept), (5, b"next\n")]);
    let endless = vec![0; MAX_LINE + 10];
    check(&endless, &[(MAX_LINE as u64 + 10, &endless[..MAX_LINE])]);
}
