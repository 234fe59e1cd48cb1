//! A cluster of the simulator, watched for what the tables tell: deaths, and who got which event when.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use gossip_core::{Config, Event, EventId, MemberState};
use gossip_sim::{Action, Addresses as _, Cluster, Lifecycle, NodeId, Observer, StartOptions};

/// A cluster that is watched. One-way latency 1 ms, unless somebody changes that.
pub type Watched = Cluster<SocketAddr, Watch>;

/// `size` nodes that join through node 0, evenly spread over one second.
#[must_use]
pub fn joining(size: u32, seed: u64, config: &Config) -> Watched {
    let mut cluster = Watched::new(seed, Watch::default());
    for id in 0..size {
        cluster.start_at(id, config, &StartOptions::default());
        let at = Duration::from_nanos(u64::from(id) * 1_000_000_000 / u64::from(size));
        cluster.at(at, Action::Join { id, seeds: vec![0] });
    }
    cluster
}

/// A cluster in which all know all.
///
/// # Panics
/// If they did not find together within five minutes.
#[must_use]
pub fn converged(size: u32, seed: u64, config: &Config) -> Watched {
    let mut cluster = joining(size, seed, config);
    cluster.run_until(Duration::from_secs(300), Watched::is_full).expect("all find together");
    cluster.run_for(Duration::from_secs(5));
    cluster
}

/// A member that somebody declared dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Death {
    /// When.
    pub at: Duration,
    /// Who learnt or decided it.
    pub by: NodeId,
    /// Of whom.
    pub of: NodeId,
    /// Whether that member had crashed.
    pub is_true: bool,
}

/// What became of an event.
#[derive(Debug, Clone, Default)]
struct Deliveries {
    /// How often it was handed to the application of each node that got it.
    times: BTreeMap<NodeId, u32>,
    /// When the last of these got it.
    last: Duration,
}

/// What happened.
#[derive(Debug, Clone, Default)]
pub struct Watch {
    /// Every death as each node learnt it, in the order of time.
    pub deaths: Vec<Death>,
    crashed: BTreeSet<NodeId>,
    events: BTreeMap<EventId<SocketAddr>, Deliveries>,
}

impl Watch {
    /// Deaths declared of nodes that had not crashed.
    #[must_use]
    pub fn false_deaths(&self) -> usize {
        self.deaths.iter().filter(|death| !death.is_true).count()
    }

    /// When a member's death was learnt, by each of the nodes in the order of learning.
    pub fn deaths_of(&self, id: NodeId) -> impl Iterator<Item = Death> + '_ {
        self.deaths.iter().copied().filter(move |death| death.of == id && death.is_true)
    }

    /// How many nodes were told of an event by others.
    #[must_use]
    pub fn delivered(&self, id: EventId<SocketAddr>) -> u32 {
        self.events.get(&id).map_or(0, |event| event.times.len() as u32)
    }

    /// How many deliveries of an event were not the first to their node.
    #[must_use]
    pub fn repeated(&self, id: EventId<SocketAddr>) -> u32 {
        self.events.get(&id).map_or(0, |event| event.times.values().map(|times| times - 1).sum())
    }

    /// When the last of the nodes got an event that have it.
    #[must_use]
    pub fn last_delivery(&self, id: EventId<SocketAddr>) -> Option<Duration> {
        self.events.get(&id).map(|event| event.last)
    }
}

impl Observer<SocketAddr> for Watch {
    fn on_event(&mut self, now: Duration, node: NodeId, event: &Event<SocketAddr>) {
        match event {
            Event::UserEvent { id, .. } => {
                let event = self.events.entry(*id).or_default();
                let times = event.times.entry(node).or_default();
                *times += 1;
                if *times == 1 {
                    event.last = now;
                }
            }
            Event::MemberChanged { addr, state: MemberState::Dead, .. } => {
                let of = addr.id().expect("all members are hosts");
                self.deaths.push(Death { at: now, by: node, of, is_true: self.crashed.contains(&of) });
            }
            _ => {}
        }
    }

    fn on_lifecycle(&mut self, _: Duration, node: NodeId, lifecycle: Lifecycle) {
        match lifecycle {
            Lifecycle::Crashed => _ = self.crashed.insert(node),
            Lifecycle::Restarted => _ = self.crashed.remove(&node),
            _ => {}
        }
    }
}
