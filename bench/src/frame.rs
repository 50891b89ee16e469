//! The calls that are sent and the replies that are due.
//!
//! Ids have a fixed width, so that every reply has one length, and the request has no member
//! that the echo of Tollgate would answer beyond the echo itself.

use anyhow::{bail, ensure};

use crate::server::Arm;

const FIRST_ID: u64 = 100_000_000;
const LAST_ID: u64 = 999_999_999;
const ID: std::ops::Range<usize> = 6..15;

/// The texts of one kind of call.
#[derive(Debug, Clone)]
pub(crate) struct Frames {
    call: String,
    reply: String,
}

impl Frames {
    /// Calls whose frame is `bytes` long, or as long as it must be.
    pub(crate) fn new(arm: Arm, bytes: usize) -> Self {
        let call = |payload: &str| {
            format!(
                r#"{{"id":{FIRST_ID},"service":"embeddings","flow":"default","request":{{"payload":"{payload}"}}}}"#
            )
        };
        let payload = "x".repeat(bytes.saturating_sub(call("").len()));
        let call = call(&payload);
        let reply = match arm {
            Arm::Bare | Arm::Upstream => call.clone(),
            Arm::Hop(_) => format!(
                r#"{{"id":{FIRST_ID},"response":{{"workspace":"default","payload":"{payload}"}},"complete":true}}"#
            ),
            Arm::Tollgate => format!(
                r#"{{"id":{FIRST_ID},"response":{{"echo":{{"workspace":"default","payload":"{payload}"}}}},"complete":true}}"#
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
        let frames = Frames::new(Arm::Bare, 256);
        let call = frames.call(7);
        assert_eq!(call.len(), 256);
        assert!(frames.check_body(&call, 8).is_ok());
        assert!(frames.check_body(&call, 7).is_err());
        assert!(frames.check_body(&call.replace("xx", "xy"), 8).is_err());
        assert!(frames.check_length("{}").is_err());
        assert!(Frames::new(Arm::Tollgate, 256).check_body(&call, 8).is_err());
    }
}
