//! For drivers of many nodes: a node has grown cold when its turn comes, and waits for memory a dozen times on its way through
//! an input. Reads that do not wait for each other are served side by side, and for several nodes at once.

use core::hint::black_box;

use super::Node;
use crate::address::Address;
use crate::members::SELF;
use crate::timer::Timer;

impl<A: Address> Node<A> {
    /// Reads of the node itself what the next input will need, and changes nothing. The driver of many nodes calls this for the
    /// next few, then [`warm_beyond`](Self::warm_beyond) for each, then handles their inputs.
    #[inline]
    pub fn warm(&self) {
        let words = [
            self.next_sequence,
            self.heard.as_nanos(),
            self.counters.datagrams_accepted,
            self.counters.probes,
            u64::from(self.last_relay),
            u64::from(self.forwards),
        ];
        let lengths = [
            self.seeds.len(),
            usize::from(self.updates.is_empty()),
            self.tombstones.len(),
            self.relays.len(),
            self.suspicions.len(),
            self.suspicion_deadlines.len(),
            self.outgoing.len(),
            self.events.len(),
            self.drawn.len(),
            self.fresh.len(),
        ];
        let flags = [
            self.probe.is_some(),
            self.queries.is_some(),
            self.coordinates.is_some(),
            self.unanswered,
            self.timers.is_set(Timer::Gossip),
        ];
        black_box((words, lengths, flags, self.members.warmth()));
    }

    /// Reads what the node refers to.
    #[inline]
    pub fn warm_beyond(&self) {
        black_box((self.members.entry(SELF).incarnation, self.members.peers().len(), self.rumors.next_expiry()));
    }
}

#[cfg(test)]
mod tests {
    use core::mem::size_of;

    use super::*;

    #[test]
    fn a_node_is_not_much_longer_than_what_is_warmed() {
        // A read for each line of memory: when the node grows, `warm` has to grow with it.
        const READS: usize = 6 + 10 + 5 + 8;
        assert!(size_of::<Node<core::net::SocketAddr>>().div_ceil(64) <= READS);
    }
}
