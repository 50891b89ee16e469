#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tollgate_e2e::fuzz::envelope(bytes));
