//! What comes next is known: what it will need of memory is fetched before, while others have their turn.
//!
//! A cluster of many is cold when a node's turn comes, and handling an input is a chain of reads that wait for each other. Each
//! happening passes this, a step with every other that happens:
//! ```text
//!   SCOUTED before its turn    the host is fetched, and the datagram
//!   FIRST before its turn      the host says whether its node will be needed: the node is fetched, of it what this input needs
//!   SECOND before its turn     the node is there: where it will look for its peer is fetched
//!   THIRD before its turn      that is there: what it knows of the peer is fetched
//! ```
//! It changes how long a run takes and nothing else.

use std::ops::Range;

use gossip_core::{Need, Node};

use super::Cluster;
use super::run::Happening;
use crate::addresses::{Addresses, NodeId};
use crate::observe::Observer;
use crate::prefetch;
use crate::queue::{Entry, Queue};

/// How many happenings before its turn a host is looked for, its node is fetched, and what that knows of the peer.
const SCOUTED: usize = 32;
const FIRST: usize = 24;
const SECOND: usize = 14;
const THIRD: usize = 7;

/// Fewer hosts are in the caches anyway.
const HOSTS_MIN: usize = 2048;

/// Room for those that were scouted.
const RING: usize = 32;

/// Stands for nobody, and for whom a node will probe.
const NOBODY: NodeId = NodeId::MAX;
const TARGET: NodeId = NodeId::MAX - 1;

/// A happening that was scouted.
#[derive(Debug, Clone, Copy)]
struct Coming {
    entry: Entry,
    /// From the first step on, who sent what comes to a host, or is to be sent what it sends, if that is known.
    peer: NodeId,
}

/// The happenings that were scouted and had not their turn yet. Counts go on for ever; the places are used again.
#[derive(Debug)]
pub(super) struct Ahead {
    ring: [Coming; RING],
    /// Those that had their turn,
    over: usize,
    /// those that took the first step, the second, and the third, or have had their turn anyway,
    steps: [usize; 3],
    /// and all.
    scouted: usize,
    /// Fewer hosts are not looked after.
    least: usize,
}

impl Ahead {
    pub(super) fn new() -> Self {
        let none = Coming { entry: Entry { at: 0, what: 0 }, peer: NOBODY };
        Self { ring: [none; RING], over: 0, steps: [0; 3], scouted: 0, least: HOSTS_MIN }
    }

    #[inline]
    fn put(&mut self, entry: Entry) {
        self.ring[self.scouted % RING] = Coming { entry, peer: NOBODY };
        self.scouted += 1;
    }

    /// Somebody has his turn.
    #[inline]
    fn take(&mut self, entry: Entry) {
        while self.over < self.scouted {
            let front = self.ring[self.over % RING].entry;
            // What came in between was not scouted; what was passed over has had its turn.
            if front != entry && front.at >= entry.at {
                break;
            }
            self.over += 1;
            if front == entry {
                break;
            }
        }
    }

    /// The place of the next one whose step it is, if it is close enough.
    #[inline]
    fn next(&mut self, step: usize, distance: usize) -> Option<usize> {
        let next = self.steps[step].max(self.over);
        if next >= self.scouted.min(self.over + distance) {
            return None;
        }
        self.steps[step] = next + 1;
        Some(next % RING)
    }
}

impl<A: Addresses, O: Observer<A>, Q: Queue> Cluster<A, O, Q> {
    /// Whether what the next happenings need is fetched before they come, as it is unless this says otherwise. It changes how long
    /// a run takes and nothing else.
    pub fn set_look_ahead(&mut self, on: bool) {
        self.look_ahead_from(if on { HOSTS_MIN } else { usize::MAX });
    }

    /// The same, from another number of hosts on.
    pub(crate) fn look_ahead_from(&mut self, least: usize) {
        self.ahead = Ahead { least, ..Ahead::new() };
    }

    /// Takes a step with those that come after `entry`, whose turn it is.
    #[inline]
    pub(super) fn look_ahead(&mut self, entry: Entry) {
        if self.nodes.len() >= self.ahead.least && !self.windows.is_ahead() {
            self.step_ahead(entry);
        }
    }

