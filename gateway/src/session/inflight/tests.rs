use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn room(running: usize, waiting: usize) -> Room {
    Room { running, waiting, waiting_bytes: 30 }
}

/// Takes in what may run or wait, with its id to be kept; each frame has ten bytes.
fn take<'a>(calls: &mut Inflight<&'a str>, id: &'a str, fingerprint: u64) -> Admission {
    take_until(calls, id, fingerprint, None)
}

fn take_until<'a>(
    calls: &mut Inflight<&'a str>,
    id: &'a str,
    fingerprint: u64,
    due: Option<Instant>,
) -> Admission {
    let frame = Frame { fingerprint, bytes: 10 };
    let admission = calls.admit(id, frame.bytes, || fingerprint);
    match admission {
        Admission::Run => {
            let number = calls.number();
            calls.run(number, id, frame);
        }
        Admission::Wait => calls.wait(id, frame, due, id),
        Admission::Joined | Admission::Conflict | Admission::Full => {}
    }
    admission
}

#[test]
fn repeated_ids_join_or_conflict() {
    let mut calls = Inflight::new(room(2, 2));
    assert_eq!(take(&mut calls, "1", 7), Admission::Run);
    assert_eq!(take(&mut calls, "1", 7), Admission::Joined);
    assert_eq!(take(&mut calls, "1", 8), Admission::Conflict);
    assert_eq!(take(&mut calls, "\"1\"", 8), Admission::Run);
    assert_eq!(calls.end(0).map(|left| left.id), Some("1".into()));
    assert_eq!(take(&mut calls, "1", 8), Admission::Run);
}

#[test]
fn calls_beyond_the_limits_wait_in_order_and_then_are_refused() {
    let mut calls = Inflight::new(room(1, 2));
    assert_eq!(take(&mut calls, "a", 0), Admission::Run);
    for id in ["b", "c"] {
        assert_eq!(take(&mut calls, id, 0), Admission::Wait);
    }
    assert_eq!(take(&mut calls, "d", 0), Admission::Full);
    assert_eq!(calls.next_waiting(), None);
    calls.end(0);
    assert_eq!(calls.next_waiting(), Some((1, "b")));
    let cancelled = calls.cancel("c").unwrap();
    assert!(&*cancelled.id == "c" && matches!(cancelled.was, Was::Waiting("c")));
    assert!(calls.cancel("c").is_none());
    calls.end(1);
    assert_eq!(calls.next_waiting(), None);
    assert!(calls.is_empty());
}

#[test]
fn calls_that_wait_do_not_hold_more_than_so_many_bytes() {
    let mut calls = Inflight::new(room(1, 9));
    assert_eq!(take(&mut calls, "a", 0), Admission::Run);
    for id in ["b", "c", "d"] {
        assert_eq!(take(&mut calls, id, 0), Admission::Wait);
    }
    assert_eq!(take(&mut calls, "e", 0), Admission::Full);
    calls.cancel("c");
    assert_eq!(take(&mut calls, "e", 0), Admission::Wait);
    assert_eq!(take(&mut calls, "f", 0), Admission::Full);
    calls.end(0);
    assert_eq!(calls.next_waiting(), Some((1, "b")));
    assert_eq!(take(&mut calls, "f", 0), Admission::Wait);
    assert_eq!(take(&mut calls, "g", 0), Admission::Full);
}

#[test]
fn calls_that_wait_are_due_in_the_order_of_their_times() {
    let mut calls = Inflight::new(room(1, 3));
    let now = Instant::now();
    let at = |seconds| Some(now + Duration::from_secs(seconds));
    for (id, due) in [("a", at(0)), ("b", at(3)), ("c", at(2)), ("d", None)] {
        take_until(&mut calls, id, 0, due);
    }
    assert_eq!((calls.due(), calls.overdue(now)), (at(2), None), "what runs has its own timer");
    assert_eq!(calls.overdue(now + Duration::from_secs(2)), Some(2));
    assert_eq!(calls.end(2).map(|left| left.id), Some("c".into()));
    assert_eq!(calls.due(), at(3));
    calls.end(0);
    assert_eq!(calls.next_waiting(), Some((1, "b")));
    assert_eq!(calls.due(), None);
}

proptest! {
    #[test]
    fn each_admitted_id_is_given_out_once(
        steps in proptest::collection::vec((0..6_u8, 0..4_u8), 0..200),
    ) {
        let mut calls = Inflight::new(room(2, 2));
        let (mut admitted, mut ended) = (0_u32, 0_u32);
        let now = Instant::now();
        for (at, (id, what)) in steps.into_iter().enumerate() {
            // Some never, and some before those that came earlier.
            let due = (id > 0).then(|| now + Duration::from_secs(7 * at as u64 % 5));
            let id = ["0", "1", "2", "3", "4", "5"][usize::from(id)];
            match what {
                0 => match take_until(&mut calls, id, 0, due) {
                    Admission::Run | Admission::Wait => admitted += 1,
                    Admission::Joined | Admission::Conflict | Admission::Full => {}
                },
                1 => ended += u32::from(calls.cancel(id).is_some()),
                2 => drop(calls.next_waiting()),
                _ => {
                    let now = now + Duration::from_secs(2);
                    while let Some(number) = calls.overdue(now) {
                        prop_assert!(matches!(calls.end(number).unwrap().was, Was::Waiting(_)));
                        ended += 1;
                    }
                    prop_assert!(calls.due().is_none_or(|due| due > now));
                }
            }
            prop_assert!(calls.running <= 2 && calls.waiting.len() <= 2);
            prop_assert_eq!(calls.waiting_bytes, 10 * calls.waiting.len());
            let due = calls.waiting.iter().filter(|(_, id)| *id != "0").count();
            prop_assert_eq!(calls.due.len(), due);
            prop_assert_eq!(calls.calls.len(), calls.running + calls.waiting.len());
        }
        ended += u32::try_from(calls.take_back_all().len()).unwrap();
        prop_assert_eq!(admitted, ended);
        prop_assert_eq!(calls.running, 0);
    }
}
