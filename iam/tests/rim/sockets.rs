//! Sockets that are open: who is told of which, and who may close them.

use serde_json::{Value, json};
use tollgate_proto::iam::{
    About, Ask, Found, LiveSocket, Mark, Moved, RefusalKind, Reply, SessionRecord, Survey,
};
use tollgate_proto::ids::SocketId;
use uuid::Uuid;

use crate::feed::Gateway;
use crate::harness::{Iam, Person, about, assert_denied, assert_refused};

/// Nobody's id.
const GHOST: &str = "00000000-0000-0000-0000-000000000000";

fn socket_of(number: u128, person: &Person, workspace: &str) -> LiveSocket {
    LiveSocket {
        id: SocketId(Uuid::from_u128(number)),
        user: person.actor().user,
        credential: person.actor().credential,
        workspace: workspace.parse().unwrap(),
        address: Some("192.0.2.1".to_owned()),
        opened_ms: 1_700_000_000_000 + u64::try_from(number).unwrap(),
    }
}

/// Waits for a question, checks it, and finds these sockets.
async fn find(gateway: &Gateway<'_>, head: Mark, expect: About, sockets: &[LiveSocket]) {
    let (head, Ask { id, about }) = gateway.is_asked(head).await;
    assert_eq!(about, expect);
    let found = Found { ask: id, count: sockets.len() as u64, sockets: sockets.to_vec() };
    gateway.find(head, vec![found]).await;
}

/// A reader, an admin and the manager of a workspace, all at home there.
async fn cast(iam: &Iam, admin: &Person) -> [Person; 3] {
    [
        iam.member(admin, "acme", "ann", "reader").await,
        iam.member(admin, "acme", "boss", "admin").await,
        iam.manager(admin, "acme", "bob").await,
    ]
}

fn own() -> Value {
    json!({"operation": "list-sessions"})
}

fn of(user_id: &str) -> Value {
    json!({"operation": "list-sessions", "user_id": user_id})
}

fn ids(reply: &Reply) -> Vec<u128> {
    reply.sessions.iter().map(|it| it.id.parse::<Uuid>().unwrap().as_u128()).collect()
}

#[tokio::test]
async fn everybody_sees_its_own_sockets_and_admins_those_of_others() {
    let (iam, admin) = Iam::claimed().await;
    let ann = iam.member(&admin, "acme", "ann", "reader").await;
    let bob = iam.manager(&admin, "acme", "bob").await;
    let zoe = iam.member(&admin, "umbrella", "zoe", "reader").await;
    let gateway = Gateway::new(&iam);
    let head = gateway.poll(None).await.head;
    let check =
        async |by: &Person, operation, asked: About, found: &[LiveSocket], told: &[u128]| {
            let (reply, ()) =
                tokio::join!(iam.by(by, operation), find(&gateway, head, asked, found));
            let reply = reply.unwrap();
            assert_eq!(ids(&reply), told);
            assert_eq!(reply.survey, Some(Survey { gateways_heard: 1, ..Survey::default() }));
            reply
        };
    let of_ann = About::User(ann.actor().user);
    let both = [socket_of(2, &ann, "acme"), socket_of(1, &ann, "acme")];
    let reply = check(&ann, own(), of_ann.clone(), &both, &[1, 2]).await;
    let expect = SessionRecord {
        id: Uuid::from_u128(1).to_string(),
        user_id: ann.id(),
        username: "ann".to_owned(),
        workspace: "acme".to_owned(),
        credential: "api-key".to_owned(),
        credential_id: ann.key_id(),
        address: "192.0.2.1".to_owned(),
        opened: "2023-11-14T22:13:20.001+00:00".to_owned(),
        gateway: reply.sessions[0].gateway.clone(),
    };
    assert_eq!(reply.sessions[0], expect);

    for by in [&ann, &bob, &admin] {
        let of_ann_by_id = of(&ann.id());
        check(by, of_ann_by_id, of_ann.clone(), &both[..1], &[2]).await;
    }
    // In a workspace there are also sockets of users of whom its admins may know nothing.
    let mixed = [socket_of(1, &ann, "acme"), socket_of(2, &zoe, "acme")];
    let in_acme = About::Workspace("acme".parse().unwrap());
    let acme = json!({"operation": "list-sessions", "workspace": "acme"});
    check(&bob, acme.clone(), in_acme.clone(), &mixed, &[1]).await;
    check(&admin, acme.clone(), in_acme, &mixed, &[1, 2]).await;

    assert_denied(iam.by(&ann, acme).await);
    assert_denied(iam.by(&ann, of(&bob.id())).await);
    assert_denied(iam.by(&bob, of(&zoe.id())).await);
    assert_denied(iam.by(&bob, of(GHOST)).await);
    let ghost = iam.by(&admin, of(GHOST)).await;
    assert_refused(ghost, RefusalKind::NotFound, "user not found");
}

