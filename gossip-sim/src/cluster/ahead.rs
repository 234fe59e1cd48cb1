//! What comes next is known: what it will need of memory is fetched before, while others have their turn.
//!
//! A cluster of many is cold when a node's turn comes, and handling an input is a chain of reads that wait for each other. Each
//! happening passes this, a step with every other that happens:
//! ```text
//!   scouted     FIRST before its turn    the node itself is fetched, and the datagram
//!               SECOND before its turn   these are there: what they refer to is fetched, and what is known of the peer
//! ```
//! It changes how long a run takes and nothing else.

use gossip_core::Node;

use super::Cluster;
use super::run::Happening;
use crate::addresses::Addresses;
use crate::observe::Observer;
use crate::prefetch;
use crate::queue::{Entry, Queue};

/// How many happenings before its turn a node is fetched, and what it refers to.
const FIRST: usize = 24;
const SECOND: usize = 10;

/// Room for those that were scouted.
const RING: usize = 64;

/// The happenings that were scouted and had not their turn yet. Counts go on for ever; the places are used again.
#[derive(Debug)]
pub(super) struct Ahead {
    ring: [Entry; RING],
    /// Those that had their turn,
    over: usize,
    /// those for which everything was done,
    second: usize,
    /// and all.
    scouted: usize,
    is_on: bool,
}

impl Ahead {
    pub(super) fn new() -> Self {
        Self { ring: [Entry { at: 0, what: 0 }; RING], over: 0, second: 0, scouted: 0, is_on: true }
    }

    /// Somebody has his turn.
    #[inline]
    fn take(&mut self, entry: Entry) {
        while self.over < self.scouted {
            let front = self.ring[self.over % RING];
            // What came in between was not scouted; what was passed over has had its turn.
            if front != entry && front.at >= entry.at {
                break;
            }
            self.over += 1;
            if front == entry {
                break;
            }
        }
        self.second = self.second.max(self.over);
    }
}

impl<A: Addresses, O: Observer<A>, Q: Queue> Cluster<A, O, Q> {
    /// Whether what the next happenings need is fetched before they come, as it is unless this says otherwise. It changes how long
    /// a run takes and nothing else.
    pub fn set_look_ahead(&mut self, on: bool) {
        self.ahead = Ahead { is_on: on, ..Ahead::new() };
    }

    /// Takes a step with those that come after `entry`, whose turn it is.
    #[inline]
    pub(super) fn look_ahead(&mut self, entry: Entry) {
        if !self.ahead.is_on {
            return;
        }
        self.ahead.take(entry);
        // Two, until there are enough.
        for _ in 0..2 {
            if self.ahead.scouted - self.ahead.over >= FIRST {
                break;
            }
            let Some(entry) = self.queue.scout() else { break };
            self.ahead.ring[self.ahead.scouted % RING] = entry;
            self.ahead.scouted += 1;
            self.fetch(Happening::unpack(entry.what));
        }
        for _ in 0..2 {
            if self.ahead.second - self.ahead.over >= SECOND || self.ahead.second == self.ahead.scouted {
                break;
            }
            let entry = self.ahead.ring[self.ahead.second % RING];
            self.ahead.second += 1;
            self.fetch_beyond(Happening::unpack(entry.what), entry.at);
        }
    }

    /// Has a node fetched, and what comes to it.
    #[inline]
    fn fetch(&self, happening: Happening) {
        let (id, len) = match happening {
            Happening::Arrival { to, flight } | Happening::Release { to, flight } => {
                self.flights.fetch(flight);
                (to, Node::<A>::FRONT_LEN)
            }
            Happening::Traffic { id, .. } => (id, Node::<A>::FRONT_LEN),
            Happening::Timer { id } => (id, usize::MAX),
            Happening::Wake { .. } | Happening::FaultEnd { .. } | Happening::Act { .. } => return,
        };
        if let (Some(hot), Some(node)) = (self.hot.get(id as usize), self.nodes.get(id as usize)) {
            prefetch::front(hot, 1);
            prefetch::front(node, len);
        }
    }

    /// Has fetched what a node refers to, and what it will look for.
    #[inline]
    fn fetch_beyond(&self, happening: Happening, at: u64) {
        let (id, peer) = match happening {
            Happening::Arrival { to, flight } | Happening::Release { to, flight } => (to, Some(self.flights.get(flight).0)),
            Happening::Traffic { id, .. } => (id, self.traffic.as_ref().and_then(|traffic| traffic.target(id, at))),
            Happening::Timer { id } => (id, None),
            Happening::Wake { .. } | Happening::FaultEnd { .. } | Happening::Act { .. } => return,
        };
        let Some(node) = self.get(id) else { return };
        node.lines_beyond(&mut prefetch::line);
        if let Some(peer) = peer {
            node.lines_of(&A::of(peer), &mut prefetch::line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(at: u64) -> Entry {
        Entry { at, what: at }
    }

    #[test]
    fn what_had_its_turn_goes_and_what_came_in_between_changes_nothing() {
        let mut ahead = Ahead::new();
        for at in [10, 20, 30, 40] {
            ahead.ring[ahead.scouted % RING] = entry(at);
            ahead.scouted += 1;
        }
        ahead.take(entry(5));
        assert_eq!((ahead.over, ahead.second), (0, 0));
        ahead.take(entry(10));
        assert_eq!((ahead.over, ahead.second), (1, 1));
        ahead.take(entry(30));
        assert_eq!((ahead.over, ahead.second), (3, 3));
        ahead.take(entry(99));
        assert_eq!((ahead.over, ahead.second), (4, 4));
    }
}
