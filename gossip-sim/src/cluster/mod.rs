//! A whole cluster in virtual time, and the vocabulary to speak of it.
//!
//! Every host runs a real [`Node`]; what it sends is what it would send, byte for byte, and passes its fault models, the network
//! and the fault models of the receiver. One queue holds everything that is to happen. The run is a function of the seed and of
//! the calls, on every machine.
//!
//! # How to drive it
//! ```
//! use std::net::SocketAddr;
//! use std::time::Duration;
//! use gossip_core::{Command, Config};
//! use gossip_sim::{Action, Cluster, Journal, Latency, Network, Restart, StartOptions};
//!
//! // Eight nodes that joined through the first, observed by somebody who writes everything down.
//! let mut cluster = Cluster::<SocketAddr, _>::converged(1, &Config::lan(), 8, Journal::default());
//! cluster.set_network(Network {
//!     loss: 0.1,
//!     ..Network::with_latency(Latency::Uniform { min: Duration::from_millis(1), max: Duration::from_millis(20) })
//! });
//!
//! // Half of them cannot hear the others, for ten seconds.
//! cluster.block(&[0, 1, 2, 3], &[4, 5, 6, 7]);
//! cluster.at(cluster.now() + Duration::from_secs(10), Action::UnblockAll);
//! let event = cluster.start_event(0, b"to all");
//! cluster.run_for(Duration::from_secs(5));
//! assert_eq!(cluster.informed(event), 4);
//! let took = cluster.run_until(Duration::from_secs(60), |cluster| cluster.informed(event) == 8);
//! assert!(took.is_some_and(|took| took > Duration::from_secs(5)));
//!
//! // One crashes and comes back as another stops for a while.
//! cluster.crash(3);
//! cluster.pause(5, Duration::from_secs(1));
//! cluster.run_for(Duration::from_secs(10));
//! assert!(cluster.observer().of(0).changes.iter().any(|(_, addr, _)| addr.port() == 7400));
//! cluster.restart(3, &Restart::FromSnapshot).expect("its own snapshot");
//! assert!(cluster.run_until(Duration::from_secs(60), Cluster::is_complete).is_some());
//!
//! // A newcomer whose clock is 50 ppm too fast.
//! let id = cluster.start(&Config::lan(), &StartOptions { drift_ppm: 50, ..StartOptions::default() });
//! cluster.join(id, &[0]);
//! assert!(cluster.run_until(Duration::from_secs(10), Cluster::is_complete).is_some());
//! cluster.command(id, Command::Leave).expect("it is a member");
//! ```
//!
//! # Randomness
//! Every node has a seed of its own (`node/ID/LIFE` below the master seed), every link and purpose a stream of its own (see
//! [`network`](crate::network)), and so have starvation, churn and traffic. One draw more somewhere moves no other.
//!
//! # What it is not
//! There is no processor time: a node needs none to handle an input, unless it is [slowed down](Cluster::slow_down). There is no
//! bandwidth.

mod action;
mod ahead;
mod churn;
mod expect;
mod memory;
mod run;
mod start;
#[cfg(test)]
mod tests;
mod traffic;
mod trouble;
mod windows;
mod wire;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gossip_core::{Config, Instant, Node};

pub use action::Action;
pub use churn::Churn;
pub use expect::Host;
pub use traffic::Traffic;

use crate::addresses::{Addresses, NodeId};
use crate::host::{Birth, Clock, Hot, LEFT, Trouble, UP};
use crate::network::{Blocks, Cause, Flights, Latency, Network, Seeds};
use crate::observe::Observer;
use crate::queue::{Queue, Wheel};

/// Bytes that a node is offered for a datagram, unless [`Cluster::set_buffer`] says otherwise.
const BUFFER: usize = 1 << 16;

