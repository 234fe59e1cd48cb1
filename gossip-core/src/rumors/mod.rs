//! Events on their way: what is kept of them, what was seen, what is still to be told.
//!
//! An event is kept for its lifetime, counted from its start at the origin, so that a node which missed it can still be
//! told. Its identity is remembered half a lifetime longer than any copy of it can live, so that it is delivered once. A
//! copy carries its age; the time on the wire is not in it, so the lifetime is to be long against the network's delays.

#[cfg(any(test, fuzzing, feature = "check"))]
mod check;
mod holdback;
mod lazy;
mod seen;
pub(crate) mod strategies;

use alloc::boxed::Box;
use alloc::collections::{BTreeSet, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::address::Address;
use crate::backlog::{Backlog, Offer};
use crate::config::Config;
use crate::options::{EventOptions, Order, Priority};
use crate::snapshot::Remembered;
use crate::sync::{self, Digests};
use crate::time::Instant;
use crate::wire::{self, RumorKind, Terms};
pub(crate) use holdback::Delivery;
use holdback::Holdback;
pub(crate) use lazy::Rumors;
use seen::{Seen, Start};
use strategies::{Count, Limits, Told};

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
    terms: Terms,
    /// Hops from the origin to here.
    hops: u8,
    /// Under the median counter.
    count: Option<Count>,
    /// When it came here and how old it was then.
    learnt: Instant,
    age: Duration,
    expires: Instant,
    /// Distinguishes this event from others that had the slot before.
    serial: u64,
}

/// An event that is to be kept.
struct Incoming<A> {
    id: EventId<A>,
    payload: Arc<[u8]>,
    terms: Terms,
    hops: u8,
    age: Duration,
}

/// The events, once there are any.
#[derive(Debug)]
struct Store<A> {
    slots: Vec<Option<Stored<A>>>,
    free: Vec<u32>,
    index: HashMap<EventId<A>, u32, FixedState>,
    expiries: BTreeSet<(Instant, u32)>,
    /// What there is of each priority, lowest first; nothing of one that was never heard of, since a class takes room.
    classes: [Option<Box<Class>>; Priority::COUNT],
    seen: Seen<A>,
    holdback: Holdback<A>,
    digests: Digests,
    serial: u64,
    /// Reused: what has fallen silent in a round.
    silent: Vec<u32>,
    /// The last ordered event that was started here, and when its life is over.
    last_ordered: Option<(u64, Instant)>,
}

/// The events of one priority.
#[derive(Debug, Default)]
struct Class {
    /// Slots and serials in the order of arrival; entries of events that are gone are skipped and swept.
    arrivals: VecDeque<(u32, u64)>,
    backlog: Backlog,
    events: usize,
    bytes: usize,
}

/// What became of a rumor that was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    /// New: deliver it. It is kept in this slot, unless those of higher priority take all the room.
    Fresh { payload: Arc<[u8]>, kept: Option<u32> },
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

