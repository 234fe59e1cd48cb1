//! Stories of the protocol: what clusters do in virtual time, told in the vocabulary of [`gossip_sim::Cluster`]. Each pins a
//! promise, or a bug that was found.
//!
//! A story counts its hosts from 1, so that "node 3" is the third. Whatever is about one node alone is tested in `gossip-core`.

mod coordinates;
mod events;
mod failure;
mod found;
mod hostile;
mod keyring;
mod lab;
mod limit;
mod membership;
mod order;
mod queries;
mod reconfigure;
mod restart;
mod rtt;
mod trouble;

use std::time::Duration;

use gossip_core::Config;
use gossip_sim::{Journal, NodeId, StartOptions};

/// Short addresses, so that a host, its address and its number in a story are one; and everything is written down.
type Cluster = gossip_sim::Cluster<u16, Journal<u16>>;

/// Nodes 1..=`size` that all joined through node 1, run until everybody knows everybody.
fn converged(seed: u64, config: &Config, size: NodeId) -> Cluster {
    let mut cluster = Cluster::new(seed, Journal::default());
    cluster.start_and_join(config, 1..size + 1);
    let took = cluster.run_until(Duration::from_secs(60), Cluster::is_complete);
    assert!(took.is_some(), "{size} nodes did not find together: {:?}", cluster.sizes());
    cluster
}

/// Nodes 1..=`size` that know each other from birth.
fn with_view(seed: u64, config: &Config, size: NodeId) -> Cluster {
    let mut cluster = Cluster::new(seed, Journal::default());
    cluster.start_with_view(config, 1..size + 1);
    cluster
}

/// Starts a node that joins through others.
fn newcomer(cluster: &mut Cluster, id: NodeId, config: &Config, seeds: &[NodeId]) {
    cluster.start_at(id, config, &StartOptions::default());
    cluster.join(id, seeds);
}
