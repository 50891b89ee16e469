//! A cluster that is away: a start waits for it, and a node that was at work answers nobody once it
//! cannot know any more what it says.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tollgate_proto::iam::RefusalKind;
use tollgate_runtime::clock::{Clock, ManualClock};
use tollgate_runtime::lifecycle::Lifecycle;

use super::copy::{assert_unusable, tool};
use super::fresh::poll;
use super::harness::{Iam, NOW_MS, SECRET, link};
use super::keyspace::Keyspace;
use super::nodes::{folder, settings_in};

const LEASE: Duration = Duration::from_secs(2);

/// A way to the cluster that can be shut.
struct Gate {
    address: SocketAddr,
    is_open: watch::Sender<bool>,
    _tasks: JoinSet<()>,
}

impl Gate {
    async fn shut(cluster: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (is_open, opened) = watch::channel(false);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                let (cluster, mut opened) = (cluster.clone(), opened.clone());
                connections.spawn(async move {
                    if !*opened.borrow() {
                        return;
                    }
                    let mut server = TcpStream::connect(cluster).await.unwrap();
                    let shut = opened.wait_for(|is_open| !*is_open);
                    // Whatever is on the way is cut.
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                        _ = shut => {}
                    }
                });
            }
        });
        Self { address, is_open, _tasks: tasks }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_is_away_is_waited_for_and_missed() {
    Keyspace::lend(async |keyspace| {
        let gate = Gate::shut(keyspace.cluster.clone()).await;
        let way = Keyspace { cluster: gate.address.to_string(), name: keyspace.name.clone() };
        let (folder, life) = (folder(), Lifecycle::new());
        let clock = ManualClock::at_ms(NOW_MS);
        let settings = settings_in(&folder, &way, "cql");
        let shared = Arc::clone(&clock) as Arc<dyn Clock>;
        let link = link(LEASE);
        let start =
            tollgate_iam::start(&settings, &link, SecretString::from(SECRET), shared, &life);
        let mut start = Box::pin(start);
        assert!(timeout(Duration::from_secs(1), &mut start).await.is_err(), "nothing to start on");
        // Whoever typed a command does not wait for it.
        let told = tool(folder.path(), &way, "cql", &["journal", "verify"]).await;
        assert_unusable(&told, "the journal's cluster does not answer");
        gate.is_open.send_replace(true);
        let address = start.await.unwrap().address;
        let iam = Iam { address, clock, life, folder };
        let admin = iam.claim().await;

        gate.is_open.send_replace(false);
        let refused = iam.user(&admin, "default", "late", &["reader"]).await.unwrap_err();
        assert_eq!(refused.kind, RefusalKind::Unavailable);
        until(async || iam.authenticate(&admin.key).await.is_err()).await;
        let refused = iam.authenticate(&admin.key).await.unwrap_err();
        assert_eq!(refused.kind, RefusalKind::Unavailable);
        // Gateways are told that what this node knows is as old as that.
        assert!(age(&iam).await > LEASE);
        assert_eq!(iam.life.fault.get(), None);

        gate.is_open.send_replace(true);
        until(async || iam.authenticate(&admin.key).await.is_ok()).await;
        until(async || age(&iam).await < LEASE).await;
        iam.workspace(&admin, "later").await;
    })
    .await;
}

/// How old the news of a node are.
async fn age(iam: &Iam) -> Duration {
    Duration::from_millis(poll(iam, None).await.age_ms)
}

async fn until(is_so: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < Duration::from_secs(30), "it never came to be");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