impl<A: Address> Store<A> {
    fn new(hash_seed: u64) -> Self {
        let hasher = FixedState::with_seed(hash_seed);
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            index: HashMap::with_hasher(hasher.clone()),
            expiries: BTreeSet::new(),
            classes: Default::default(),
            seen: Seen::new(hasher),
            holdback: Holdback::new(),
            digests: Digests::default(),
            serial: 0,
            silent: Vec::new(),
            last_ordered: None,
        }
    }

    /// Events kept.
    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether some event was not yet told as often as it is to be.
    pub(crate) fn has_news(&self) -> bool {
        self.classes.iter().flatten().any(|class| !class.backlog.is_empty())
    }

    /// Whether it is as one that never heard of an event.
    fn is_unused(&self, now: Instant) -> bool {
        let waiting = self.last_ordered.is_some_and(|(_, expires)| expires > now);
        self.index.is_empty() && self.seen.is_unused() && self.holdback.len() == 0 && !waiting
    }

    /// Whether an event of this identity would be a duplicate. One of high priority may be kept, and an ordered one wait, for longer
    /// than its identity is remembered.
    pub(crate) fn remembers(&self, id: &EventId<A>) -> bool {
        self.seen.contains(id) || self.index.contains_key(id) || self.holdback.contains(id)
    }

    /// The terms of an event that starts here with this number.
    pub(crate) fn terms(&self, now: Instant, sequence: u64, options: &EventOptions, config: &Config) -> Terms {
        let previous = self.last_ordered.filter(|&(_, expires)| expires > now).map(|(previous, _)| previous);
        let distance = previous.and_then(|previous| sequence.checked_sub(previous)).unwrap_or(0);
        let lifetime = options.lifetime.filter(|&lifetime| lifetime < config.event_lifetime);
        Terms {
            priority: options.priority,
            lifetime_ms: lifetime.map(|lifetime| u32::try_from(lifetime.as_millis()).unwrap_or(u32::MAX)),
            kind: if options.ordered { RumorKind::Ordered { distance } } else { RumorKind::Event },
        }
    }

    /// An event that starts here; its slot, unless those of higher priority take all the room.
    pub(crate) fn start(
        &mut self,
        now: Instant,
        id: EventId<A>,
        terms: Terms,
        payload: &[u8],
        config: &Config,
    ) -> (Option<u32>, Evicted) {
        self.seen.insert(id, Start::new(now, Duration::ZERO), now + remembered(config));
        if matches!(terms.kind, RumorKind::Ordered { .. }) {
            self.last_ordered = Some((id.sequence, now + lifetime(&terms, config)));
        }
        let event = Incoming { id, payload: payload.into(), terms, hops: 0, age: Duration::ZERO };
        self.keep(now, event, config)
    }

    /// Whether an event finds room among those of higher priority.
    pub(crate) fn has_room(&self, len: usize, priority: Priority, config: &Config) -> bool {
        let higher = || self.classes[priority as usize + 1..].iter().flatten();
        let events: usize = higher().map(|class| class.events).sum();
        let bytes: usize = higher().map(|class| class.bytes).sum();
        events == 0 || (events < config.events_max && bytes + len <= config.event_bytes_max)
    }

    /// An event that somebody tells of.
    pub(crate) fn hear(
        &mut self,
        now: Instant,
        rumor: &wire::Rumor<'_, A>,
        unread_since: Option<Instant>,
        config: &Config,
    ) -> (Heard, Evicted) {
        let id = EventId { origin: rumor.origin, sequence: rumor.sequence };
        // The least and the greatest that it can be.
        let told = Duration::from_millis(u64::from(rumor.age_ms));
        let age = told + unread_since.map_or(Duration::ZERO, |since| now.since(since));
        let expired = age >= lifetime(&rumor.terms, config);
        let too_long = rumor.payload.len() > crate::config::event_payload_max::<A>(config);
        if self.remembers(&id) {
            if expired || too_long || !self.seen.comes_back(&id) {
                return (Heard::Duplicate, Evicted::default());
            }
            // Others tell it on. It is kept for who missed it, and so that the digests agree.
            let event = Incoming { id, payload: rumor.payload.into(), terms: rumor.terms, hops: rumor.hops, age };
            let (kept, evicted) = self.keep(now, event, config);
            if let Some(slot) = kept {
                self.class(rumor.terms.priority).backlog.remove(slot);
                self.silence(slot);
            }
            return (Heard::Duplicate, evicted);
        }
        if expired || self.seen.may_have_forgotten(Start::new(now, age), config.gossip_interval) {
            return (Heard::Expired, Evicted::default());
        }
        if too_long {
            return (Heard::TooLong, Evicted::default());
        }
        self.seen.insert(id, Start::new(now, told), now + remembered(config));
        let payload: Arc<[u8]> = rumor.payload.into();
        let event = Incoming { id, payload: payload.clone(), terms: rumor.terms, hops: rumor.hops, age };
        let (kept, evicted) = self.keep(now, event, config);
        (Heard::Fresh { payload, kept }, evicted)
    }

    /// Hands out what may be delivered now that an ordered event was learnt, `distance` after the one before it; false when it
    /// has to wait for that.
    pub(crate) fn deliver_ordered(
        &mut self,
        now: Instant,
        delivery: Delivery<A>,
        distance: u64,
        config: &Config,
        mut deliver: impl FnMut(Delivery<A>, Order),
    ) -> bool {
        let deadline = now + config.ordered_wait;
        let delivered = self.holdback.receive(&mut self.seen, delivery, distance, deadline, &mut deliver);
        if self.holdback.len() > config.ordered_max {
            self.holdback.give_up(&mut self.seen, &mut deliver);
        }
        delivered
    }

    /// Hands out the events that waited for others long enough: all of them at the end of time.
    pub(crate) fn deliver_overdue(&mut self, now: Instant, deliver: impl FnMut(Delivery<A>, Order)) {
        self.holdback.expire(&mut self.seen, now, deliver);
    }

    fn keep(&mut self, now: Instant, event: Incoming<A>, config: &Config) -> (Option<u32>, Evicted) {
        let Incoming { id, payload, terms, hops, age } = event;
        let mut evicted = Evicted { events: 0, seen: self.seen.shrink(config.seen_max) };
        if !self.has_room(payload.len(), terms.priority, config) {
            evicted.events += 1;
            return (None, evicted);
        }
        while self.len() >= config.events_max
            || (self.len() > 0 && self.bytes() + payload.len() > config.event_bytes_max)
        {
            self.evict_oldest();
            evicted.events += 1;
        }
        let expires = now + lifetime(&terms, config).saturating_sub(age);
        self.serial += 1;
        let class = self.class(terms.priority);
        class.events += 1;
        class.bytes += payload.len();
        let count = config.strategy.counts().then_some(Count::LEARNT);
        let stored = Stored { id, payload, terms, hops, count, learnt: now, age, expires, serial: self.serial };
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
        let serial = self.serial;
        let class = self.class(terms.priority);
        class.arrivals.push_back((slot, serial));
        class.backlog.insert(slot);
        self.digests.toggle(Some(sync::event_fingerprint(&id.origin, id.sequence)));
        (Some(slot), evicted)
    }

    /// A rumor that is kept and not told says so, where rumors are counted.
    fn silence(&mut self, slot: u32) {
        let counted = self.slots[slot as usize].as_mut().and_then(|stored| stored.count.as_mut());
        counted.into_iter().for_each(|count| *count = Count::SILENT);
    }

    fn class(&mut self, priority: Priority) -> &mut Class {
        self.classes[priority as usize].get_or_insert_default()
    }

    /// The oldest of the lowest priority.
    fn evict_oldest(&mut self) {
        for class in self.classes.iter_mut().flatten() {
            while let Some((slot, serial)) = class.arrivals.pop_front() {
                if self.slots[slot as usize].as_ref().is_some_and(|stored| stored.serial == serial) {
                    self.drop_slot(slot);
                    return;
                }
            }
        }
    }

    fn drop_slot(&mut self, slot: u32) {
        let Some(stored) = self.slots[slot as usize].take() else { return };
        self.index.remove(&stored.id);
        self.expiries.remove(&(stored.expires, slot));
        self.digests.toggle(Some(sync::event_fingerprint(&stored.id.origin, stored.id.sequence)));
        self.free.push(slot);
        let class = self.classes[stored.terms.priority as usize].get_or_insert_default();
        class.backlog.remove(slot);
        class.events -= 1;
        class.bytes -= stored.payload.len();
        if class.arrivals.len() > 2 * class.events + 16 {
            let slots = &self.slots;
            class
                .arrivals
                .retain(|&(slot, serial)| slots[slot as usize].as_ref().is_some_and(|stored| stored.serial == serial));
        }
    }

    /// Brings what is kept and remembered under another configuration.
    pub(crate) fn reconfigure(&mut self, now: Instant, old: &Config, new: &Config) -> Evicted {
        let mut evicted = Evicted::default();
        if new.event_lifetime != old.event_lifetime {
            if new.event_lifetime > old.event_lifetime {
                // What is older was refused so far, or delivered and forgotten: nobody knows which.
                self.seen.recall_horizon(now, old.event_lifetime);
            }
            self.seen.postpone(remembered(old), remembered(new));
            self.expiries.clear();
            for (slot, stored) in self.slots.iter_mut().enumerate() {
                let Some(stored) = stored else { continue };
                stored.expires = stored.learnt + lifetime(&stored.terms, new).saturating_sub(stored.age);
                self.expiries.insert((stored.expires, slot as u32));
            }
            self.expire(now);
        }
        if new.strategy.counts() != old.strategy.counts() {
            // What is still told is counted from the beginning.
            let count = new.strategy.counts().then_some(Count::LEARNT);
            for slot in 0..self.slots.len() as u32 {
                let Some(stored) = &mut self.slots[slot as usize] else { continue };
                stored.count = count;
                let class = self.classes[stored.terms.priority as usize].as_ref();
                if !class.is_some_and(|class| class.backlog.contains(slot)) {
                    self.silence(slot);
                }
            }
        }
        let payload_max = crate::config::event_payload_max::<A>(new);
        for slot in 0..self.slots.len() as u32 {
            if self.slots[slot as usize].as_ref().is_some_and(|stored| stored.payload.len() > payload_max) {
                self.drop_slot(slot);
                evicted.events += 1;
            }
        }
        while self.len() > new.events_max || (self.len() > 1 && self.bytes() > new.event_bytes_max) {
            self.evict_oldest();
            evicted.events += 1;
        }
        evicted.seen = self.seen.shrink(new.seen_max);
        evicted
    }

    /// Hands out the ordered events that wait for longer than they are to, or are too many.
    pub(crate) fn wait_less(&mut self, now: Instant, config: &Config, mut deliver: impl FnMut(Delivery<A>, Order)) {
        self.holdback.wait_until(now + config.ordered_wait);
        while self.holdback.len() > config.ordered_max {
            self.holdback.give_up(&mut self.seen, &mut deliver);
        }
    }

    /// The identities that are remembered, for a snapshot.
    pub(crate) fn remembered(&self, now: Instant) -> (Option<Duration>, impl Iterator<Item = Remembered<A>>) {
        // What waits for an earlier one was not delivered: a next life is to get it.
        let (horizon, entries) = self.seen.remembered(now);
        (horizon, entries.filter(|entry| !self.holdback.contains(&entry.id)))
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
        let mut latest = Duration::ZERO;
        for Remembered { id, remaining, age } in entries {
            let age = age.saturating_add(taken_ago);
            // Copies may live for longer than the former life's configuration said. A file may say anything; no honest one says
            // more than this. Who was heard of later is forgotten later.
            let needed = remembered(config).saturating_sub(age);
            let remaining = remaining.saturating_sub(taken_ago).max(needed).min(remembered(config)).max(latest);
            if !remaining.is_zero() {
                latest = remaining;
                self.seen.recall(now, Remembered { id, remaining, age });
            }
        }
        self.seen.shrink(config.seen_max)
    }

    /// Forgets what is beyond its lifetime.
    pub(crate) fn expire(&mut self, now: Instant) {
        while let Some(&(_, slot)) = self.expiries.first().filter(|(expires, _)| *expires <= now) {
            self.drop_slot(slot);
        }
        self.seen.expire(now);
    }

    /// When [`expire`](Self::expire) or [`deliver_overdue`](Self::deliver_overdue) has something to do.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        let event = self.expiries.first().map(|&(expires, _)| expires);
        [event, self.seen.next_expiry(), self.holdback.next_deadline()].into_iter().flatten().min()
    }

    /// Offers what is still to be told, highest priority first, of one priority least told first, each with how often it will
    /// have been told, and for how long it was there.
    pub(crate) fn offer(&mut self, now: Instant, mut send: impl FnMut(wire::Rumor<'_, A>, Told) -> Offer) {
        let slots = &self.slots;
        let mut full = false;
        for class in self.classes.iter_mut().rev().flatten() {
            class.backlog.offer(|slot, times| {
                let Some(stored) = slots[slot as usize].as_ref().filter(|_| !full) else { return Offer::Full };
                let offer = send(stored.told(now), Told { times, held: now.since(stored.learnt) });
                full = offer == Offer::Full;
                offer
            });
        }
    }

    /// Somebody told of an event, in a call or an answer to one if it is a `contact`: its counter counts. True when this node has
    /// one to say in return.
    pub(crate) fn count(&mut self, rumor: &wire::Rumor<'_, A>, contact: bool) -> bool {
        let id = EventId { origin: rumor.origin, sequence: rumor.sequence };
        let slot = self.index.get(&id).and_then(|&slot| self.slots[slot as usize].as_mut());
        let count = slot.and_then(|stored| stored.count.as_mut());
        count.is_some_and(|count| count.hear(rumor.counter, contact))
    }

    /// How old the events are that are still to be told.
    pub(crate) fn told_ages(&self, now: Instant) -> impl Iterator<Item = Duration> + '_ {
        let told = self.classes.iter().flatten().flat_map(|class| class.backlog.iter());
        told.filter_map(move |(slot, _)| Some(self.slots[slot as usize].as_ref()?.age_at(now)))
    }

    /// A round is over: what has been counted to the end is not told any more.
    pub(crate) fn end_round(&mut self, now: Instant, limits: &Limits) {
        for class in self.classes.iter_mut().flatten() {
            self.silent.clear();
            for (slot, _) in class.backlog.iter() {
                let Some(stored) = &mut self.slots[slot as usize] else { continue };
                let age = stored.age_at(now);
                if stored.count.as_mut().is_some_and(|count| !count.end_round(age, limits)) {
                    self.silent.push(slot);
                }
            }
            self.silent.iter().for_each(|&slot| class.backlog.remove(slot));
        }
    }

    /// What was learnt at `since` or later and was not to be told by itself in the last [`offer`](Self::offer), highest
    /// priority first, of one priority newest first: for a caller who lacks something.
    pub(crate) fn recent(&self, now: Instant, since: Instant) -> impl Iterator<Item = wire::Rumor<'_, A>> {
        let kept = |&(slot, serial): &(u32, u64)| {
            let stored = self.slots[slot as usize].as_ref().filter(|stored| stored.serial == serial)?;
            Some((slot, stored))
        };
        self.classes.iter().rev().flatten().flat_map(move |class| {
            class
                .arrivals
                .iter()
                .rev()
                .filter_map(kept)
                .take_while(move |(_, stored)| stored.learnt >= since)
                .filter(|&(slot, _)| !class.backlog.contained(slot))
                .map(move |(_, stored)| stored.told(now))
        })
    }

    /// The kept events as what nodes compare.
    pub(crate) fn items(&self) -> impl Iterator<Item = (u32, sync::sketch::Item)> + '_ {
        self.slots.iter().enumerate().filter_map(|(slot, stored)| {
            let EventId { origin, sequence } = stored.as_ref()?.id;
            Some((slot as u32, sync::event_item(sync::event_fingerprint(&origin, sequence))))
        })
    }

    /// Bytes of the payloads kept.
    pub(crate) fn bytes(&self) -> usize {
        self.classes.iter().flatten().map(|class| class.bytes).sum()
    }

    /// Whether an event is kept.
    pub(crate) fn keeps(&self, id: &EventId<A>) -> bool {
        self.index.contains_key(id)
    }

    /// An event, if it is kept, as this node tells it.
    pub(crate) fn find(&self, now: Instant, id: &EventId<A>) -> Option<wire::Rumor<'_, A>> {
        self.told(now, *self.index.get(id)?)
    }

    /// The event in a slot, if there is one, as this node tells it.
    pub(crate) fn told(&self, now: Instant, slot: u32) -> Option<wire::Rumor<'_, A>> {
        self.slots.get(slot as usize)?.as_ref().map(|stored| stored.told(now))
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
    fn age_at(&self, now: Instant) -> Duration {
        self.age + now.since(self.learnt)
    }

    fn told(&self, now: Instant) -> wire::Rumor<'_, A> {
        let age = self.age_at(now);
        wire::Rumor {
            origin: self.id.origin,
            sequence: self.id.sequence,
            age_ms: u32::try_from(age.as_millis()).unwrap_or(u32::MAX),
            hops: self.hops.saturating_add(1),
            terms: self.terms,
            counter: self.count.map(Count::told),
            payload: &self.payload,
        }
    }
}