#[tokio::test]
async fn a_gateway_that_does_not_answer_is_told_of() {
    let (iam, admin) = Iam::claimed().await;
    let none = iam.by(&admin, own()).await.unwrap();
    assert_eq!((none.sessions.len(), none.survey), (0, Some(Survey::default())));
    let (frozen, gateway) = (Gateway::new(&iam), Gateway::new(&iam));
    frozen.poll(None).await;
    let head = gateway.poll(None).await.head;
    let cut = async {
        let (head, Ask { id, .. }) = gateway.is_asked(head).await;
        gateway.find(head, vec![Found { ask: id, count: 7, sockets: vec![] }]).await;
    };
    let (reply, ()) = tokio::join!(iam.by(&admin, own()), cut);
    let expect =
        Survey { gateways_heard: 1, gateways_silent: 1, is_cut: true, ..Survey::default() };
    assert_eq!(reply.unwrap().survey, Some(expect));
}

#[tokio::test]
async fn whoever_may_disable_a_user_may_close_its_sockets() {
    let (iam, admin) = Iam::claimed().await;
    let [ann, boss, bob] = cast(&iam, &admin).await;
    let gateway = Gateway::new(&iam);
    let mut head = gateway.poll(None).await.head;
    for by in [&bob, &admin, &ann] {
        let listen = async {
            let news = gateway.hear(head).await;
            gateway.poll(Some(news.head)).await;
            news
        };
        let (kicked, news) = tokio::join!(iam.by(by, about("kick-user", &ann)), listen);
        kicked.unwrap();
        let user = ann.actor().user;
        assert!(news.events.iter().all(|event| event.moved == Moved::Sockets { user }));
        assert_eq!(news.events.len(), 1);
        head = news.head;
    }
    iam.authenticate(&ann.key).await.unwrap();
    assert_denied(iam.by(&ann, about("kick-user", &bob)).await);
    assert_denied(iam.by(&bob, about("kick-user", &boss)).await);
    let ghost = json!({"operation": "kick-user", "user_id": Uuid::nil()});
    assert_denied(iam.by(&bob, ghost.clone()).await);
    assert_refused(iam.by(&admin, ghost).await, RefusalKind::NotFound, "user not found");
}

#[tokio::test]
async fn a_socket_is_closed_whoever_holds_it() {
    let (iam, admin) = Iam::claimed().await;
    let [ann, boss, bob] = cast(&iam, &admin).await;
    let gateway = Gateway::new(&iam);
    let head = gateway.poll(None).await.head;
    let id = SocketId(Uuid::from_u128(1));
    let end = json!({"operation": "end-session", "session_id": id.0});
    let ends = async |by: &Person, found: &[LiveSocket]| {
        let asked = find(&gateway, head, About::Socket(id), found);
        tokio::join!(iam.by(by, end.clone()), asked).0
    };
    let (of_ann, of_boss) = (socket_of(1, &ann, "acme"), socket_of(1, &boss, "acme"));
    assert_denied(ends(&bob, &[of_boss]).await);
    assert_denied(ends(&bob, &[]).await);
    let gone = ends(&admin, &[]).await;
    assert_refused(gone, RefusalKind::NotFound, "session not found");
    ends(&bob, std::slice::from_ref(&of_ann)).await.unwrap();
    ends(&ann, &[of_ann]).await.unwrap();
    let news = gateway.poll(Some(head)).await;
    let moved: Vec<_> = news.events.into_iter().map(|event| event.moved).collect();
    let user = ann.actor().user;
    assert_eq!(moved, [Moved::Socket { id, user }, Moved::Socket { id, user }]);

    let no_id = json!({"operation": "end-session", "session_id": "7"});
    let refused = iam.by(&ann, no_id).await;
    assert_refused(refused, RefusalKind::InvalidArgument, "session_id must be a UUID");
}

