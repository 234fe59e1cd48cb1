//! Identities of events that were heard, remembered for a while.

use alloc::collections::VecDeque;
use core::hash::Hash;

use foldhash::fast::FixedState;
use hashbrown::HashSet;

use super::EventId;
use crate::time::Instant;

#[derive(Debug)]
pub(super) struct Seen<A> {
    ids: HashSet<EventId<A>, FixedState>,
    /// In the order of hearing, which is the order of forgetting as long as the lifetime is not changed.
    order: VecDeque<(Instant, EventId<A>)>,
}

impl<A: Copy + Eq + Hash> Seen<A> {
    pub(super) fn new(hasher: FixedState) -> Self {
        Self { ids: HashSet::with_hasher(hasher), order: VecDeque::new() }
    }

    pub(super) fn contains(&self, id: &EventId<A>) -> bool {
        self.ids.contains(id)
    }

    pub(super) fn insert(&mut self, id: EventId<A>, forget: Instant) {
        if self.ids.insert(id) {
            self.order.push_back((forget, id));
        }
    }

    /// Forgets the oldest beyond `max`; how many.
    pub(super) fn shrink(&mut self, max: usize) -> u64 {
        let mut forgotten = 0;
        while self.order.len() > max {
            self.forget_front();
            forgotten += 1;
        }
        forgotten
    }

    pub(super) fn expire(&mut self, now: Instant) {
        while self.order.front().is_some_and(|(forget, _)| *forget <= now) {
            self.forget_front();
        }
    }

    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.order.front().map(|&(forget, _)| forget)
    }

    fn forget_front(&mut self) {
        if let Some((_, id)) = self.order.pop_front() {
            self.ids.remove(&id);
        }
    }
}