/// For how long an event is told, from its start on.
pub(crate) fn lifetime(terms: &Terms, config: &Config) -> Duration {
    let own = terms.lifetime_ms.map_or(Duration::MAX, |lifetime| Duration::from_millis(u64::from(lifetime)));
    own.min(config.event_lifetime)
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
        wire::Rumor { origin: 1, sequence, age_ms, hops: 3, terms: Terms::default(), counter: None, payload }
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_millis(seconds * 1000)
    }

    #[test]
    fn an_event_is_fresh_once_even_after_it_expired() {
        let config = Config::lan();
        let mut rumors = Store::new(1);
        assert!(matches!(rumors.hear(at(0), &rumor(1, 0, b"x"), None, &config).0, Heard::Fresh { .. }));
        assert_eq!(rumors.hear(at(1), &rumor(1, 900, b"x"), None, &config).0, Heard::Duplicate);
        rumors.expire(at(60));
        assert_eq!(rumors.len(), 0);
        assert_eq!(rumors.digests.total(), 0);
        assert_eq!(rumors.hear(at(61), &rumor(1, 59_999, b"x"), None, &config).0, Heard::Duplicate, "a late copy");
        rumors.expire(at(90));
        assert_eq!(rumors.hear(at(91), &rumor(1, 60_000, b"x"), None, &config).0, Heard::Expired);
        assert_eq!(rumors.next_expiry(), None, "nothing is remembered for ever");
    }

    #[test]
    fn age_travels_and_hops_count() {
        let config = Config::lan();
        let mut rumors = Store::new(1);
        let _ = rumors.hear(at(10), &rumor(1, 1_500, b"x"), None, &config);
        rumors.offer(at(12), |told, _| {
            assert_eq!((told.age_ms, told.hops), (3_500, 4));
            Offer::Sent { last: false }
        });
    }

    #[test]
    fn the_oldest_gives_way_at_the_bounds() {
        let config = Config { events_max: 3, event_bytes_max: 10, seen_max: 4, ..Config::lan() };
        let mut rumors = Store::new(1);
        for sequence in 0..4 {
            let (_, evicted) = rumors.hear(at(sequence), &rumor(sequence, 0, b"x"), None, &config);
            assert_eq!(evicted.events, u64::from(sequence == 3));
        }
        let (_, evicted) = rumors.hear(at(5), &rumor(9, 0, b"123456789"), None, &config);
        assert_eq!(evicted, Evicted { events: 2, seen: 1 }, "1 + 9 bytes fit, 2 + 9 do not");
        assert_eq!(rumors.len(), 2);
        let newest: Vec<u64> = rumors.in_buckets(at(5), 0, 0, 1).map(|(_, told)| told.sequence).collect();
        assert!(newest.contains(&9) && newest.contains(&3), "{newest:?}");
    }

    #[test]
    fn an_event_that_is_kept_for_longer_than_its_identity_is_not_taken_in_twice() {
        let config = Config { events_max: 2, seen_max: 2, ..Config::lan() };
        let mut rumors = Store::new(1);
        let urgent =
            || wire::Rumor { terms: Terms { priority: Priority::Urgent, ..Terms::default() }, ..rumor(1, 0, b"x") };
        assert!(matches!(rumors.hear(at(0), &urgent(), None, &config).0, Heard::Fresh { .. }));
        for sequence in 2..5 {
            let _ = rumors.hear(at(sequence), &rumor(sequence, 0, b"y"), None, &config);
        }
        assert!(
            !rumors.seen.contains(&EventId { origin: 1, sequence: 1 }) && rumors.len() == 2,
            "kept, not remembered"
        );
        // Its age says that it is new: a liar's, or that of a network which delivers late.
        assert_eq!(rumors.hear(at(9), &urgent(), None, &config).0, Heard::Duplicate);
        rumors.check(&config);
    }

    #[test]
    fn what_was_told_often_enough_is_still_there_for_who_asks() {
        let config = Config::lan();
        let mut rumors = Store::new(1);
        for sequence in 0..3 {
            let _ = rumors.hear(at(0), &rumor(sequence, 0, b"x"), None, &config);
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
