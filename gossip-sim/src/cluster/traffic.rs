//! The load of applications: every node sends a message to a random other one at even intervals.

use std::time::Duration;

use gossip_core::{Command, Input};

use super::run::Happening;
use super::{Cluster, nanos};
use crate::addresses::{Addresses, NodeId};
use crate::host::{LEFT, UP};
use crate::network::mix;
use crate::observe::Observer;
use crate::queue::Queue;

/// Messages that applications send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traffic {
    /// Time between two of one node; each node has a phase of its own.
    pub every: Duration,
    /// Length of each, bytes.
    pub len: usize,
}

#[derive(Debug)]
pub(super) struct Running {
    every: u64,
    payload: Box<[u8]>,
    seed: u64,
    hosts: u32,
}

impl Running {
    /// To whom a host sends at a time, if there is anybody else.
    #[inline]
    pub(super) fn target(&self, id: NodeId, at: u64) -> Option<NodeId> {
        let others = self.hosts.checked_sub(1).filter(|&others| others > 0)?;
        let word = mix(mix(self.seed.wrapping_add(at)) ^ u64::from(id));
        let other = ((u128::from(word) * u128::from(others)) >> 64) as u32;
        Some(other + u32::from(other >= id))
    }
}

impl<A: Addresses, O: Observer<A>, Q: Queue> Cluster<A, O, Q> {
    /// From now on all hosts that there are now send messages, each to one of the others at random. What a node refuses to send
    /// (to somebody whom it does not know, for instance) is not sent. Another call replaces the load, `None` ends it.
    ///
    /// # Panics
    /// For an interval of zero.
    pub fn set_traffic(&mut self, traffic: Option<Traffic>) {
        self.loads += 1;
        self.traffic = None;
        let Some(Traffic { every, len }) = traffic else { return };
        assert!(!every.is_zero(), "an interval of zero");
        let running = Running {
            every: nanos(every),
            payload: vec![7; len].into(),
            seed: netem::seed::child(self.seed, "traffic"),
            hosts: self.started,
        };
        let load = self.loads;
        for id in 0..running.hosts {
            let phase = mix(running.seed ^ u64::from(id)) % running.every;
            self.push(self.now + phase, Happening::Traffic { id, load });
        }
        self.traffic = Some(running);
    }

    pub(super) fn on_traffic(&mut self, id: NodeId, load: u32) {
        // That of an earlier load is outdated.
        let Some(running) = self.traffic.as_ref().filter(|_| load == self.loads) else { return };
        let next = self.now + running.every;
        let target = running.target(id, self.now).filter(|_| self.hot[id as usize].flags & (UP | LEFT) == UP);
        if let Some(target) = target {
            let input = Input::Command(Command::Send { to: A::of(target), payload: &running.payload });
            let local = self.local_now(id);
            self.observer.on_input(Duration::from_nanos(self.now), local, id, &input);
            let node = self.nodes[id as usize].as_mut().expect("a host that is up");
            if node.handle(local, input).is_ok() {
                self.drain(id);
            }
        }
        self.push(next, Happening::Traffic { id, load });
    }
}
