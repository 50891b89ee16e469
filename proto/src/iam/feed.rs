//! The feed: one poll of each gateway is always open; it is answered when authority ends or moves,
//! or when somebody wants to know of the sockets that gateways hold, which is written down nowhere.

use serde::{Deserialize, Serialize};

use super::{Credential, Event, Mark, Moved};
use crate::ids::{AskId, GatewayId, Seq, SocketId, UserId, WorkspaceId};

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
    /// What was found of what was asked with the news before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub found: Vec<Found>,
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
    /// To be answered with the next poll.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asks: Vec<Ask>,
}

/// A question to every gateway, about the sockets that it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// Names it.
    pub id: AskId,
    /// Which sockets are meant.
    pub about: About,
}

/// Which sockets are meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum About {
    /// Those of a user.
    User(UserId),
    /// Those whose calls are about this workspace, if they name none.
    Workspace(WorkspaceId),
    /// One.
    Socket(SocketId),
    /// Those whom any of this would concern. They are counted, and not told.
    Moved(Vec<Moved>),
}

/// What one gateway found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// What was asked.
    pub ask: AskId,
    /// How many there are.
    pub count: u64,
    /// They themselves; at most [`Found::MOST`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sockets: Vec<LiveSocket>,
}

impl Found {
    /// As many sockets are told of in one answer: a poll has room for those of [`News::MOST_ASKS`].
    pub const MOST: usize = 400;
}

impl News {
    /// As many questions come with one answer.
    pub const MOST_ASKS: usize = 4;
}

/// A socket that is open, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveSocket {
    /// Which.
    pub id: SocketId,
    /// Whose.
    pub user: UserId,
    /// The credential behind it.
    pub credential: Credential,
    /// What its calls are about, if they name no workspace.
    pub workspace: WorkspaceId,
    /// Its peer, as the gateway saw it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// When it was opened, in milliseconds since 1970.
    pub opened_ms: u64,
}