/// What happened so far, of all hosts together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Datagrams that nodes sent.
    pub datagrams: u64,
    /// Their bytes, without any headers of a network.
    pub bytes: u64,
    /// Length of the longest.
    pub largest: usize,
    /// Datagrams that were given to a node.
    pub delivered: u64,
    /// Those of them that the node refused.
    pub refused: u64,
    /// Copies that the network made.
    pub duplicated: u64,
    /// Datagrams that did not arrive, by [`Cause`].
    pub dropped: [u64; Cause::COUNT],
    /// Times that a node was served because its time had come.
    pub timeouts: u64,
    /// Everything that happened, what was outdated included.
    pub happenings: u64,
}

impl Stats {
    /// Datagrams that did not arrive for a reason.
    #[must_use]
    pub fn dropped_by(&self, cause: Cause) -> u64 {
        self.dropped[cause as usize]
    }
}

/// Hosts, a network between them, and virtual time. See the [module](self) for how to drive it.
#[derive(Debug)]
pub struct Cluster<A: Addresses = SocketAddr, O = (), Q = Wheel> {
    now: u64,
    seed: u64,
    queue: Q,

    hot: Vec<Hot>,
    /// At which addresses there ever was a host, a bit for each: so dense that it is always at hand.
    there: Vec<u64>,
    nodes: Vec<Option<Node<A>>>,
    clocks: Vec<Clock>,
    troubles: Vec<Option<Box<Trouble>>>,
    births: Vec<Option<Box<Birth>>>,
    /// With what the last host was started.
    last_config: Option<Arc<Config>>,
    /// The number behind the last host that was started.
    started: NodeId,
    /// What applications answer to every query at once.
    answers: BTreeMap<NodeId, Box<[u8]>>,
    /// For an address that two hosts have, the other host, and whose turn it is.
    twins: BTreeMap<NodeId, (NodeId, bool)>,

    network: Network,
    seeds: Seeds,
    starvation_seed: u64,
    blocks: Blocks,
    flights: Flights,
    buffer: Box<[u8]>,
    actions: action::Actions,
    traffic: Option<traffic::Running>,
    /// How many loads and churns there were.
    loads: u32,
    churns: u32,
    ahead: ahead::Ahead,
    windows: windows::Windows<A>,

    stats: Stats,
    observer: O,
}

impl<A: Addresses, O: Observer<A>, Q: Queue> Cluster<A, O, Q> {
    /// A cluster of nobody, at time zero.
    #[must_use]
    pub fn new(seed: u64, observer: O) -> Self {
        Self {
            now: 0,
            seed,
            queue: Q::default(),
            hot: Vec::new(),
            there: Vec::new(),
            nodes: Vec::new(),
            clocks: Vec::new(),
            troubles: Vec::new(),
            births: Vec::new(),
            last_config: None,
            started: 0,
            answers: BTreeMap::new(),
            twins: BTreeMap::new(),
            network: Network::default(),
            seeds: Seeds::new(seed),
            starvation_seed: netem::seed::child(seed, "starvation"),
            blocks: Blocks::default(),
            flights: Flights::new(),
            buffer: vec![0; BUFFER].into(),
            actions: action::Actions::default(),
            traffic: None,
            loads: 0,
            churns: 0,
            ahead: ahead::Ahead::new(),
            windows: windows::Windows::new(),
            stats: Stats::default(),
            observer,
        }
    }