#[tokio::test]
async fn a_socket_is_closed_as_a_users_if_it_is_that_users() {
    let (iam, admin) = Iam::claimed().await;
    let [ann, boss, bob] = cast(&iam, &admin).await;
    let gateway = Gateway::new(&iam);
    let head = gateway.poll(None).await.head;
    let id = SocketId(Uuid::from_u128(1));
    let end = |user: &Person| json!({"operation": "end-session", "session_id": id.0, "user_id": user.id()});
    let ends = async |by: &Person, user: &Person, found: &[LiveSocket]| {
        let asked = find(&gateway, head, About::Socket(id), found);
        tokio::join!(iam.by(by, end(user)), asked).0
    };
    let (of_ann, of_boss) = (socket_of(1, &ann, "acme"), socket_of(1, &boss, "acme"));
    for by in [&ann, &bob, &admin] {
        for found in [&[][..], std::slice::from_ref(&of_boss)] {
            let outcome = ends(by, &ann, found).await;
            assert_refused(outcome, RefusalKind::NotFound, "session not found");
        }
    }
    // Nobody is asked for those who may not close it.
    assert_denied(iam.by(&bob, end(&boss)).await);
    assert_eq!(gateway.poll(None).await.head, head, "nothing was written");
    ends(&bob, &ann, &[of_ann]).await.unwrap();
    let news = gateway.poll(Some(head)).await;
    let moved: Vec<_> = news.events.into_iter().map(|event| event.moved).collect();
    assert_eq!(moved, [Moved::Socket { id, user: ann.actor().user }]);
}

#[tokio::test(start_paused = true)]
async fn whoever_finds_no_socket_hears_of_gateways_that_said_nothing() {
    let (iam, admin) = Iam::claimed().await;
    Gateway::new(&iam).poll(None).await;
    let mut end = json!({"operation": "end-session", "session_id": Uuid::from_u128(1)});
    let message = "session not found at the gateways that answered; some did not: try kick-user";
    for user in [None, Some(admin.id())] {
        end["user_id"] = json!(user);
        let outcome = iam.by(&admin, end.clone()).await;
        assert_refused(outcome, RefusalKind::NotFound, message);
    }
}

#[tokio::test]
async fn a_rehearsal_counts_the_sockets_concerned() {
    let (iam, admin) = Iam::claimed().await;
    let ann = iam.member(&admin, "acme", "ann", "reader").await;
    let gateway = Gateway::new(&iam);
    let head = gateway.poll(None).await.head;
    let answer = async {
        let (head, Ask { id, about }) = gateway.is_asked(head).await;
        gateway.find(head, vec![Found { ask: id, count: 3, sockets: vec![] }]).await;
        about
    };
    let operation = json!({"operation": "revoke-api-key", "key_id": ann.key_id()});
    let question = json!({"actor": admin.actor(), "operation": operation, "manner": "dry-run"});
    let (answered, asked) = tokio::join!(iam.ask(json!({"operate": question})), answer);
    let tollgate_proto::iam::Outcome::Reply(reply) = answered.outcome else { panic!() };
    let rehearsal = reply.dry_run.unwrap();
    assert_eq!((rehearsal.sockets, rehearsal.survey.gateways_heard), (3, 1));
    let tollgate_proto::iam::Credential::Key(id) = ann.actor().credential else { panic!() };
    assert_eq!(asked, About::Moved(vec![Moved::Credential { id, user: Some(ann.actor().user) }]));
}
