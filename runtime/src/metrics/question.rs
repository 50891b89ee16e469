//! The label of questions to IAM: what a gateway counts that asks, and IAM that answers.

use tollgate_proto::iam::Question;

crate::label! {
    /// What was asked.
    pub enum Asked, "question" {
        /// Whose is this credential?
        Authenticate = "authenticate",
        /// May this actor do that?
        Authorise = "authorise",
        /// Several of those.
        AuthoriseMany = "authorise-many",
        /// Who is still who it was?
        Revalidate = "revalidate",
        /// An operation.
        Operate = "operate",
    }
}

impl From<&Question> for Asked {
    fn from(question: &Question) -> Self {
        match question {
            Question::Authenticate { .. } => Self::Authenticate,
            Question::Authorise { .. } => Self::Authorise,
            Question::AuthoriseMany { .. } => Self::AuthoriseMany,
            Question::Revalidate { .. } => Self::Revalidate,
            Question::Operate { .. } => Self::Operate,
        }
    }
}
