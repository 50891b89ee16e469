//! The feed: one poll of each gateway is always open; it is answered when authority ends or moves.

use serde::{Deserialize, Serialize};

use super::{Event, Mark};
use crate::ids::{GatewayId, Seq};

/// What a gateway says when it asks for news.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Poll {
    /// Which gateway: drawn when it starts.
    pub gateway: GatewayId,
    /// Everything up to here is marked: caches are dropped, sessions know. None: nothing is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Mark>,
    /// What was ended because of events, since the last poll.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ended: Vec<Ended>,
}

/// What one gateway ended because of one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// The entry.
    pub seq: Seq,
    /// Sockets that were closed.
    pub closed: u64,
    /// Calls that got their last frame.
    pub cancelled: u64,
}

/// What a poll is answered with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct News {
    /// The newest entry: with these events, everything up to it is known.
    pub head: Mark,
    /// How long before this answer the node last began to read what others wrote, to its end.
    pub age_ms: u64,
    /// What happened since, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Event>,
    /// Events may have been missed: nothing that was known is good until it is asked again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub resync: bool,
}
