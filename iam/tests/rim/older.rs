//! A journal that an older build began.

use tollgate_iam::journal::entry::{Act, Entry, Row};
use tollgate_iam::journal::{Committed, Journal, replay};
use tollgate_iam::record::{Change, Format, Outcome};
use tollgate_iam::seal::Seal;
use tollgate_iam::state::{Read, State};
use tollgate_proto::ids::Seq;

/// What whoever wants more is told.
pub(crate) const NOT_YET: &str =
    "not before `tollgate-iam journal upgrade`, when all nodes have this version";

/// Writes the first entry in the oldest format, which is in force from then on.
pub(crate) async fn begin(journal: &dyn Journal, state: &State, seal: &Seal) {
    replay::begin(journal, state, seal).unwrap();
    let mut open = state.open().unwrap();
    let before = open.position().clone();
    // Nobody is there yet.
    let changes = vec![Change::Suspend { at_ms: 0 }];
    let act = Act::of_operator("begin", 0, Outcome::Done, changes).unwrap();
    let entry =
        Entry { format: Format::OLDEST, seq: Seq(1), before: before.digest, acts: vec![act] };
    let row = Row::write(&entry, &before.head, seal).unwrap();
    replay::apply(&mut open, &row, seal).unwrap();
    assert_eq!(journal.commit(open, row).await.unwrap(), Committed::Ours);
}
