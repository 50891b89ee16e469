use std::time::Duration;

use secrecy::SecretString;
use tokio::time::advance;
use tollgate_proto::iam::{Ended, Event, Mark, Moved, Poll};
use tollgate_proto::ids::{GatewayId, KeyId};
use tollgate_runtime::clock::ManualClock;

use super::*;
use crate::journal::laws::failing::Mute;
use crate::journal::{NodeRow, Standing, laws};

const LEASE: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_millis(250);

/// A node that says nothing of where it is.
fn peers() -> Peers {
    let clock = ManualClock::at_ms(1_800_000_000_000);
    Peers::new("", None, laws::seal(), SecretString::from("secret"), clock)
}

/// A node of IAM, as far as its feed and the others go.
struct Node {
    journal: Arc<dyn Journal>,
    feed: Arc<Feed>,
    nodes: Nodes,
    life: Lifecycle,
}

impl Node {
    async fn join(node: &laws::Node, journal: Arc<dyn Journal>) -> Self {
        let life = Lifecycle::new();
        let feed = Feed::begin(&node.state, LEASE).unwrap();
        let nodes = Nodes::join(&journal, &feed, peers(), &life).await.unwrap();
        Self { journal, feed, nodes, life }
    }

    async fn two() -> [Self; 2] {
        let [one, two]: [laws::Node; 2] = laws::Node::sharing();
        [
            Self::join(&one, Arc::clone(&one.journal)).await,
            Self::join(&two, Arc::clone(&two.journal)).await,
        ]
    }

    /// A key is revoked, and this node knows.
    fn apply(&self, seq: u64) {
        let moved = Moved::Credential { id: KeyId(Uuid::nil()), user: None };
        self.feed.publish(Seq(seq), vec![Event { seq: Seq(seq), moved }]);
    }

    /// A gateway polls that knows everything up to an entry.
    async fn poll(&self, after: Option<u64>, ended: &[Ended]) {
        let journal = self.journal.id();
        let after = after.map(|seq| Mark { journal, seq: Seq(seq) });
        let poll =
            Poll { gateway: GatewayId(Uuid::nil()), after, ended: ended.to_vec(), found: vec![] };
        self.feed.news(journal, poll, || Duration::ZERO, async {}).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_is_told_when_the_gateways_of_the_other_node_have_marked_it() {
    let [one, two] = Node::two().await;
    two.poll(None, &[]).await;
    two.poll(Some(0), &[]).await;
    let late = one.nodes.receipt(Seq(1), PATIENCE).await;
    assert_eq!(((late.marked, late.behind), late.took), ((0, 1), PATIENCE));

    let hear = async {
        tokio::time::sleep(Duration::from_millis(60)).await;
        two.apply(1);
        two.poll(Some(1), &[]).await;
    };
    let (told, ()) = tokio::join!(one.nodes.receipt(Seq(1), PATIENCE), hear);
    assert_eq!((told.marked, told.behind), (1, 0));
    assert!((60..80).contains(&told.took.as_millis()), "{told:?}");

    // What it ended it tells with its next poll, and whoever waits to the end is told that, too.
    let tell = async {
        tokio::time::sleep(PATIENCE).await;
        two.poll(Some(1), &[Ended { seq: Seq(1), closed: 2, cancelled: 3 }]).await;
    };
    let (told, ()) = tokio::join!(one.nodes.last_receipt(Seq(1)), tell);
    assert_eq!((told.marked, told.behind, told.closed, told.cancelled), (1, 0, 2, 3));
    assert!(told.took < Duration::from_millis(20), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_node_without_gateways_is_waited_for_until_it_has_the_entry() {
    let [one, two] = Node::two().await;
    let late = one.nodes.receipt(Seq(1), PATIENCE).await;
    assert_eq!((late.marked, late.behind), (0, 1));
    two.apply(1);
    let told = one.nodes.receipt(Seq(1), PATIENCE).await;
    assert_eq!((told.marked, told.behind), (0, 0));
    assert!(told.took < Duration::from_millis(20), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_gone_is_waited_for_as_long_as_its_gateways_trust_it() {
    let [one, two] = Node::two().await;
    two.poll(Some(0), &[]).await;
    tokio::time::sleep(LEASE / BEATS).await;
    assert_eq!(one.nodes.others(), 1);
    two.life.stop.cancel();
    tokio::time::sleep(LEASE / 2).await;
    assert_eq!(one.nodes.receipt(Seq(1), PATIENCE).await.behind, 1);
    tokio::time::sleep(LEASE).await;
    assert_eq!(one.nodes.others(), 0);
    let told = one.nodes.receipt(Seq(1), PATIENCE).await;
    assert_eq!((told.marked, told.behind), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn an_earlier_row_of_a_node_that_is_gone_does_not_bring_it_back() {
    let [node] = laws::Node::sharing();
    let mut look = Look::new(Uuid::nil(), node.journal, Arc::default());
    let mut alive = |beats: &[u64]| {
        let row = |&beat: &u64| NodeRow {
            node: Uuid::max(),
            version: String::new(),
            format: 1,
            beat,
            peer_url: None,
            standing: Standing::default(),
        };
        look.see(Instant::now(), beats.iter().map(row).collect()).alive(LEASE).count()
    };
    assert_eq!([alive(&[8]), alive(&[9])], [1, 1]);
    advance(LEASE).await;
    for beats in [&[9][..], &[8], &[9], &[], &[9], &[], &[8], &[8, 9], &[9, 8]] {
        assert_eq!(alive(beats), 0, "{beats:?}");
    }
    assert_eq!(alive(&[10]), 1);
    // By then nobody is asked because of it.
    advance(Duration::from_mins(20)).await;
    assert_eq!([alive(&[]), alive(&[10])], [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_cannot_say_how_it_is_tells_gateways_so() {
    let [node] = laws::Node::sharing();
    let one = Node::join(&node, Arc::clone(&node.journal)).await;
    tokio::time::sleep(2 * LEASE).await;
    assert!(one.nodes.age() <= LEASE / BEATS, "{:?}", one.nodes.age());

    let mute: Arc<dyn Journal> = Arc::new(Mute(Arc::clone(&node.journal)));
    let mut beat = Beat::new(Arc::new(peers()), mute, Arc::clone(&one.feed));
    let never = tokio::time::timeout(LEASE, beat.first()).await;
    assert!(never.is_err(), "nobody is served before it is said");
    let (saying, said) = watch::channel(Instant::now());
    let stop = one.life.stop.clone();
    one.life.tasks.spawn(beat.keep(LEASE / BEATS, saying, stop));
    advance(2 * LEASE).await;
    tokio::task::yield_now().await;
    assert!(said.borrow().elapsed() >= 2 * LEASE);
}
