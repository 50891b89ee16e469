use std::fmt::Debug;

use tollgate_runtime::metrics::Source;

use super::*;

/// Every value has a cell of its own, and is shown as itself.
fn check<L: Label + PartialEq + Debug>(values: &[(L, &[&str])]) {
    assert_eq!(values.len(), L::COUNT);
    for (index, (value, texts)) in values.iter().enumerate() {
        assert_eq!((value.index(), L::values(index)), (index, to_cows(texts)), "{value:?}");
    }
}

fn to_cows(texts: &[&str]) -> Vec<Cow<'static, str>> {
    texts.iter().map(|text| (*text).to_owned().into()).collect()
}

#[test]
fn errors_and_closes_have_a_cell_each() {
    let texts: Vec<[&str; 1]> = ErrorKind::ALL.iter().map(|kind| [kind.as_str()]).collect();
    let errors = ErrorKind::ALL.iter().map(|kind| Error(*kind));
    let errors: Vec<_> = errors.zip(&texts).map(|(error, texts)| (error, &texts[..])).collect();
    check(&errors);

    let ends = ErrorKind::ALL.iter().map(|kind| CallEnd(Some(*kind)));
    let mut ends: Vec<_> = ends.zip(&texts).map(|(end, texts)| (end, &texts[..])).collect();
    ends.insert(0, (CallEnd(None), &["ok"]));
    check(&ends);

    let codes: Vec<String> = CloseCode::ALL.iter().map(|code| code.code().to_string()).collect();
    let texts = CloseCode::ALL.iter().zip(&codes).map(|(code, number)| [number, code.reason()]);
    let texts: Vec<[&str; 2]> = texts.collect();
    let closes = CloseCode::ALL.iter().map(|code| Closed::Ours(*code));
    let mut closes: Vec<_> = closes.zip(&texts).map(|(close, texts)| (close, &texts[..])).collect();
    closes.push((Closed::Client, &["0", "client"]));
    closes.push((Closed::Gone, &["0", "gone"]));
    check(&closes);
}

#[test]
fn a_route_is_shown_as_the_router_has_it() {
    for index in 0..Route::COUNT {
        let path = &Route::values(index)[0];
        assert_eq!(Route::of(Some(path)).index(), index, "{path}");
    }
    assert_eq!(Route::of(Some("/api/v1/secret")), Route::Other);
    assert_eq!(Route::of(None), Route::Other);
}

#[test]
fn names_are_unique_and_end_with_their_unit() {
    let metrics = Metrics::default();
    let mut names: Vec<_> = metrics.list().iter().map(|one| one.full_name("")).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    assert!(!names.iter().any(|name| name.contains("_total_total")));
}
