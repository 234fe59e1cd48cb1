//! One node's recorded life, lived again: the recording of an agent on any backend ([`gossip_core::typed`]) is played into a fresh
//! node in virtual time, and what comes out is held against what came out then.
//!
//! [`mod@file`] reads a recording, [`replay`] plays it, [`trace`] puts it into words, [`latency`] measures from several recordings how
//! long datagrams were under way. Nothing here simulates a network: the inputs are all there is.

pub mod file;
pub mod latency;
pub mod replay;
pub mod trace;
