//! Identities of events that were heard, remembered for a while.
//!
//! At the bound identities are forgotten while copies of their events still travel. Such a copy must not count as new: it
//! would be told to all, who have forgotten it too, and would go round until the end of its lifetime. So what is not younger
//! than the youngest event that was forgotten early is not new, known or not.

#[cfg(test)]
mod model;

use alloc::collections::VecDeque;
use core::hash::Hash;
use core::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};

use super::EventId;
use crate::snapshot::Remembered;
use crate::time::Instant;

#[derive(Debug)]
pub(super) struct Seen<A> {
    ids: HashSet<EventId<A>, FixedState>,
    /// In the order of hearing, which is the order of forgetting: another lifetime moves all alike.
    order: VecDeque<Entry<A>>,
    /// The last ordered event of each origin that was delivered, for as long as its identity is remembered.
    ordered: HashMap<A, u64, FixedState>,
    /// The start of the youngest event that was forgotten early.
    horizon: Option<Start>,
    /// Those that a former life heard of, whose events are not here.
    recalled: HashSet<EventId<A>, FixedState>,
}

/// When an event started: nanoseconds after the driver's origin, or before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Start(i64);

impl Start {
    /// Of an event that is of that age now.
    pub(super) fn new(now: Instant, age: Duration) -> Self {
        let nanos = |nanos: u128| i64::try_from(nanos).unwrap_or(i64::MAX);
        Self(nanos(now.as_nanos().into()) - nanos(age.as_nanos()))
    }

    fn age(self, now: Instant) -> Duration {
        Duration::from_nanos(u64::try_from(i128::from(now.as_nanos()) - i128::from(self.0)).unwrap_or(0))
    }
}

#[derive(Debug)]
struct Entry<A> {
    forget: Instant,
    id: EventId<A>,
    /// When the event started, as far as its age told.
    started: Start,
}

impl<A: Copy + Eq + Hash> Seen<A> {
    pub(super) fn new(hasher: FixedState) -> Self {
        Self {
            ids: HashSet::with_hasher(hasher.clone()),
            order: VecDeque::new(),
            ordered: HashMap::with_hasher(hasher.clone()),
            horizon: None,
            recalled: HashSet::with_hasher(hasher),
        }
    }

    /// Whether nothing is remembered, nor that something was forgotten.
    pub(super) fn is_unused(&self) -> bool {
        self.order.is_empty() && self.horizon.is_none()
    }

    pub(super) fn contains(&self, id: &EventId<A>) -> bool {
        self.ids.contains(id)
    }

    /// Whether an event that started then, and is not remembered, may be one that was forgotten early. `margin` is for what
    /// ages do not count.
    pub(super) fn may_have_forgotten(&self, started: Start, margin: Duration) -> bool {
        let margin = i64::try_from(margin.as_nanos()).unwrap_or(i64::MAX);
        self.horizon.is_some_and(|horizon| started.0 <= horizon.0.saturating_add(margin))
    }

    /// What was to be remembered for `old` from its hearing on is so for `new`.
    pub(super) fn postpone(&mut self, old: Duration, new: Duration) {
        for entry in &mut self.order {
            entry.forget = entry.forget - old + new;
        }
    }

    /// All that is remembered, in the order of forgetting, and the age of the youngest event that was forgotten early.
    pub(super) fn remembered(&self, now: Instant) -> (Option<Duration>, impl Iterator<Item = Remembered<A>>) {
        let entries = self.order.iter().map(move |entry| Remembered {
            id: entry.id,
            // Not shorter for being told in milliseconds.
            remaining: entry.forget.since(now) + Duration::from_millis(1),
            age: entry.started.age(now),
        });
        (self.horizon.map(|horizon| horizon.age(now)), entries)
    }

    /// What a former life heard of.
    pub(super) fn recall(&mut self, now: Instant, Remembered { id, remaining, age }: Remembered<A>) {
        self.recalled.insert(id);
        self.insert(id, Start::new(now, age), now + remaining);
    }

    /// What a former life forgot early: an event of that age.
    pub(super) fn recall_horizon(&mut self, now: Instant, age: Duration) {
        self.horizon = self.horizon.max(Some(Start::new(now, age)));
    }

    /// Whether the event is one that a former life heard of and that did not come here again yet. From now on it did.
    pub(super) fn comes_back(&mut self, id: &EventId<A>) -> bool {
        !self.recalled.is_empty() && self.recalled.remove(id)
    }

    pub(super) fn insert(&mut self, id: EventId<A>, started: Start, forget: Instant) {
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

    pub(super) fn last_ordered(&self, origin: &A) -> Option<u64> {
        self.ordered.get(origin).copied()
    }

    /// Only for an event whose identity is remembered: it is forgotten with it.
    pub(super) fn set_last_ordered(&mut self, origin: A, sequence: u64) {
        if self.ids.contains(&EventId { origin, sequence }) {
            self.ordered.insert(origin, sequence);
        }
    }

    /// Panics when the two stores do not hold the same, or more than `max`.
    #[cfg(any(test, fuzzing, feature = "check"))]
    pub(super) fn check(&self, max: usize) {
        assert!(self.order.iter().all(|entry| self.ids.contains(&entry.id)));
        assert_eq!(self.order.len(), self.ids.len(), "each identity once");
        assert!(self.order.len() <= max, "{} identities", self.order.len());
    }

    /// When the forgotten event started.
    fn forget_front(&mut self) -> Option<Start> {
        let Entry { id, started, .. } = self.order.pop_front()?;
        self.ids.remove(&id);
        self.recalled.remove(&id);
        if self.last_ordered(&id.origin) == Some(id.sequence) {
            self.ordered.remove(&id.origin);
        }
        Some(started)
    }
}
