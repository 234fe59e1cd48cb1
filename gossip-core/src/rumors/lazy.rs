//! The events of a node that may never have heard of one: then, and when all is forgotten, they take next to no room. Else this
//! passes on to the store.

use alloc::boxed::Box;
use core::time::Duration;

use super::strategies::{Limits, Told};
use super::{Delivery, EventId, Evicted, Heard, Store};
use crate::address::Address;
use crate::backlog::Offer;
use crate::config::Config;
use crate::options::{EventOptions, Order, Priority};
use crate::snapshot::Remembered;
use crate::sync;
use crate::time::Instant;
use crate::wire::{self, Terms};

#[derive(Debug)]
pub(crate) struct Rumors<A> {
    store: Option<Box<Store<A>>>,
    hash_seed: u64,
}

impl<A: Address> Rumors<A> {
    pub(crate) const fn new(hash_seed: u64) -> Self {
        Self { store: None, hash_seed }
    }

    fn store(&mut self) -> &mut Store<A> {
        self.store.get_or_insert_with(|| Box::new(Store::new(self.hash_seed)))
    }

    /// Events kept.
    pub(crate) fn len(&self) -> usize {
        self.store.as_ref().map_or(0, |store| store.len())
    }

    /// Bytes of the payloads kept.
    pub(crate) fn bytes(&self) -> usize {
        self.store.as_ref().map_or(0, |store| store.bytes())
    }

    /// Whether some event was not yet told as often as it is to be.
    pub(crate) fn has_news(&self) -> bool {
        self.store.as_ref().is_some_and(|store| store.has_news())
    }

    /// The digest of the kept events.
    pub(crate) fn digest(&self) -> u32 {
        self.store.as_ref().map_or(0, |store| store.digests.total())
    }

    /// The digest of those in bucket `number` of 2^`bits`.
    pub(crate) fn bucket_digest(&self, number: usize, bits: u8) -> u32 {
        self.store.as_ref().map_or(0, |store| store.digests.bucket(number, bits))
    }

    /// Whether an event of this identity would be a duplicate.
    pub(crate) fn remembers(&self, id: &EventId<A>) -> bool {
        self.store.as_ref().is_some_and(|store| store.remembers(id))
    }

    /// The terms of an event that starts here with this number.
    pub(crate) fn terms(&mut self, now: Instant, sequence: u64, options: &EventOptions, config: &Config) -> Terms {
        self.store().terms(now, sequence, options, config)
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
        self.store().start(now, id, terms, payload, config)
    }

    /// Whether an event finds room among those of higher priority.
    pub(crate) fn has_room(&self, len: usize, priority: Priority, config: &Config) -> bool {
        self.store.as_ref().is_none_or(|store| store.has_room(len, priority, config))
    }

    /// An event that somebody tells of, and that may have lain unread since then.
    pub(crate) fn hear(
        &mut self,
        now: Instant,
        rumor: &wire::Rumor<'_, A>,
        unread_since: Option<Instant>,
        config: &Config,
    ) -> (Heard, Evicted) {
        self.store().hear(now, rumor, unread_since, config)
    }

    /// Hands out what may be delivered now that an ordered event was learnt, `distance` after the one before it; false when it
    /// has to wait for that.
    pub(crate) fn deliver_ordered(
        &mut self,
        now: Instant,
        delivery: Delivery<A>,
        distance: u64,
        config: &Config,
        deliver: impl FnMut(Delivery<A>, Order),
    ) -> bool {
        self.store().deliver_ordered(now, delivery, distance, config, deliver)
    }

    /// Hands out the events that waited for others long enough: all of them at the end of time.
    pub(crate) fn deliver_overdue(&mut self, now: Instant, deliver: impl FnMut(Delivery<A>, Order)) {
        if let Some(store) = &mut self.store {
            store.deliver_overdue(now, deliver);
        }
    }

    /// Brings what is kept and remembered under another configuration.
    pub(crate) fn reconfigure(&mut self, now: Instant, old: &Config, new: &Config) -> Evicted {
        if new.event_lifetime <= old.event_lifetime && self.store.is_none() {
            return Evicted::default();
        }
        // A longer lifetime: what is older was refused so far, and is to be refused.
        self.store().reconfigure(now, old, new)
    }

