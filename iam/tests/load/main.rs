//! What takes time, or measures it: one test at once, and nothing else beside it.

#![cfg(test)]

#[expect(dead_code, reason = "the other tests need more of it")]
#[path = "../rim/harness.rs"]
mod harness;
mod rotations;
mod storm;
mod timing;

use tokio::sync::{Mutex, MutexGuard};

/// The machine to oneself, as far as these tests go.
async fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::const_new(());
    ALONE.lock().await
}