    /// Virtual time since the beginning.
    #[must_use]
    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.now)
    }

    /// What the clock of a host says now: the time that its node is given.
    #[must_use]
    pub fn clock(&self, id: NodeId) -> Instant {
        self.clocks[id as usize].at(self.now)
    }

    /// The node of a host, as it was when it crashed if it is not up.
    ///
    /// # Panics
    /// If none was ever started there, or it was removed.
    #[must_use]
    pub fn node(&self, id: NodeId) -> &Node<A> {
        self.get(id).expect("a host of the cluster")
    }

    /// The node of a host, if there is one.
    #[must_use]
    pub fn get(&self, id: NodeId) -> Option<&Node<A>> {
        self.nodes.get(id as usize)?.as_ref()
    }

    /// All hosts on which a node is or was.
    pub fn ids(&self) -> impl Iterator<Item = NodeId> + '_ {
        (0..).zip(&self.nodes).filter(|(_, node)| node.is_some()).map(|(id, _)| id)
    }

    /// The hosts that are up, those whose node has left included.
    pub fn ids_up(&self) -> impl Iterator<Item = NodeId> + '_ {
        (0..).zip(&self.hot).filter(|(_, hot)| hot.has(UP)).map(|(id, _)| id)
    }

    /// The hosts that are up and whose node has not left.
    pub fn live(&self) -> impl Iterator<Item = NodeId> + '_ {
        (0..).zip(&self.hot).filter(|(_, hot)| hot.has(UP) && !hot.has(LEFT)).map(|(id, _)| id)
    }

    /// Whether a host runs.
    #[must_use]
    pub fn is_up(&self, id: NodeId) -> bool {
        self.hot.get(id as usize).is_some_and(|hot| hot.has(UP))
    }

    /// Whether the node of a host has left and not come back.
    #[must_use]
    pub fn has_left(&self, id: NodeId) -> bool {
        self.hot.get(id as usize).is_some_and(|hot| hot.has(LEFT))
    }

    /// Who watches.
    #[must_use]
    pub fn observer(&self) -> &O {
        &self.observer
    }

    /// Who watches, to be changed.
    pub fn observer_mut(&mut self) -> &mut O {
        &mut self.observer
    }

    /// Ends the run; what is left is who watched.
    #[must_use]
    pub fn into_observer(self) -> O {
        self.observer
    }

    /// What happened so far.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Counts from zero again.
    pub fn clear_stats(&mut self) {
        self.stats = Stats::default();
    }

    /// What the fault models of a host did, if it ever had any.
    #[must_use]
    pub fn fault_counts(&self, id: NodeId) -> Option<&netem::Counts> {
        Some(self.troubles[id as usize].as_ref()?.netem.as_ref()?.counts())
    }

    /// Things that are to happen.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.queue.len()
    }

    /// Datagrams under way, those that wait at a host included.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.flights.len()
    }

    /// The network, as it is now.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// From now on the network is like this. What is under way already stays as it was.
    ///
    /// # Panics
    /// For a loss, a share of duplicates or of damage that is no probability.
    pub fn set_network(&mut self, network: Network) {
        let is_probability = |p: f64| (0.0..=1.0).contains(&p);
        let shares = [network.loss, network.duplicate, network.corrupt, network.truncate];
        assert!(shares.into_iter().all(is_probability), "not probabilities: {network:?}");
        self.network = network;
    }

    /// From now on a datagram is lost with this probability, and the rest of the network is as it was.
    ///
    /// # Panics
    /// As [`set_network`](Self::set_network).
    pub fn set_loss(&mut self, loss: f64) {
        self.set_network(Network { loss, ..self.network.clone() });
    }

    /// From now on a datagram takes so long, and the rest of the network is as it was.
    pub fn set_latency(&mut self, latency: Latency) {
        self.network.latency = latency;
    }

    /// From now on nodes are offered so many bytes for a datagram.
    pub fn set_buffer(&mut self, len: usize) {
        self.buffer = vec![0; len].into();
    }

    /// From now on the application of a host answers every query at once, or no longer.
    pub fn set_answer(&mut self, id: NodeId, answer: Option<&[u8]>) {
        match answer {
            Some(answer) => drop(self.answers.insert(id, answer.into())),
            None => drop(self.answers.remove(&id)),
        }
    }

    fn tell(&mut self, id: NodeId, lifecycle: crate::observe::Lifecycle) {
        let now = Duration::from_nanos(self.now);
        self.observer.on_lifecycle(now, id, lifecycle);
    }
}

/// Nanoseconds; a span beyond 584 years is cut to that.
#[inline]
pub(crate) fn nanos(span: Duration) -> u64 {
    span.as_secs().saturating_mul(1_000_000_000).saturating_add(span.subsec_nanos().into())
}