    /// Hands out the ordered events that wait for longer than they are to, or are too many.
    pub(crate) fn wait_less(&mut self, now: Instant, config: &Config, deliver: impl FnMut(Delivery<A>, Order)) {
        if let Some(store) = &mut self.store {
            store.wait_less(now, config, deliver);
        }
    }

    /// The identities that are remembered, for a snapshot.
    pub(crate) fn remembered(&self, now: Instant) -> (Option<Duration>, impl Iterator<Item = Remembered<A>>) {
        let (horizon, entries) = self.store.as_ref().map(|store| store.remembered(now)).unzip();
        (horizon.flatten(), entries.into_iter().flatten())
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
        self.store().recall(now, horizon, entries, taken_ago, config)
    }

    /// Forgets what is beyond its lifetime.
    pub(crate) fn expire(&mut self, now: Instant) {
        if let Some(store) = &mut self.store {
            store.expire(now);
            self.store.take_if(|store| store.is_unused(now));
        }
    }

    /// When [`expire`](Self::expire) or [`deliver_overdue`](Self::deliver_overdue) has something to do.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.store.as_ref().and_then(|store| store.next_expiry())
    }

    /// Offers what is still to be told, highest priority first, of one priority least told first, each with how often it will
    /// have been told, and for how long it was there.
    pub(crate) fn offer(&mut self, now: Instant, send: impl FnMut(wire::Rumor<'_, A>, Told) -> Offer) {
        if let Some(store) = &mut self.store {
            store.offer(now, send);
        }
    }

    /// Somebody told of an event: its counter counts. True when this node has one to say in return.
    pub(crate) fn count(&mut self, rumor: &wire::Rumor<'_, A>, contact: bool) -> bool {
        self.store.as_mut().is_some_and(|store| store.count(rumor, contact))
    }

    /// How old the events are that are still to be told.
    pub(crate) fn told_ages(&self, now: Instant) -> impl Iterator<Item = Duration> + '_ {
        self.store.iter().flat_map(move |store| store.told_ages(now))
    }

    /// A round is over: what has been counted to the end is not told any more.
    pub(crate) fn end_round(&mut self, now: Instant, limits: &Limits) {
        if let Some(store) = &mut self.store {
            store.end_round(now, limits);
        }
    }

    /// What was learnt at `since` or later and was not to be told by itself in the last [`offer`](Self::offer), highest
    /// priority first, of one priority newest first: for a caller who lacks something.
    pub(crate) fn recent(&self, now: Instant, since: Instant) -> impl Iterator<Item = wire::Rumor<'_, A>> {
        self.store.iter().flat_map(move |store| store.recent(now, since))
    }

    /// The kept events as what nodes compare.
    pub(crate) fn items(&self) -> impl Iterator<Item = (u32, sync::sketch::Item)> + '_ {
        self.store.iter().flat_map(|store| store.items())
    }

    /// Whether an event is kept.
    pub(crate) fn keeps(&self, id: &EventId<A>) -> bool {
        self.store.as_ref().is_some_and(|store| store.keeps(id))
    }

    /// An event, if it is kept, as this node tells it.
    pub(crate) fn find(&self, now: Instant, id: &EventId<A>) -> Option<wire::Rumor<'_, A>> {
        self.store.as_ref()?.find(now, id)
    }

    /// The event in a slot, if there is one, as this node tells it.
    pub(crate) fn told(&self, now: Instant, slot: u32) -> Option<wire::Rumor<'_, A>> {
        self.store.as_ref()?.told(now, slot)
    }

    /// The events in slots from `start` on that fall into the buckets of `mask`.
    pub(crate) fn in_buckets(
        &self,
        now: Instant,
        start: u32,
        bits: u8,
        mask: u64,
    ) -> impl Iterator<Item = (u32, wire::Rumor<'_, A>)> {
        self.store.iter().flat_map(move |store| store.in_buckets(now, start, bits, mask))
    }

    #[cfg(any(test, fuzzing, feature = "check"))]
    pub(crate) fn check(&self, config: &Config) {
        if let Some(store) = &self.store {
            store.check(config);
        }
    }
}
