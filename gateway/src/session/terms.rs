//! What a client and the gateway have agreed on: the last auth frame that was taken says it.
//!
//! In: an auth frame, and what the upgrade told of the client. Out: the features that are granted
//! and the size of the frames that the client takes. Never: anything about rights.

use tollgate_proto::frame::client::AuthFrame;
use tollgate_proto::frame::feature::Feature;

/// What holds between both ends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Terms {
    /// The client asked for features, known or not: it knows more than the frames of old.
    pub(super) negotiated: bool,
    /// What was granted.
    pub(super) features: Vec<Feature>,
    /// The largest frame that an answer may be, in bytes. None: whatever the backend says.
    pub(super) max_frame: Option<u64>,
}

impl Terms {
    /// What an auth frame asks for, by a client that otherwise takes frames of this size.
    pub(super) fn of(frame: &AuthFrame, usual: Option<u64>) -> Self {
        let known = Feature::ALL.iter().copied();
        Self {
            negotiated: !frame.features.is_empty(),
            features: known.filter(|one| frame.asks_for(*one)).collect(),
            max_frame: frame.max_frame.or(usual),
        }
    }

    pub(super) fn has(&self, feature: Feature) -> bool {
        self.features.contains(&feature)
    }

    /// Whether the client takes this frame.
    pub(super) fn allow(&self, frame: &str) -> bool {
        self.max_frame.is_none_or(|most| frame.len() as u64 <= most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_negotiated_and_not_granted() {
        let features = ["channels", "heartbeat", "heartbeat"].map(str::to_owned).to_vec();
        let frame = AuthFrame { features, ..AuthFrame::default() };
        let terms = Terms::of(&frame, Some(7));
        let expect =
            Terms { negotiated: true, features: vec![Feature::Heartbeat], max_frame: Some(7) };
        assert_eq!(terms, expect);
        assert!(terms.allow("1234567") && !terms.allow("12345678"));
    }

    #[test]
    fn a_size_that_the_client_names_goes_before_the_usual_one() {
        let frame = AuthFrame { max_frame: Some(9), ..AuthFrame::default() };
        let terms = Terms::of(&frame, Some(7));
        assert_eq!((terms.max_frame, terms.negotiated), (Some(9), false));
        assert!(Terms::default().allow(&"x".repeat(9_000)));
    }
}
