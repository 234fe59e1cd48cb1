//! Fault models for datagrams.
//!
//! One question, asked for every datagram: *what becomes of it?* [`Netem::judge`] answers with a [`Fate`], a value, not an
//! action. The socket shim of a real node and the simulated network ask the same models, so a fault means the same in both.
//! netem sees lengths, links and times. It never sees what is in a datagram.

pub mod seed;
pub mod spec;
