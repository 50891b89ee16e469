//! The gateway's end of the feed: one poll is always open, and what it brings is heard.
//!
//! In: news. Out: to [`Heard`], in order. Never: two polls at once, or a poll that acknowledges what was not
//! heard.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tollgate_proto::iam::Poll;
use tollgate_proto::ids::GatewayId;
use tollgate_runtime::lifecycle::Lifecycle;
use uuid::Uuid;

use super::heard::Heard;
use super::{Iam, Unreachable};

/// Between polls that failed: doubling from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(1);

/// Polls until the process stops.
pub(crate) async fn listen(iam: &dyn Iam, heard: &Heard, life: &Lifecycle) {
    let gateway = GatewayId(Uuid::now_v7());
    let (mut after, mut pause) = (None, FIRST_PAUSE);
    let mut is_lost = false;
    loop {
        let asked = Instant::now();
        // Both arms only wait: what a poll that is dropped would have brought is asked for again.
        let polled = tokio::select! {
            biased;
            () = life.stop.cancelled() => return,
            polled = iam.poll(Poll { gateway, after, ended: Vec::new() }) => polled,
        };
        match polled {
            Ok(news) => {
                heard.hear(&news, asked);
                after = Some(news.head);
                pause = FIRST_PAUSE;
                if is_lost {
                    tracing::info!(head = %news.head.seq, "iam's feed is heard again");
                    is_lost = false;
                }
            }
            Err(Unreachable(reason)) => {
                if !is_lost {
                    tracing::warn!(
                        reason,
                        "iam's feed is lost: nothing that it said before is used"
                    );
                    is_lost = true;
                }
                sleep(pause).await;
                pause = (pause * 2).min(LAST_PAUSE);
            }
        }
    }
}
