//! See `src/cluster.rs`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| gossip_core_fuzz::cluster::run(data));
