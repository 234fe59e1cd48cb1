//! Slots by the hash of their members' addresses, in open addressing with linear probing: one line of memory for a search, at a place
//! that is known before anything is read, so that it can be fetched ahead. A general hash table keeps what it compares and what
//! it finds in two places, and does not say where.
//!
//! Each place holds 32 bits of the hash beside the slot, so hardly ever is a member looked at that is not the one.

use alloc::vec::Vec;

use crate::members::{SELF, Slot};

/// Half of a hash, and a slot. Slot [`SELF`] is in no view: it marks places without a member, those that never had one with the hash 0.
type Place = (u32, Slot);

const NEVER: Place = (0, SELF);
const REMOVED: Place = (1, SELF);

/// The least number of places.
const PLACES_MIN: usize = 16;

/// An index of slots. At most two thirds of the places are taken or were: 13 bytes a member at 10,000.
#[derive(Debug, Clone, Default)]
pub(super) struct Index {
    /// None, or a power of two of them.
    places: Vec<Place>,
    /// Those that are not [`NEVER`].
    used: usize,
}

impl Index {
    /// Where a search for a hash begins.
    #[inline]
    pub(super) fn home(&self, hash: u64) -> *const u8 {
        self.places.as_ptr().wrapping_add(self.first(tag(hash))).cast()
    }

    /// What is found at the slot that was put in with `hash` and is the one.
    #[inline]
    pub(super) fn find<T>(&self, hash: u64, look_at: impl Fn(Slot) -> Option<T>) -> Option<T> {
        let tag = tag(hash);
        let mut at = self.first(tag);
        loop {
            let place = *self.places.get(at)?;
            if place == NEVER {
                return None;
            }
            if place.0 == tag
                && place.1 != SELF
                && let Some(found) = look_at(place.1)
            {
                return Some(found);
            }
            at = self.after(at);
        }
    }

    /// Puts in a slot that is not there.
    pub(super) fn insert(&mut self, hash: u64, slot: Slot) {
        debug_assert_ne!(slot, SELF, "a view has no place for the node itself");
        if (self.used + 1) * 3 > self.places.len() * 2 {
            self.make_room();
        }
        self.put((tag(hash), slot));
    }

    /// Takes out a slot that was put in with `hash`, if it is there.
    pub(super) fn remove(&mut self, hash: u64, slot: Slot) {
        let mut at = self.first(tag(hash));
        while let Some(place) = self.places.get_mut(at).filter(|place| **place != NEVER) {
            if place.1 == slot {
                *place = REMOVED;
                return;
            }
            at = self.after(at);
        }
    }

    /// At least twice as many places as members, and none that was one's.
    fn make_room(&mut self) {
        let members: Vec<Place> = self.places.iter().copied().filter(|place| place.1 != SELF).collect();
        let places = ((members.len() + 1) * 2).next_power_of_two().max(PLACES_MIN);
        self.places = alloc::vec![NEVER; places];
        self.used = 0;
        members.into_iter().for_each(|place| self.put(place));
    }

    fn put(&mut self, place: Place) {
        let mut at = self.first(place.0);
        while self.places[at] != NEVER {
            at = self.after(at);
        }
        self.places[at] = place;
        self.used += 1;
    }

    #[inline]
    fn first(&self, tag: u32) -> usize {
        tag as usize & self.places.len().wrapping_sub(1)
    }

    #[inline]
    fn after(&self, at: usize) -> usize {
        (at + 1) & (self.places.len() - 1)
    }
}

/// What is kept of a hash.
#[inline]
fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Hashes of which many collide, in part or altogether.
        #[test]
        fn an_index_is_a_map(steps in proptest::collection::vec((1..40_u32, any::<bool>()), 0..200)) {
            let hash = |slot: Slot| u64::from(slot % 7) << 32 | u64::from(slot);
            let (mut index, mut map) = (Index::default(), BTreeMap::new());
            for (slot, put) in steps {
                if put && map.insert(slot, ()).is_none() {
                    index.insert(hash(slot), slot);
                } else if !put {
                    map.remove(&slot);
                    index.remove(hash(slot), slot);
                }
                for slot in 1..40 {
                    let found = index.find(hash(slot), |found| (found == slot).then_some(found));
                    prop_assert_eq!(found, map.contains_key(&slot).then_some(slot));
                }
                prop_assert!(index.used * 3 <= index.places.len() * 2);
            }
        }
    }

    #[test]
    fn slots_that_come_and_go_take_no_more_room() {
        let mut index = Index::default();
        (1..=10).for_each(|slot| index.insert(u64::from(slot) << 32, slot));
        for slot in 11..10_000 {
            index.insert(u64::from(slot) << 32, slot);
            index.remove(u64::from(slot - 10) << 32, slot - 10);
        }
        assert!(index.places.len() <= 64, "{} places", index.places.len());
    }
}
