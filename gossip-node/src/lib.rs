//! The agent: one [`gossip_core::Node`] over UDP.
//!
//! [`agent`] is one loop around the core's four calls. It takes no decision of the protocol. Every datagram passes the fault
//! models on its way ([`socket`]); what happens is stamped and kept ([`recorder`]) until the master asks for it over a TCP
//! connection that never passes the fault models ([`control`], [`reports`]). Without a master the agent is an ordinary member. The files of
//! its snapshot and of its keys are in [`saved`] and [`keyring`]; [`taped`] records what the node is given.

#![forbid(unsafe_code)]

pub mod agent;
pub mod config;
pub mod control;
pub use event_log::keyring;
pub mod recorder;
pub mod reports;
pub mod saved;
pub mod socket;
pub mod taped;
mod translate;
