//! See `src/sealed.rs`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| gossip_core_fuzz::sealed::run(data));
