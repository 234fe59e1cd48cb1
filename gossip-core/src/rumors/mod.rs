//! Events on their way: what is kept of them, what was seen, what is still to be told.
//!
//! An event is kept for its lifetime, counted from its start at the origin, so that a node which missed it can still be
//! told. Its identity is remembered half a lifetime longer than any copy of it can live, so that it is delivered once. A
//! copy carries its age; the time on the wire is not in it, so the lifetime is to be long against the network's delays.

mod seen;
pub(crate) mod strategies;

use alloc::collections::{BTreeSet, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::address::Address;
use crate::backlog::{Backlog, Offer};
use crate::config::Config;
use crate::snapshot::Remembered;
use crate::sync::{self, Digests};
use crate::time::Instant;
use crate::wire;
use seen::{Seen, Start};

/// Identity of an event: who started it, and the how-manieth of that node's events it is.
///
/// A restarted node must not use a number again: see [`crate::Setup::first_sequence`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId<A> {
    /// The node that started it.
    pub origin: A,
    /// Its number there.
    pub sequence: u64,
}

#[derive(Debug, Clone)]
struct Stored<A> {
    id: EventId<A>,
    payload: Arc<[u8]>,
    /// Hops from the origin to here.
    hops: u8,
    /// When it came here and how old it was then.
    learnt: Instant,
    age: Duration,
    expires: Instant,
    /// Distinguishes this event from others that had the slot before.
    serial: u64,
}

#[derive(Debug)]
pub(crate) struct Rumors<A> {
    slots: Vec<Option<Stored<A>>>,
    free: Vec<u32>,
    index: HashMap<EventId<A>, u32, FixedState>,
    expiries: BTreeSet<(Instant, u32)>,
    /// Slots and serials in the order of arrival; entries of events that are gone are skipped and swept.
    arrivals: VecDeque<(u32, u64)>,
    seen: Seen<A>,
    backlog: Backlog,
    digests: Digests,
    bytes: usize,
    serial: u64,
}

/// What became of a rumor that was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    /// New: deliver it. It is in this slot.
    Fresh { payload: Arc<[u8]>, slot: u32 },
    /// Heard before.
    Duplicate,
    /// Beyond its lifetime, or older than what is remembered.
    Expired,
    /// It could not be told on: no datagram of this node can hold it.
    TooLong,
}

/// What was given up to stay within the bounds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Evicted {
    pub(crate) events: u64,
    pub(crate) seen: u64,
}

