//! The calls that are sent and the replies that are due.
//!
//! Ids have a fixed width, so that every reply has one length, and the request has no member
//! that the echo of Tollgate would answer beyond the echo itself.

use anyhow::{bail, ensure};

use crate::server::Arm;

const FIRST_ID: u64 = 100_000_000;
const LAST_ID: u64 = 999_999_999;
const ID: std::ops::Range<usize> = 6..15;

/// What the request of a call holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Content {
    /// One long string.
    Text,
    /// Objects and lists, as embeddings and documents are made of.
    Nested,
}

impl Content {
    /// JSON of this many bytes, or a few more.
    fn payload(self, bytes: usize) -> String {
        match self {
            Self::Text => format!("\"{}\"", "x".repeat(bytes.saturating_sub(2))),
            Self::Nested => {
                let item = r#"{"id":"doc-17","score":0.8731,"tags":["a","b"],"at":[12,-7,3.5e2]},"#;
                let items = item.repeat(bytes.saturating_sub(4) / item.len());
                let rest = "x".repeat(bytes.saturating_sub(items.len() + 4));
                format!("[{items}\"{rest}\"]")
            }
        }
    }
}

/// The texts of one kind of call.
#[derive(Debug, Clone)]
pub(crate) struct Frames {
    call: String,
    reply: String,
}

impl Frames {
    /// Calls whose frame is `bytes` long, or as long as it must be.
    pub(crate) fn new(arm: Arm, bytes: usize, content: Content) -> Self {
        let call = |payload: &str| {
            format!(
                r#"{{"id":{FIRST_ID},"service":"embeddings","flow":"default","request":{{"payload":{payload}}}}}"#
            )
        };
        let payload = content.payload(bytes.saturating_sub(call("").len()));
        let call = call(&payload);
        let reply = match arm {
            Arm::Bare | Arm::Stock | Arm::Upstream => call.clone(),
            Arm::Hop(_) => format!(
                r#"{{"id":{FIRST_ID},"response":{{"workspace":"default","payload":{payload}}},"complete":true}}"#
            ),
            Arm::Tollgate => format!(
                r#"{{"id":{FIRST_ID},"response":{{"echo":{{"workspace":"default","payload":{payload}}}}},"complete":true}}"#
            ),
        };
        Self { call, reply }
    }

    /// The call of a number.
    pub(crate) fn call(&self, number: u64) -> String {
        let mut text = self.call.clone();
        text.replace_range(ID, &(FIRST_ID + number % (LAST_ID - FIRST_ID)).to_string());
        text
    }

    /// Whether a reply has the length that is due.
    pub(crate) fn check_length(&self, reply: &str) -> anyhow::Result<()> {
        ensure!(reply.len() == self.reply.len(), "a reply that was not due: {reply}");
        Ok(())
    }

    /// Whether a reply is the one that is due for one of the first `sent` calls.
    pub(crate) fn check_body(&self, reply: &str, sent: u64) -> anyhow::Result<()> {
        self.check_length(reply)?;
        let id = reply.get(ID).and_then(|id| id.parse::<u64>().ok());
        let is_ours = id.is_some_and(|id| (FIRST_ID..FIRST_ID + sent).contains(&id));
        let same = |part: fn(&str) -> Option<&str>| part(reply) == part(&self.reply);
        if !is_ours || !same(|text| text.get(..ID.start)) || !same(|text| text.get(ID.end..)) {
            bail!("a reply that was not due: {reply}");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_must_be_the_one_that_is_due() {
        let nested = Frames::new(Arm::Bare, 4_096, Content::Nested).call(7);
        assert_eq!(nested.len(), 4_096);
        assert!(serde_json::from_str::<serde_json::Value>(&nested).is_ok());
        let frames = Frames::new(Arm::Bare, 256, Content::Text);
        let call = frames.call(7);
        assert_eq!(call.len(), 256);
        assert!(frames.check_body(&call, 8).is_ok());
        assert!(frames.check_body(&call, 7).is_err());
        assert!(frames.check_body(&call.replace("xx", "xy"), 8).is_err());
        assert!(frames.check_length("{}").is_err());
        assert!(Frames::new(Arm::Tollgate, 256, Content::Text).check_body(&call, 8).is_err());
    }
}
