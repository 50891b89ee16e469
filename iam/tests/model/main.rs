//! IAM against a plain model of its rules: random histories of management by eight concurrent
//! actors, through the real operations, writer and journal.
//!
//! `TOLLGATE_HISTORIES` says how many; `TOLLGATE_HISTORY` runs the one of a seed.

#[cfg(test)]
mod world;
#[cfg(test)]
mod ask;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod real;
#[cfg(test)]
mod draw;
#[cfg(test)]
mod turns;
#[cfg(test)]
mod history;
#[cfg(test)]
mod check;
#[cfg(test)]
mod many;
