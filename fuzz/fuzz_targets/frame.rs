#![no_main]

use std::cell::OnceCell;

use tollgate_e2e::fuzz::{Gateway, frame};

thread_local! {
    static GATEWAY: OnceCell<Gateway> = const { OnceCell::new() };
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| GATEWAY.with(|gateway| {
    frame(gateway.get_or_init(|| Gateway::start().expect("it starts")), bytes);
}));
