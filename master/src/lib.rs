//! The master of an experiment: provisions a cluster on a [`backend`], conducts the [`experiment`] that a plan describes,
//! collects what the nodes record and keeps it in a result folder ([`store`]).
//!
//! The master takes no part in the gossip and stamps nothing that a node did: see [`event_log::record`].

#![forbid(unsafe_code)]

pub mod backend;
pub mod clean;
pub mod clock_sync;
pub mod collector;
pub mod display;
pub mod experiment;
pub mod fleet;
pub mod launch;
pub mod signals;
pub mod store;
