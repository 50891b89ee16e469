//! Somebody at the far gateway from whom everything is taken away at the near one.

use std::net::SocketAddr;

use anyhow::Context;
use serde_json::{Value, json};
use tollgate_e2e::Tollgate;
use tollgate_e2e::far::crowd::{Crowd, End, Manner};

/// What is taken away.
#[derive(Debug, Clone, Copy)]
pub(super) enum Taking {
    Key,
    User,
    Role,
}

impl Taking {
    /// Whether that is how a caller ends.
    pub(super) fn ends(self, manner: Manner, end: End) -> bool {
        match (manner, end) {
            (Manner::Calls | Manner::SlowCalls | Manner::Listens, End::Closed(code)) => {
                code == 4403
            }
            // One under way is denied its answer; one that comes is of nobody any more.
            (Manner::Posts | Manner::SlowPosts, End::Refused(status)) => {
                status == 403 || status == 401 && !matches!(self, Self::Role)
            }
            (Manner::Reads, End::BrokenOff) => true,
            (_, _) => false,
        }
    }
}

pub(super) struct Victim {
    pub(super) crowd: Crowd,
    taking: Value,
}

impl Victim {
    /// Somebody new, who gets what there is.
    pub(super) async fn enter(
        tollgate: &Tollgate,
        address: SocketAddr,
        number: usize,
        taking: Taking,
    ) -> anyhow::Result<Self> {
        let (user, key) = tollgate.user(&format!("victim-{number}"), "writer").await?;
        let taking = match taking {
            Taking::User => json!({ "operation": "disable-user", "user_id": user }),
            Taking::Role => json!({
                "operation": "remove-user-grant", "user_id": user,
                "grant": { "role": "writer", "workspace": "default" },
            }),
            Taking::Key => {
                let list = json!({ "operation": "list-api-keys", "user_id": user });
                let listed = tollgate.iam(list).await?;
                let id = listed["api_keys"][0]["id"].as_str().context("no key")?;
                json!({ "operation": "revoke-api-key", "key_id": id })
            }
        };
        Ok(Self { crowd: Crowd::gather(address, &key).await?, taking })
    }

    /// Takes it away where the link is whole.
    pub(super) async fn is_deprived(&self, tollgate: &Tollgate) -> anyhow::Result<()> {
        tollgate.iam(self.taking.clone()).await.map(drop)
    }
}