impl<A: Address> Rumors<A> {
    pub(crate) fn new(hash_seed: u64) -> Self {
        let hasher = FixedState::with_seed(hash_seed);
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            index: HashMap::with_hasher(hasher.clone()),
            expiries: BTreeSet::new(),
            arrivals: VecDeque::new(),
            seen: Seen::new(hasher),
            backlog: Backlog::default(),
            digests: Digests::default(),
            bytes: 0,
            serial: 0,
        }
    }

    /// Events kept.
    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether some event was not yet told as often as it is to be.
    pub(crate) fn has_news(&self) -> bool {
        !self.backlog.is_empty()
    }

    pub(crate) fn digests(&self) -> &Digests {
        &self.digests
    }

    /// An event that starts here; its slot.
    pub(crate) fn start(&mut self, now: Instant, id: EventId<A>, payload: &[u8], config: &Config) -> (u32, Evicted) {
        self.seen.insert(id, Start::new(now, Duration::ZERO), now + remembered(config));
        self.keep(now, id, payload.into(), 0, Duration::ZERO, config)
    }

    /// An event that somebody tells of.
    pub(crate) fn hear(&mut self, now: Instant, rumor: &wire::Rumor<'_, A>, config: &Config) -> (Heard, Evicted) {
        let id = EventId { origin: rumor.origin, sequence: rumor.sequence };
        let age = Duration::from_millis(u64::from(rumor.age_ms));
        let too_long = rumor.payload.len() > crate::config::event_payload_max::<A>(config);
        if self.seen.contains(&id) {
            if age >= config.event_lifetime || too_long || !self.seen.comes_back(&id) {
                return (Heard::Duplicate, Evicted::default());
            }
            // Others tell it on. It is kept for who missed it, and so that the digests agree.
            let (slot, evicted) = self.keep(now, id, rumor.payload.into(), rumor.hops, age, config);
            self.backlog.remove(slot);
            return (Heard::Duplicate, evicted);
        }
        let started = Start::new(now, age);
        if age >= config.event_lifetime || self.seen.may_have_forgotten(started, config.gossip_interval) {
            return (Heard::Expired, Evicted::default());
        }
        if too_long {
            return (Heard::TooLong, Evicted::default());
        }
        self.seen.insert(id, started, now + remembered(config));
        let payload: Arc<[u8]> = rumor.payload.into();
        let (slot, evicted) = self.keep(now, id, payload.clone(), rumor.hops, age, config);
        (Heard::Fresh { payload, slot }, evicted)
    }

    fn keep(
        &mut self,
        now: Instant,
        id: EventId<A>,
        payload: Arc<[u8]>,
        hops: u8,
        age: Duration,
        config: &Config,
    ) -> (u32, Evicted) {
        let mut evicted = Evicted { events: 0, seen: self.seen.shrink(config.seen_max) };
        while self.len() >= config.events_max || (self.len() > 0 && self.bytes + payload.len() > config.event_bytes_max)
        {
            self.evict_oldest();
            evicted.events += 1;
        }
        let expires = now + config.event_lifetime.saturating_sub(age);
        self.serial += 1;
        self.bytes += payload.len();
        let stored = Stored { id, payload, hops, learnt: now, age, expires, serial: self.serial };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = Some(stored);
                slot
            }
            None => {
                self.slots.push(Some(stored));
                (self.slots.len() - 1) as u32
            }
        };
        self.index.insert(id, slot);
        self.expiries.insert((expires, slot));
        self.arrivals.push_back((slot, self.serial));
        self.digests.toggle(Some(sync::event_fingerprint(&id.origin, id.sequence)));
        self.backlog.insert(slot);
        (slot, evicted)
    }

    fn evict_oldest(&mut self) {
        while let Some((slot, serial)) = self.arrivals.pop_front() {
            if self.slots[slot as usize].as_ref().is_some_and(|stored| stored.serial == serial) {
                self.drop_slot(slot);
                return;
            }
        }
    }

    fn drop_slot(&mut self, slot: u32) {
        let Some(stored) = self.slots[slot as usize].take() else { return };
        self.index.remove(&stored.id);
        self.expiries.remove(&(stored.expires, slot));
        self.digests.toggle(Some(sync::event_fingerprint(&stored.id.origin, stored.id.sequence)));
        self.backlog.remove(slot);
        self.bytes -= stored.payload.len();
        self.free.push(slot);
        if self.arrivals.len() > 2 * self.index.len() + 16 {
            let slots = &self.slots;
            self.arrivals
                .retain(|&(slot, serial)| slots[slot as usize].as_ref().is_some_and(|stored| stored.serial == serial));
        }
    }

    /// The identities that are remembered, for a snapshot.
    pub(crate) fn remembered(&self, now: Instant) -> (Option<Duration>, impl Iterator<Item = Remembered<A>>) {
        self.seen.remembered(now)
    }

    /// Remembers what a former life remembered `taken_ago`; how many identities are too many.
    pub(crate) fn recall(
        &mut self,
        now: Instant,
        horizon: Option<Duration>,
        entries: impl Iterator<Item = Remembered<A>>,
        taken_ago: Duration,
        config: &Config,
    ) -> u64 {
        if let Some(age) = horizon {
            self.seen.recall_horizon(now, age.saturating_add(taken_ago));
        }
        for Remembered { id, remaining, age } in entries {
            // A file may say anything; no honest one says more than this.
            let remaining = remaining.saturating_sub(taken_ago).min(remembered(config));
            if !remaining.is_zero() {
                self.seen.recall(now, Remembered { id, remaining, age: age.saturating_add(taken_ago) });
            }
        }
        self.seen.shrink(config.seen_max)
    }

    /// Forgets what is beyond its lifetime.
    pub(crate) fn expire(&mut self, now: Instant) {
        while let Some(&(expires, slot)) = self.expiries.first().filter(|(expires, _)| *expires <= now) {
            debug_assert!(expires <= now);
            self.drop_slot(slot);
        }
        self.seen.expire(now);
    }

    /// When [`expire`](Self::expire) has something to do.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        let event = self.expiries.first().map(|&(expires, _)| expires);
        [event, self.seen.next_expiry()].into_iter().flatten().min()
    }

    /// The event in a slot, as this node tells it.
    pub(crate) fn get(&self, now: Instant, slot: u32) -> Option<wire::Rumor<'_, A>> {
        self.slots.get(slot as usize)?.as_ref().map(|stored| stored.told(now))
    }

    /// Offers what is still to be told, least told first, each with how often it will have been told.
    pub(crate) fn offer(&mut self, now: Instant, mut send: impl FnMut(wire::Rumor<'_, A>, u8) -> Offer) {
        let slots = &self.slots;
        self.backlog.offer(|slot, told| {
            slots[slot as usize].as_ref().map_or(Offer::Skip, |stored| send(stored.told(now), told))
        });
    }

    /// What was learnt at `since` or later and was not to be told by itself in the last [`offer`](Self::offer), newest first: for a
    /// caller who lacks something.
    pub(crate) fn recent(&self, now: Instant, since: Instant) -> impl Iterator<Item = wire::Rumor<'_, A>> {
        let kept = |&(slot, serial): &(u32, u64)| {
            let stored = self.slots[slot as usize].as_ref().filter(|stored| stored.serial == serial)?;
            Some((slot, stored))
        };
        self.arrivals
            .iter()
            .rev()
            .filter_map(kept)
            .take_while(move |(_, stored)| stored.learnt >= since)
            .filter(|&(slot, _)| !self.backlog.contained(slot))
            .map(move |(_, stored)| stored.told(now))
    }

    /// The events in slots from `start` on that fall into the buckets of `mask`.
    pub(crate) fn in_buckets(
        &self,
        now: Instant,
        start: u32,
        bits: u8,
        mask: u64,
    ) -> impl Iterator<Item = (u32, wire::Rumor<'_, A>)> {
        self.slots.iter().enumerate().skip(start as usize).filter_map(move |(slot, stored)| {
            let stored = stored.as_ref()?;
            let (identity, _) = sync::event_fingerprint(&stored.id.origin, stored.id.sequence);
            (mask >> sync::bucket(identity, bits) & 1 == 1).then(|| (slot as u32, stored.told(now)))
        })
    }
}

