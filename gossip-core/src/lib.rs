#![no_std]
//! (being written)
extern crate alloc;
pub mod address;
pub mod config;
pub mod time;
pub mod wire;
pub use address::Address;
pub use config::{ClusterTag, Config, ConfigError, Strategy, event_payload_max};
pub use time::Instant;
