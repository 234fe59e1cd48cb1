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

/// The happenings that were scouted and had not their turn yet. Counts go on for ever; the places are used again.
#[derive(Debug)]
pub(super) struct Ahead {
    ring: [Entry; RING],
    /// Those that had their turn,
    over: usize,
    /// those that took the first step, the second, and the third,
    steps: [usize; 3],
    /// and all.
    scouted: usize,
    /// Fewer hosts are not looked after.
    least: usize,
}

impl Ahead {
    pub(super) fn new() -> Self {
        Self { ring: [Entry { at: 0, what: 0 }; RING], over: 0, steps: [0; 3], scouted: 0, least: HOSTS_MIN }
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
        self.steps = self.steps.map(|step| step.max(self.over));
    }

    /// The next one whose step it is, if it is close enough.
    #[inline]
    fn next(&mut self, step: usize, distance: usize) -> Option<Entry> {
        let next = self.steps[step];
        if next - self.over >= distance || next == self.scouted {
            return None;
        }
        self.steps[step] += 1;
        Some(self.ring[next % RING])
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
        if self.nodes.len() < self.ahead.least || self.windows.is_ahead() {
            return;
        }
        self.ahead.take(entry);
        // Two, until there are enough.
        for _ in 0..2 {
            if self.ahead.scouted - self.ahead.over >= SCOUTED {
                break;
            }
            let Some(entry) = self.queue.scout() else { break };
            self.ahead.ring[self.ahead.scouted % RING] = entry;
            self.ahead.scouted += 1;
            self.fetch_host(Happening::unpack(entry.what));
        }
        for _ in 0..2 {
            let Some(entry) = self.ahead.next(0, FIRST) else { break };
            self.fetch(Happening::unpack(entry.what), entry.at);
        }
        for _ in 0..2 {
            let Some(entry) = self.ahead.next(1, SECOND) else { break };
            self.fetch_search(Happening::unpack(entry.what), entry.at);
        }
        for _ in 0..2 {
            let Some(entry) = self.ahead.next(2, THIRD) else { break };
            self.fetch_peer(Happening::unpack(entry.what), entry.at);
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

    /// Has a node fetched.
    #[inline]
    fn fetch(&self, happening: Happening, at: u64) {
        let Some((id, need)) = self.needed(happening, at) else { return };
        if let Some(node) = self.nodes.get(id as usize) {
            Node::<A>::bytes_for(need).into_iter().for_each(|bytes| prefetch::bytes(node, bytes));
        }
    }

    /// Has fetched where a node will look for its peer.
    #[inline]
    fn fetch_search(&self, happening: Happening, at: u64) {
        if let Some((node, peer)) = self.peer(happening, at) {
            node.lines_of_search(&peer, &mut prefetch::line);
        }
    }

    /// Has fetched what a node knows of its peer.
    #[inline]
    fn fetch_peer(&self, happening: Happening, at: u64) {
        if let Some((node, peer)) = self.peer(happening, at) {
            node.lines_of_entry(&peer, &mut prefetch::line);
        }
    }

    /// A node, and who sent it what comes, or to whom it will send.
    #[inline]
    fn peer(&self, happening: Happening, at: u64) -> Option<(&Node<A>, A)> {
        let (id, peer) = match happening {
            Happening::Arrival { to, flight } | Happening::Release { to, flight } => (to, self.flights.get(flight).0),
            Happening::Traffic { id, .. } => (id, self.traffic.as_ref()?.target(id, at)?),
            _ => return None,
        };
        Some((self.get(id)?, A::of(peer)))
    }

    /// Whose node will be needed, and for what; nobody's for a timer that is outdated or too early.
    #[inline]
    fn needed(&self, happening: Happening, at: u64) -> Option<(NodeId, Need)> {
        match happening {
            Happening::Arrival { to, .. } | Happening::Release { to, .. } => Some((to, Need::Datagram)),
            Happening::Traffic { id, .. } => Some((id, Need::Command)),
            Happening::Timer { id } => {
                let hot = self.hot.get(id as usize)?;
                (hot.scheduled == at && hot.due <= at).then_some((id, Need::Timeout))
            }
            Happening::Wake { .. } | Happening::FaultEnd { .. } | Happening::Act { .. } => None,
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
        assert_eq!((ahead.over, ahead.steps), (0, [0; 3]));
        ahead.take(entry(10));
        assert_eq!((ahead.over, ahead.steps), (1, [1; 3]));
        ahead.take(entry(30));
        assert_eq!((ahead.over, ahead.steps), (3, [3; 3]));
        ahead.take(entry(99));
        assert_eq!((ahead.over, ahead.steps), (4, [4; 3]));
    }
}