impl<A: Copy> Stored<A> {
    fn told(&self, now: Instant) -> wire::Rumor<'_, A> {
        let age = self.age + now.since(self.learnt);
        wire::Rumor {
            origin: self.id.origin,
            sequence: self.id.sequence,
            age_ms: u32::try_from(age.as_millis()).unwrap_or(u32::MAX),
            hops: self.hops.saturating_add(1),
            payload: &self.payload,
        }
    }
}

/// For how long an identity is remembered from its hearing on: until every copy is beyond its lifetime, and half a lifetime
/// for what the ages do not count.
fn remembered(config: &Config) -> Duration {
    config.event_lifetime + config.event_lifetime / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rumor(sequence: u64, age_ms: u32, payload: &[u8]) -> wire::Rumor<'_, u16> {
        wire::Rumor { origin: 1, sequence, age_ms, hops: 3, payload }
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_millis(seconds * 1000)
    }

    #[test]
    fn an_event_is_fresh_once_even_after_it_expired() {
        let config = Config::lan();
        let mut rumors = Rumors::new(1);
        assert!(matches!(rumors.hear(at(0), &rumor(1, 0, b"x"), &config).0, Heard::Fresh { .. }));
        assert_eq!(rumors.hear(at(1), &rumor(1, 900, b"x"), &config).0, Heard::Duplicate);
        rumors.expire(at(60));
        assert_eq!(rumors.len(), 0);
        assert_eq!(rumors.digests().total(), 0);
        assert_eq!(rumors.hear(at(61), &rumor(1, 59_999, b"x"), &config).0, Heard::Duplicate, "a late copy");
        rumors.expire(at(90));
        assert_eq!(rumors.hear(at(91), &rumor(1, 60_000, b"x"), &config).0, Heard::Expired);
        assert_eq!(rumors.next_expiry(), None, "nothing is remembered for ever");
    }

    #[test]
    fn age_travels_and_hops_count() {
        let config = Config::lan();
        let mut rumors = Rumors::new(1);
        let _ = rumors.hear(at(10), &rumor(1, 1_500, b"x"), &config);
        rumors.offer(at(12), |told, _| {
            assert_eq!((told.age_ms, told.hops), (3_500, 4));
            Offer::Sent { last: false }
        });
    }

    #[test]
    fn the_oldest_gives_way_at_the_bounds() {
        let config = Config { events_max: 3, event_bytes_max: 10, seen_max: 4, ..Config::lan() };
        let mut rumors = Rumors::new(1);
        for sequence in 0..4 {
            let (_, evicted) = rumors.hear(at(sequence), &rumor(sequence, 0, b"x"), &config);
            assert_eq!(evicted.events, u64::from(sequence == 3));
        }
        let (_, evicted) = rumors.hear(at(5), &rumor(9, 0, b"123456789"), &config);
        assert_eq!(evicted, Evicted { events: 2, seen: 1 }, "1 + 9 bytes fit, 2 + 9 do not");
        assert_eq!(rumors.len(), 2);
        let newest: Vec<u64> = rumors.in_buckets(at(5), 0, 0, 1).map(|(_, told)| told.sequence).collect();
        assert!(newest.contains(&9) && newest.contains(&3), "{newest:?}");
    }

    #[test]
    fn what_was_told_often_enough_is_still_there_for_who_asks() {
        let config = Config::lan();
        let mut rumors = Rumors::new(1);
        for sequence in 0..3 {
            let _ = rumors.hear(at(0), &rumor(sequence, 0, b"x"), &config);
        }
        assert!(rumors.has_news());
        assert_eq!(rumors.recent(at(1), at(0)).count(), 0);
        rumors.offer(at(1), |_, _| Offer::Sent { last: true });
        assert!(!rumors.has_news());
        assert_eq!(rumors.recent(at(1), at(0)).count(), 0, "all are in the datagram already");
        rumors.offer(at(1), |_, _| Offer::Sent { last: true });
        let order: Vec<u64> = rumors.recent(at(1), at(0)).map(|told| told.sequence).collect();
        assert_eq!(order, [2, 1, 0]);
        assert_eq!(rumors.recent(at(1), at(1)).count(), 0, "older ones are for anti-entropy");
    }
}
