//! What the fuzz targets do with bytes that nobody chose, and what must hold then.
//!
//! In: bytes. Out: nothing; a property that does not hold is a failed assertion. `fuzz/` runs these
//! under libFuzzer; a test runs them over the files of `fuzz/corpus`, with every `cargo test`.
//! Never: randomness of their own. The same bytes take the same way again.

mod connection;
mod credential;
mod envelope;

pub use connection::{Gateway, frame, head};
pub use credential::{jwt, key};
pub use envelope::envelope;
