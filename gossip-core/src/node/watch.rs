//! What failure detection keeps an eye on: what it will come back to, each at its time, and whether this node was stalled. In a healthy
//! cluster nothing.

use alloc::collections::{BinaryHeap, VecDeque};
use alloc::vec::Vec;
use core::cmp::Reverse;

use crate::address::Address;
use crate::members::Slot;
use crate::probe::Relay;
use crate::rare::Empty;
use crate::time::Instant;

#[derive(Debug)]
pub(super) struct Watch<A> {
    pub(super) relays: Vec<Relay<A>>,
    /// When to look at a suspicion. An entry may be outdated: the suspicion itself knows its deadline.
    pub(super) suspicion_deadlines: BinaryHeap<Reverse<(Instant, Slot)>>,
    /// The dead and the departed, in the order of their going: when to forget which incarnation of whom.
    pub(super) tombstones: VecDeque<(Instant, Slot, u32)>,
    /// After a stall: since when what is heard now may have lain unread, and when that was found.
    unread: Option<(Instant, Instant)>,
}

impl<A: Address> Watch<A> {
    /// When there is something to do.
    pub(super) fn next(&self) -> Option<Instant> {
        let suspicion = self.suspicion_deadlines.peek().map(|Reverse((deadline, _))| *deadline);
        let tombstone = self.tombstones.front().map(|&(forget, ..)| forget);
        self.relays.iter().map(Relay::deadline).chain(suspicion).chain(tombstone).min()
    }

    /// Since when what is heard may have lain unread, if it may.
    pub(super) fn unread_since(&self) -> Option<Instant> {
        self.unread.map(|(since, _)| since)
    }

    /// From now on what is heard may have come at any time since then. A copy that lay unread for long is older than it says:
    /// taken for young it would be told to all, who have forgotten it; taken for too old it comes again, from somebody who knows
    /// its age, if it is alive.
    pub(super) fn lies_unread_since(&mut self, since: Instant, now: Instant) {
        self.unread = Some((self.unread.map_or(since, |(earlier, _)| earlier), now));
    }

    /// From now on what is heard has just come, unless it is read at the very instant at which the stall was found.
    pub(super) fn is_read(&mut self, now: Instant) {
        self.unread = self.unread.filter(|(_, found)| *found >= now);
    }

    pub(super) fn shrink(&mut self) {
        self.relays.shrink_to_fit();
        self.suspicion_deadlines.shrink_to_fit();
        self.tombstones.shrink_to_fit();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.relays.is_empty()
            && self.suspicion_deadlines.is_empty()
            && self.tombstones.is_empty()
            && self.unread.is_none()
    }

    const fn new() -> Self {
        Self { relays: Vec::new(), suspicion_deadlines: BinaryHeap::new(), tombstones: VecDeque::new(), unread: None }
    }
}

impl<A: Address> Empty for Watch<A> {
    const EMPTY: &'static Self = &Self::new();

    fn empty() -> Self {
        Self::new()
    }
}
