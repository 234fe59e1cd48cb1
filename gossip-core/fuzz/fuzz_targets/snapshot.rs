//! See `src/snapshot.rs`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| gossip_core_fuzz::snapshot::run(data));
