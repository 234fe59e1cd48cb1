//! Identities of events that were heard, remembered for a while.
//!
//! At the bound identities are forgotten while copies of their events still travel. Such a copy must not count as new: it
//! would be told to all, who have forgotten it too, and would go round until the end of its lifetime. So what is not younger
//! than the youngest event that was forgotten early is not new, known or not.

use alloc::collections::VecDeque;
use core::hash::Hash;
use core::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::HashSet;

use super::EventId;
use crate::time::Instant;

#[derive(Debug)]
pub(super) struct Seen<A> {
    ids: HashSet<EventId<A>, FixedState>,
    /// In the order of hearing, which is the order of forgetting as long as the lifetime is not changed.
    order: VecDeque<Entry<A>>,
    /// The start of the youngest event that was forgotten early.
    horizon: Option<Instant>,
}

#[derive(Debug)]
struct Entry<A> {
    forget: Instant,
    id: EventId<A>,
    /// When the event started, as far as its age told.
    started: Instant,
}

impl<A: Copy + Eq + Hash> Seen<A> {
    pub(super) fn new(hasher: FixedState) -> Self {
        Self { ids: HashSet::with_hasher(hasher), order: VecDeque::new(), horizon: None }
    }

    pub(super) fn contains(&self, id: &EventId<A>) -> bool {
        self.ids.contains(id)
    }

    /// Whether an event that started then, and is not remembered, may be one that was forgotten early. `margin` is for what
    /// ages do not count.
    pub(super) fn may_have_forgotten(&self, started: Instant, margin: Duration) -> bool {
        self.horizon.is_some_and(|horizon| started <= horizon + margin)
    }

    pub(super) fn insert(&mut self, id: EventId<A>, started: Instant, forget: Instant) {
        if self.ids.insert(id) {
            self.order.push_back(Entry { forget, id, started });
        }
    }

    /// Forgets the oldest beyond `max`; how many.
    pub(super) fn shrink(&mut self, max: usize) -> u64 {
        let mut forgotten = 0;
        while self.order.len() > max {
            self.horizon = self.horizon.max(self.forget_front());
            forgotten += 1;
        }
        forgotten
    }

    pub(super) fn expire(&mut self, now: Instant) {
        while self.order.front().is_some_and(|entry| entry.forget <= now) {
            self.forget_front();
        }
    }

    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.order.front().map(|entry| entry.forget)
    }

    /// When the forgotten event started.
    fn forget_front(&mut self) -> Option<Instant> {
        let Entry { id, started, .. } = self.order.pop_front()?;
        self.ids.remove(&id);
        Some(started)
    }
}
