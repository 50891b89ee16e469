use std::time::Duration;

use futures_util::future::join_all;
use proptest::prelude::*;
use tollgate_proto::ids::{KeyId, UserId};
use uuid::Uuid;

use super::*;
use crate::hash::Hash;
use crate::journal::laws::failing::{Cut, Failing};
use crate::journal::laws::{Node, digest_of_rows, seal};
use crate::journal::replay;
use crate::policy;
use crate::record::samples::user;
use crate::record::{
    ApiKey, Deployment, Grant, Password, PasswordHash, Role, Scope, Subject, What,
};
use crate::state;
use tollgate_proto::ids::GrantId;

const LEASE: Duration = Duration::from_secs(5);

fn start(node: &Node) -> (Writer, Lifecycle) {
    let life = Lifecycle::new();
    let feed = Feed::begin(&node.state, LEASE).unwrap();
    let writer = Writer::start(
        Arc::clone(&node.journal),
        node.state.clone(),
        seal(),
        feed,
        Arc::default(),
        &life,
    );
    (writer, life)
}

fn proposal(
    id: u128,
    decide: impl Fn(&dyn Read) -> Result<Vec<Change>, Refused> + Send + 'static,
) -> Proposal {
    let decide = move |state: &dyn Read| {
        let changes = decide(state)?;
        let allowed = policy::allow_claim(&Deployment::default())?;
        Ok(Decided { allowed, changes, outcome: Outcome::Done })
    };
    Proposal {
        id: OperationId(Uuid::from_u128(id)),
        operation: "test",
        actor: None,
        client: Client::default(),
        at_ms: 0,
        decide: Box::new(decide),
    }
}

/// Makes a user, unless the name is taken.
fn claim(id: u128, name: &str) -> Proposal {
    let user = user(id, name);
    proposal(id, move |state| match state::user_by_name(state, &user.username)? {
        None => Ok(vec![Change::AddUser(user.clone())]),
        Some(_) => Err(Refused::Duplicate("taken")),
    })
}

fn position(node: &Node) -> state::Position {
    node.state.view().unwrap().position().clone()
}

#[tokio::test]
async fn many_writers_share_few_entries() {
    let node = Node::embedded();
    let (writer, _life) = start(&node);
    let proposals = (1..=500).map(|n| writer.commit(claim(n, &format!("user{n}"))));
    for settled in join_all(proposals).await {
        assert!(!settled.unwrap().repeated);
    }
    let entries = node.journal.read(Seq(0), 1_000).await.unwrap();
    assert!(entries.len() <= 10, "{} entries for 500 changes", entries.len());
    for entry in &entries {
        assert!(entry.body.len() <= MAX_BYTES + 1_024, "{}", entry.body.len());
    }
    assert_eq!(state::users(&node.state.view().unwrap()).unwrap().len(), 500);
    assert_eq!(digest_of_rows(&node.state), position(&node).digest);
}

#[tokio::test]
async fn claims_of_one_name_meet_inside_a_group() {
    let node = Node::embedded();
    let (writer, _life) = start(&node);
    let settled = join_all((1..=50).map(|n| writer.commit(claim(n, "ann")))).await;
    assert_eq!(settled.iter().filter(|settled| settled.is_ok()).count(), 1);
}

#[tokio::test]
async fn an_operation_that_comes_twice_at_once_is_done_once() {
    let node = Node::embedded();
    let (writer, _life) = start(&node);
    let settled = join_all((0..20).map(|_| writer.commit(claim(7, "ann")))).await;
    let settled: Vec<_> = settled.into_iter().map(Result::unwrap).collect();
    assert_eq!(settled.iter().filter(|settled| !settled.repeated).count(), 1);
    assert!(settled.iter().all(|settled| settled.seq == Seq(1)));
    let other = Proposal { operation: "other", ..claim(7, "bob") };
    assert!(matches!(writer.commit(other).await, Err(Refused::Duplicate(_))));
}

#[tokio::test]
async fn a_decision_that_panics_ends_alone() {
    let node = Node::embedded();
    let (writer, life) = start(&node);
    let (broken, fine) = tokio::join!(
        writer.commit(proposal(1, |_| panic!("on purpose"))),
        writer.commit(claim(2, "ann")),
    );
    assert!(matches!(broken, Err(Refused::Internal(_))));
    assert_eq!(fine.unwrap().seq, Seq(1));
    assert_eq!(life.fault.get(), None);
}