    #[inline(never)]
    fn step_ahead(&mut self, entry: Entry) {
        self.ahead.take(entry);
        // Two, until there are enough.
        for _ in 0..2 {
            if self.ahead.scouted - self.ahead.over >= SCOUTED {
                break;
            }
            let Some(entry) = self.queue.scout() else { break };
            self.ahead.put(entry);
            self.fetch_host(Happening::unpack(entry.what));
        }
        for _ in 0..2 {
            let Some(place) = self.ahead.next(0, FIRST) else { break };
            let Entry { at, what } = self.ahead.ring[place].entry;
            self.ahead.ring[place].peer = self.fetch(Happening::unpack(what), at);
        }
        for _ in 0..2 {
            let Some(place) = self.ahead.next(1, SECOND) else { break };
            match self.peer(place) {
                Some((node, Some(peer))) => node.lines_of_search(&peer, &mut prefetch::line),
                Some((node, None)) => node.lines_of_draw(&mut prefetch::line),
                None => {}
            }
        }
        for _ in 0..2 {
            let Some(place) = self.ahead.next(2, THIRD) else { break };
            match self.peer(place) {
                Some((node, Some(peer))) => node.lines_of_entry(&peer, &mut prefetch::line),
                Some((node, None)) => node.lines_of_drawn(&mut prefetch::line),
                None => {}
            }
        }
    }

    /// Has fetched what says of a host whether its node is to be looked at, and what comes to it.
    #[inline]
    fn fetch_host(&self, happening: Happening) {
        let id = match happening {
            Happening::Arrival { to, flight } | Happening::Release { to, flight } => {
                self.flights.fetch(flight);
                to
            }
            Happening::Timer { id } | Happening::Traffic { id, .. } => id,
            Happening::Wake { .. } | Happening::FaultEnd { .. } | Happening::Act { .. } => return,
        };
        if let Some(hot) = self.hot.get(id as usize) {
            prefetch::bytes(hot, 0..1);
        }
    }

    /// Has a node fetched: what of it will be needed, and nothing for a timer that is outdated or too early. Tells its peer.
    #[inline]
    fn fetch(&self, happening: Happening, at: u64) -> NodeId {
        match happening {
            Happening::Arrival { to, flight } | Happening::Release { to, flight } => {
                self.fetch_node(to, const { Node::<A>::bytes_for(Need::Datagram) });
                self.flights.sender(flight)
            }
            Happening::Traffic { id, .. } => {
                self.fetch_node(id, const { Node::<A>::bytes_for(Need::Command) });
                self.traffic.as_ref().and_then(|running| running.target(id, at)).unwrap_or(NOBODY)
            }
            Happening::Timer { id } => {
                if self.hot.get(id as usize).is_some_and(|hot| hot.scheduled == at && hot.due <= at) {
                    self.fetch_node(id, const { Node::<A>::bytes_for(Need::Timeout) });
                    return TARGET;
                }
                NOBODY
            }
            Happening::Wake { .. } | Happening::FaultEnd { .. } | Happening::Act { .. } => NOBODY,
        }
    }

    /// The ranges are known to the compiler, which makes a row of instructions of them.
    #[inline(always)]
    fn fetch_node<const N: usize>(&self, id: NodeId, ranges: [Range<usize>; N]) {
        if let Some(node) = self.nodes.get(id as usize) {
            ranges.into_iter().for_each(|bytes| prefetch::bytes(node, bytes));
        }
    }

    /// The node that will be needed by what is at a place of the ring, and its peer; without one if that will be whom it probes.
    #[inline]
    fn peer(&self, place: usize) -> Option<(&Node<A>, Option<A>)> {
        let Coming { entry, peer } = self.ahead.ring[place];
        if peer == NOBODY {
            return None;
        }
        Some((self.get(Happening::host(entry.what))?, (peer != TARGET).then(|| A::of(peer))))
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
            ahead.put(entry(at));
        }
        let step = |ahead: &mut Ahead| ahead.next(0, 2);
        ahead.take(entry(5));
        assert_eq!((ahead.over, step(&mut ahead), step(&mut ahead), step(&mut ahead)), (0, Some(0), Some(1), None));
        ahead.take(entry(10));
        assert_eq!((ahead.over, step(&mut ahead), step(&mut ahead)), (1, Some(2), None));
        ahead.take(entry(30));
        assert_eq!((ahead.over, step(&mut ahead), step(&mut ahead)), (3, Some(3), None));
        ahead.take(entry(99));
        assert_eq!((ahead.over, step(&mut ahead)), (4, None));
        ahead.put(entry(100));
        assert_eq!((step(&mut ahead), ahead.next(1, 1)), (Some(4), Some(4)));
    }
}
