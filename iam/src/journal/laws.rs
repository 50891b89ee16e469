//! The laws of a journal, over whatever engine.
