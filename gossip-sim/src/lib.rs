//! The laboratory in virtual time: the same [`gossip_core`] that the agent runs, at sizes that no cluster reaches.
//!
//! No clock, no global generator and no order of hashes in here: everything is a function of a plan and a seed.

#![deny(unsafe_code)]

pub mod chaos;
pub mod checkers;
pub mod cluster;
pub mod inputs;
pub mod kernel;
pub mod network;
pub mod observe;
pub mod queue;
pub mod run;
pub mod scale;

mod addresses;
mod host;
mod prefetch;

pub use addresses::{Addresses, HOSTS_MAX, NodeId};
pub use cluster::{Action, Churn, Cluster, Host, Stats, Traffic};
pub use host::{INBOX_MAX, ORIGIN, Restart, StartOptions};
pub use network::{Cause, Fate, Latency, Network};
pub use observe::{Captured, Delivery, Handled, HostJournal, Journal, Lifecycle, Observer};
