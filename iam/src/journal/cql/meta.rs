//! The few rows of which there is one each: which journal this is, where it begins, which snapshot
//! is the newest.

use std::sync::PoisonError;

use tollgate_proto::ids::JournalId;
use uuid::Uuid;

use super::lightweight::Outcome;
use super::{Cql, damaged};
use crate::journal::{Base, JournalError};

const ID: &str = "id";
const BASE: &str = "base";
/// Whether all of the journal is here.
const COPY: &str = "copy";
const BEGUN: &[u8] = b"begun";
const WHOLE: &[u8] = b"whole";
const DATACENTER: &str = "datacenter";

impl Cql {
    /// Checks that all is settled: what settles it then only reads.
    pub(super) async fn check_settled(&self) -> Result<(), JournalError> {
        for name in [ID, DATACENTER, COPY] {
            self.meta(name).await?.ok_or(JournalError::NotThere)?;
        }
        Ok(())
    }

    /// Which journal this is; `fresh`, if there was none.
    pub(super) async fn settle_id(&self, fresh: JournalId) -> Result<JournalId, JournalError> {
        let id = match self.meta(ID).await? {
            Some(id) => id,
            // Its first place is taken for ever: there is a journal, and somebody removed its name.
            None if self.has_begun().await? => {
                return Err(damaged("there are entries, and what says of which journal is gone"));
            }
            None => self.settle(ID, fresh.0.as_bytes()).await?,
        };
        Uuid::from_slice(&id).map(JournalId).map_err(damaged)
    }

    /// Majorities of different places need not meet: all nodes must count the same copies.
    pub(super) async fn check_datacenter(&self, ours: &str) -> Result<(), JournalError> {
        let settled = self.settle(DATACENTER, ours.as_bytes()).await?;
        if settled == ours.as_bytes() {
            return Ok(());
        }
        let settled = String::from_utf8_lossy(&settled).into_owned();
        Err(JournalError::OtherDatacenter { settled, ours: ours.to_owned() })
    }

    /// From here on it is a part of a journal that is copied here.
    pub(super) async fn begin_copy(&self) -> Result<(), JournalError> {
        match self.settle(COPY, BEGUN).await? {
            state if state == BEGUN => Ok(()),
            // It may have gone on since.
            _ => Err(JournalError::AlreadyThere),
        }
    }

    /// All of it is here.
    pub async fn finish_copy(&self) -> Result<(), JournalError> {
        self.replace(COPY, Some(BEGUN.to_vec()), WHOLE.to_vec()).await.map(drop)
    }

    /// Settles that this is no part of a journal.
    pub(super) async fn check_whole(&self) -> Result<(), JournalError> {
        match self.settle(COPY, WHOLE).await? {
            state if state == WHOLE => Ok(()),
            _ => Err(JournalError::HalfCopied),
        }
    }

    /// Reads where the journal begins.
    pub(super) async fn learn_base(&self) -> Result<(), JournalError> {
        let base = self.meta(BASE).await?.map(|bytes| Base::from_bytes(&bytes)).transpose()?;
        *self.base.lock().unwrap_or_else(PoisonError::into_inner) = base;
        Ok(())
    }

    pub(super) async fn replace_base(&self, base: Base) -> Result<(), JournalError> {
        loop {
            let old = self.meta(BASE).await?;
            if self.replace(BASE, old, base.to_bytes()).await? {
                return self.learn_base().await;
            }
        }
    }

    pub(super) async fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, JournalError> {
        let rows: Vec<(Option<Vec<u8>>,)> = self.all(&self.statements.meta, (name,)).await?;
        Ok(rows.into_iter().next().and_then(|(value,)| value))
    }

    /// Writes a value where none is. Gives what is there then.
    async fn settle(&self, name: &str, fresh: &[u8]) -> Result<Vec<u8>, JournalError> {
        if let Some(known) = self.meta(name).await? {
            return Ok(known);
        }
        match self.ask(&self.statements.insert_meta, (name, fresh)).await? {
            Outcome::Done => Ok(fresh.to_vec()),
            Outcome::Refused(found) => found
                .blob("value")
                .map(<[u8]>::to_vec)
                .ok_or_else(|| damaged("a row without value")),
        }
    }

    /// Writes a value where another one is, or none. False if it was not there.
    pub(super) async fn replace(
        &self,
        name: &str,
        old: Option<Vec<u8>>,
        new: Vec<u8>,
    ) -> Result<bool, JournalError> {
        let Some(old) = old else {
            return Ok(self.settle(name, &new).await? == new);
        };
        let values = (new.as_slice(), name, old);
        Ok(match self.ask(&self.statements.replace_meta, values).await? {
            Outcome::Done => true,
            // Written the first time, though nobody said so.
            Outcome::Refused(found) => found.blob("value") == Some(new.as_slice()),
        })
    }
}
