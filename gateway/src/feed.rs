//! The gateway's end of the feed: one poll is always open; what it brings is heard, told to everybody
//! whom it concerns, and then acknowledged by the next poll.
//!
//! Never: two polls at once, or an acknowledgement of what somebody here could still act against.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use tollgate_proto::iam::{Mark, Poll};
use tollgate_proto::ids::GatewayId;
use tollgate_runtime::lifecycle::Lifecycle;
use uuid::Uuid;

use crate::iam::{Questions, Unreachable};
use crate::sessions::Sessions;

/// Between polls that failed: doubling from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(1);

/// How long the start waits for the first news. Without them the gateway starts as well, and lets
/// no call through.
const FIRST_NEWS: Duration = Duration::from_secs(1);

/// The feed of this process.
pub(crate) struct Feed {
    questions: Arc<Questions>,
    sessions: Arc<Sessions>,
    gateway: GatewayId,
    after: Option<Mark>,
}

impl Feed {
    /// Asks for the first news.
    pub(crate) async fn open(questions: Arc<Questions>, sessions: Arc<Sessions>) -> Self {
        let gateway = GatewayId(Uuid::now_v7());
        let poll =
            questions.poll(Poll { gateway, after: None, ended: Vec::new(), found: Vec::new() });
        let after = match timeout(FIRST_NEWS, poll).await {
            Ok(Ok((news, _))) => Some(news.head),
            Ok(Err(_)) | Err(_) => None,
        };
        Self { questions, sessions, gateway, after }
    }

    /// Listens until `life` stops.
    pub(crate) async fn listen(self, life: Lifecycle) {
        // All three only wait, and none is polled again once another has won.
        tokio::select! {
            biased;
            () = life.stop.cancelled() => {}
            () = self.questions.serve_reviews() => {}
            () = self.hear() => {}
        }
    }

    async fn hear(&self) {
        let Self { questions, sessions, gateway, .. } = self;
        let mut after = self.after;
        let (mut ended, mut pause, mut is_lost) = (Vec::new(), FIRST_PAUSE, false);
        let mut found = Vec::new();
        loop {
            ended.extend(sessions.take_counts());
            // What is found and does not arrive is asked for again.
            let found_now = std::mem::take(&mut found);
            let poll = Poll { gateway: *gateway, after, ended: ended.clone(), found: found_now };
            match questions.poll(poll).await {
                Ok((news, was_silent)) => {
                    ended.clear();
                    sessions.tell(&news).await;
                    if was_silent {
                        sessions.wake();
                    }
                    found = news.asks.iter().map(|ask| sessions.find(ask)).collect();
                    after = Some(news.head);
                    pause = FIRST_PAUSE;
                    if is_lost {
                        tracing::info!(head = %news.head.seq, "iam's feed is heard again");
                        is_lost = false;
                    }
                }
                Err(Unreachable(reason)) => {
                    if !is_lost {
                        let effect = "what it said before is used until the lease is over";
                        tracing::warn!(reason, "iam's feed is lost: {effect}");
                        is_lost = true;
                    }
                    sleep(pause).await;
                    pause = (pause * 2).min(LAST_PAUSE);
                }
            }
        }
    }
}