#[tokio::test]
async fn a_change_that_does_not_fit_changes_nothing() {
    let node = Node::embedded();
    let (writer, _life) = start(&node);
    let unfit =
        |_: &dyn Read| Ok(vec![Change::AddUser(user(9, "bob")), Change::AddUser(user(9, "bob"))]);
    assert!(writer.commit(proposal(1, unfit)).await.is_err());
    assert_eq!(position(&node).seq, Seq(0));
    assert!(writer.commit(claim(2, "bob")).await.is_ok());
}

#[tokio::test]
async fn an_entry_that_cannot_be_written_changes_nothing() {
    let Node { journal, state } = Node::embedded();
    let node = Node { journal: Arc::new(Failing(journal)), state };
    let (writer, life) = start(&node);
    assert_eq!(life.fault.get(), None);
    for settled in join_all((1..5).map(|n| writer.commit(claim(n, &format!("user{n}"))))).await {
        assert!(matches!(settled, Err(Refused::Unavailable(_))));
    }
    // redb takes no more writes in this process: it is not ready.
    assert_eq!(life.fault.get(), Some("iam's journal"));
    assert_eq!(position(&node).seq, Seq(0));
    assert_eq!(digest_of_rows(&node.state), position(&node).digest);
}

/// Claims on a third as many names, over all nodes: a name has one user, and all nodes agree.
async fn claims_meet_over_nodes(nodes: &[Node], claims: u128, names: u128) {
    let writers: Vec<_> = nodes.iter().map(start).collect();
    let proposals = (1..=claims).map(|n| {
        let (writer, _) = &writers[usize::try_from(n).unwrap() % writers.len()];
        writer.commit(claim(n, &format!("user{}", n % names)))
    });
    let settled = join_all(proposals).await;
    let names = usize::try_from(names).unwrap();
    assert_eq!(settled.iter().filter(|settled| settled.is_ok()).count(), names, "a name, a user");
    for refused in settled.iter().filter_map(|settled| settled.as_ref().err()) {
        assert!(matches!(refused, Refused::Duplicate(_)), "{refused}");
    }
    for (node, (writer, _)) in nodes.iter().zip(&writers) {
        writer.freshen(Instant::now()).await.unwrap();
        assert_eq!(state::users(&node.state.view().unwrap()).unwrap().len(), names);
        assert_eq!(position(node), position(&nodes[0]));
        assert_eq!(digest_of_rows(&node.state), position(node).digest);
    }
}

#[tokio::test]
async fn nodes_that_share_a_journal_agree() {
    let nodes: [Node; 3] = Node::sharing();
    claims_meet_over_nodes(&nodes, 120, 40).await;
}

#[cfg(feature = "cql")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_claims_of_a_hundred_names_give_a_hundred_users() {
    crate::journal::laws::cluster::Cluster::lend(async |cluster| {
        let nodes = [cluster.node().await, cluster.node().await, cluster.node().await];
        claims_meet_over_nodes(&nodes, 10_000, 100).await;
    })
    .await;
}

