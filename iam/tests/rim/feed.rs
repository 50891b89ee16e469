//! The feed: what a gateway hears, when, and who waits for it.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;
use tollgate_proto::iam::{Ask, Ended, FEED_PATH, Found, Mark, Moved, News, Poll};
use tollgate_proto::ids::{GatewayId, Seq};
use uuid::Uuid;

use crate::harness::{Iam, Person, SECRET, about, post_to};

/// A gateway that polls.
pub(crate) struct Gateway<'a> {
    iam: &'a Iam,
    id: GatewayId,
}

impl<'a> Gateway<'a> {
    pub(crate) fn new(iam: &'a Iam) -> Self {
        Self { iam, id: GatewayId(Uuid::now_v7()) }
    }

    pub(crate) async fn poll(&self, after: Option<Mark>) -> News {
        self.tell(after, vec![]).await
    }

    pub(crate) async fn tell(&self, after: Option<Mark>, ended: Vec<Ended>) -> News {
        self.say(&Poll { gateway: self.id, after, ended, found: vec![] }).await
    }

    /// Answers what it was asked.
    pub(crate) async fn find(&self, after: Mark, found: Vec<Found>) -> News {
        self.say(&Poll { gateway: self.id, after: Some(after), ended: vec![], found }).await
    }

    async fn say(&self, poll: &Poll) -> News {
        let poll = serde_json::to_string(poll).unwrap();
        let (head, body) = self.iam.http(&post_to(FEED_PATH, SECRET, &poll)).await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        serde_json::from_str(&body).unwrap()
    }

    /// Polls until it is asked something.
    pub(crate) async fn is_asked(&self, mut after: Mark) -> (Mark, Ask) {
        loop {
            let mut news = self.poll(Some(after)).await;
            after = news.head;
            if let Some(ask) = news.asks.pop() {
                return (after, ask);
            }
        }
    }

    /// Polls until something happened.
    pub(crate) async fn hear(&self, mut after: Mark) -> News {
        loop {
            let news = self.poll(Some(after)).await;
            if !news.events.is_empty() {
                return news;
            }
            after = news.head;
        }
    }
}

async fn disable(iam: &Iam, by: &Person, whom: &Person) -> Duration {
    let begun = Instant::now();
    iam.by(by, about("disable-user", whom)).await.unwrap();
    begun.elapsed()
}

#[tokio::test]
async fn a_gateway_hears_of_a_change_before_whoever_made_it_is_answered() {
    let (iam, admin) = Iam::claimed().await;
    let ann = iam.member(&admin, "default", "ann", "reader").await;
    let gateway = Gateway::new(&iam);
    let first = gateway.poll(None).await;
    assert!(first.resync && first.events.is_empty(), "{first:?}");
    assert_eq!(first.age_ms, 0);

    let begun = Instant::now();
    let quiet = gateway.poll(Some(first.head)).await;
    assert!(!quiet.resync && quiet.events.is_empty() && quiet.head == first.head, "{quiet:?}");
    assert!(begun.elapsed() >= Duration::from_millis(200), "it was held: {:?}", begun.elapsed());

    let hear = async {
        let news = gateway.hear(first.head).await;
        let heard = Instant::now();
        // Marked.
        gateway.poll(Some(news.head)).await;
        (news, heard)
    };
    let change = async {
        iam.by(&admin, about("disable-user", &ann)).await.unwrap();
        Instant::now()
    };
    let ((news, heard), answered) = tokio::join!(hear, change);
    assert!(heard < answered);
    assert_eq!(news.head.seq, Seq(first.head.seq.0 + 1));
    assert!(news.events.iter().all(|event| event.seq == news.head.seq));
    let moved: Vec<_> = news.events.into_iter().map(|event| event.moved).collect();
    let id = ann.actor().user;
    assert_eq!(
        moved,
        [Moved::UserAuth { id, epoch: Some(2) }, Moved::UserAuthz { id, epoch: Some(3) }]
    );
}

#[tokio::test]
async fn nobody_waits_long_for_a_gateway_that_does_not_answer() {
    let (iam, admin) = Iam::claimed().await;
    let member = async |name| iam.member(&admin, "default", name, "reader").await;
    let (ann, ben, cat) = (member("ann").await, member("ben").await, member("cat").await);
    let alone = disable(&iam, &admin, &ann).await;

    let gateway = Gateway::new(&iam);
    let head = gateway.poll(None).await.head;
    let frozen = disable(&iam, &admin, &ben).await;
    assert!(frozen >= Duration::from_millis(250), "{frozen:?} after {alone:?}");
    assert!(frozen < Duration::from_secs(1), "{frozen:?}");

    // What it did not hear then it hears now.
    let news = gateway.poll(Some(head)).await;
    assert_eq!(news.events.len(), 2);
    // And what takes no authority waits for nobody.
    let begun = Instant::now();
    iam.by(
        &admin,
        json!({"operation": "update-user", "user_id": cat.id(), "user": {"name": "Cat"}}),
    )
    .await
    .unwrap();
    assert!(begun.elapsed() < frozen, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_gateway_that_may_have_missed_something_is_told_so() {
    let (iam, admin) = Iam::claimed().await;
    let head = Gateway::new(&iam).poll(None).await.head;
    let folder = iam.stop().await;
    let iam = Iam::on(folder).await;
    let gateway = Gateway::new(&iam);
    // The process has begun anew, and nothing has happened since.
    let news = gateway.poll(Some(head)).await;
    assert!(!news.resync && news.head == head, "{news:?}");
    let ann = iam.member(&admin, "default", "ann", "reader").await;
    disable(&iam, &admin, &ann).await;

    let resync = async |after: Mark| gateway.poll(Some(after)).await.resync;
    let Mark { journal, seq } = head;
    assert!(resync(Mark { journal, seq: Seq(seq.0 - 1) }).await, "before this process");
    assert!(resync(Mark { journal, seq: Seq(seq.0 + 1_000) }).await, "what never was");
    let other = tollgate_proto::ids::JournalId(Uuid::nil());
    assert!(resync(Mark { journal: other, seq }).await, "another journal");
    assert!(!resync(head).await);
}

#[tokio::test]
async fn the_feed_is_for_those_who_know_the_secret() {
    let (iam, _) = Iam::claimed().await;
    let poll = json!({"gateway": Uuid::now_v7()}).to_string();
    let (head, body) = iam.http(&post_to(FEED_PATH, "wrong", &poll)).await;
    assert!(head.starts_with("HTTP/1.1 401 ") && body.is_empty(), "{head} {body}");
    let (head, _) = iam.http(&post_to(FEED_PATH, SECRET, "{}")).await;
    assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
}
