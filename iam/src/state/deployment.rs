//! What there is one of.

use super::StateError;
use super::rows::{self, Read, Table};
use super::transaction::{ONLY, Open};
use crate::record::Deployment;

/// The deployment; unclaimed if nothing was ever written.
pub fn deployment(from: &dyn Read) -> Result<Deployment, StateError> {
    Ok(rows::get(from, Table::Deployment, ONLY)?.unwrap_or_default())
}

pub(super) fn claim(open: &mut Open, at_ms: u64) -> Result<(), StateError> {
    if deployment(open)?.claimed_ms.is_some() {
        return Err(StateError::Unfit("claimed twice"));
    }
    open.put(Table::Deployment, ONLY, &Deployment { claimed_ms: Some(at_ms) })
}