#[tokio::test]
async fn a_refusal_knows_what_another_node_has_done() {
    let nodes: [Node; 2] = Node::sharing();
    let [(one, _life), (two, _other)] = nodes.each_ref().map(start);
    for n in 0..50_u128 {
        let name = format!("user{n}");
        one.commit(claim(2 * n, &name)).await.unwrap();
        assert!(matches!(two.commit(claim(2 * n + 1, &name)).await, Err(Refused::Duplicate(_))));
        // And back: what is gone is not refused for having been there.
        let gone = user(2 * n, &name).id;
        two.commit(proposal(1_000 + n, move |_| Ok(vec![Change::RemoveUser { user: gone }])))
            .await
            .unwrap();
        let again = one.commit(claim(10_000 + n, &name)).await;
        assert!(again.is_ok(), "{again:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_follows_what_others_write_and_says_when_it_cannot() {
    let [one, two] = Node::sharing();
    let (writer, _life) = start(&one);
    let (follower, _other) = start(&two);
    writer.commit(claim(1, "ann")).await.unwrap();
    let mut committed = follower.committed();
    committed.wait_for(|seq| *seq == Seq(1)).await.unwrap();
    assert_eq!(position(&two), position(&one));
    tokio::time::sleep(2 * LEASE).await;
    follower.freshness().check().unwrap();

    let cut = Node { journal: Arc::new(Cut(Arc::clone(&two.journal))), state: two.state.clone() };
    let (cut, life) = start(&cut);
    tokio::time::sleep(LEASE / 2).await;
    cut.freshness().check().unwrap();
    tokio::time::sleep(LEASE).await;
    assert!(matches!(cut.freshness().check(), Err(Refused::Unavailable(_))));
    assert!(matches!(cut.freshen(Instant::now()).await, Err(Refused::Unavailable(_))));
    // It heals by itself.
    assert_eq!(life.fault.get(), None);
}

#[tokio::test]
async fn what_was_proposed_is_answered_before_the_writer_ends() {
    let node = Node::embedded();
    let (writer, life) = start(&node);
    let last = writer.commit(claim(1, "ann"));
    let (settled, stopped) = tokio::join!(
        async {
            let settled = last.await;
            drop(writer.clone());
            settled
        },
        async { life.stop.cancel() },
    );
    assert!(settled.is_ok());
    let () = stopped;
    drop(writer);
    assert!(life.stop(Duration::from_secs(5)).await);
}

/// Something to do to a state, whether it fits or not.
#[derive(Debug, Clone)]
enum Deed {
    User(u8),
    Grant(u8, u8),
    Key(u8, u8),
    Revoke(u8),
    Password(u8, bool),
}

fn deeds() -> impl Strategy<Value = Deed> {
    prop_oneof![
        (0..6_u8).prop_map(Deed::User),
        (0..6_u8, 0..4_u8).prop_map(|(user, n)| Deed::Grant(user, n)),
        (0..6_u8, 0..8_u8).prop_map(|(user, n)| Deed::Key(user, n)),
        (0..8_u8).prop_map(Deed::Revoke),
        (0..6_u8, any::<bool>()).prop_map(|(user, keys)| Deed::Password(user, keys)),
    ]
}

/// What a deed changes on a state: nothing, if it does not fit.
fn changes_of(deed: &Deed, state: &dyn Read) -> Result<Vec<Change>, Refused> {
    let user_id = |n: u8| UserId(Uuid::from_u128(u128::from(n)));
    let key_id = |n: u8| KeyId(Uuid::from_u128(u128::from(n)));
    let there = |n: u8| Ok::<_, Refused>(state::user(state, user_id(n))?);
    let change = match *deed {
        Deed::User(n) if there(n)?.is_none() => {
            Some(Change::AddUser(user(u128::from(n), &format!("user{n}"))))
        }
        Deed::Grant(n, id) if there(n)?.is_some() => Some(Change::AddGrant(Grant {
            id: GrantId(Uuid::from_u128(u128::from(id))),
            subject: Subject::User(user_id(n)),
            what: What::Role(Role::Reader),
            scope: Scope::Deployment,
            expires_ms: None,
            granted_by: None,
            created_ms: 0,
        })),
        Deed::Key(n, id) if there(n)?.is_some() && state::key(state, key_id(id))?.is_none() => {
            Some(Change::AddKey(ApiKey {
                id: key_id(id),
                user: user_id(n),
                auth_epoch: there(n)?.map_or(0, |user| user.auth_epoch),
                name: String::new(),
                prefix: String::new(),
                hash: Hash::of(&[id]),
                expires_ms: None,
                revoked_ms: None,
                created_ms: 0,
                created_by: None,
                bootstrap: false,
            }))
        }
        Deed::Revoke(id) if state::key(state, key_id(id))?.is_some() => {
            Some(Change::RevokeKey { key: key_id(id), at_ms: 1 })
        }
        Deed::Password(n, revoke_keys) if there(n)?.is_some() => Some(Change::SetPassword {
            user: user_id(n),
            password: Password { hash: PasswordHash("x".to_owned()), own: true, until_ms: None },
            must_change: false,
            revoke_keys,
            at_ms: 2,
        }),
        Deed::User(_) | Deed::Grant(..) | Deed::Key(..) | Deed::Revoke(_) | Deed::Password(..) => {
            None
        }
    };
    Ok(change.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_state_made_from_the_journal_is_the_state(deeds in proptest::collection::vec(deeds(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let node = Node::embedded();
            let (writer, _life) = start(&node);
            let proposals = deeds.into_iter().zip(1..).map(|(deed, id)| {
                writer.commit(proposal(id, move |state| changes_of(&deed, state)))
            });
            for settled in join_all(proposals).await {
                settled.unwrap();
            }
            let again = State::in_memory().unwrap();
            replay::catch_up(&*node.journal, &again, &seal()).await.unwrap();
            assert_eq!(again.view().unwrap().position(), &position(&node));
            assert_eq!(digest_of_rows(&again), digest_of_rows(&node.state));
            assert_eq!(digest_of_rows(&node.state), position(&node).digest);
        });
    }
}
