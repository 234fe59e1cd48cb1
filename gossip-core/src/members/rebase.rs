//! What a table that shares a view saves: it moves to a view that is nearer to what it holds, and anti-entropy looks only at what
//! it holds otherwise.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Members, SELF, Slot};
use crate::address::Address;
use crate::member::Metadata;
use crate::sync::sketch::{self, Item, SYMBOLS_MAX, Symbol};
use crate::sync::{self, BUCKET_BITS_MAX, BUCKETS_MAX};
use crate::view::{Sketches, View};

/// Where the members of a table went that moved to another view.
pub(crate) struct Moved(Vec<(Slot, Option<Slot>)>);

impl Moved {
    /// The slot now of the member that was in a slot; none where there was nobody.
    pub(crate) fn slot(&self, old: Slot) -> Option<Slot> {
        match self.0.binary_search_by_key(&old, |&(old, _)| old) {
            Ok(place) => self.0[place].1,
            Err(_) => Some(old),
        }
    }
}

impl<A: Address> Members<A> {
    /// Refers to another view from now on, and holds what it held. The live ones come to stand in another order, and a new cycle of
    /// probes begins. Costs what this table holds otherwise than its view, and what is otherwise in the new one, if that is
    /// the former renewed; else a look at all.
    pub(crate) fn rebase(&mut self, view: &Arc<View<A>>) -> Moved {
        let own = self.entry(SELF).clone();
        let candidates = self.candidates(view);
        let stated = self.metadata(SELF);
        let mut table = Self::with_hasher(own.addr(), own.incarnation, stated, &self.hasher, Some(view.clone()));
        if table.entry(SELF).claim() != own.claim() {
            table.set(SELF, own.claim(), None);
        }
        let mut moved = Vec::with_capacity(candidates.len());
        for &slot in candidates.iter().filter(|&&slot| slot != SELF) {
            moved.push((slot, self.get(slot).is_some().then(|| table.take_over(self, slot))));
        }
        for addr in candidates.iter().filter_map(|&slot| view.addr(slot)) {
            if self.find(&addr).is_none()
                && let Some(unknown) = table.find(&addr)
            {
                table.remove(unknown);
            }
        }
        table.digests.shrink();
        table.changes = core::mem::take(&mut self.changes);
        table.keep_names(self.names.is_some());
        table.keep_ring(self.ring.is_some());
        debug_assert_eq!(table.digest(), self.digest(), "the same members");
        *self = table;
        self.shrink();
        Moved(moved)
    }

    /// Holds of a member what `other` holds of it, whose slot there this is.
    fn take_over(&mut self, other: &Self, slot: Slot) -> Slot {
        let (entry, metadata) = (other.entry(slot), other.metadata(slot));
        let Some(known) = self.find(&entry.addr()) else {
            return self.insert(entry.addr(), entry.claim(), Some(metadata).filter(|metadata| metadata.version > 0));
        };
        let newer = Some(metadata).filter(|metadata| *metadata != self.metadata(known));
        if newer.is_some_and(|metadata| metadata.version == 0) {
            self.digests.toggle(self.fingerprint(known));
            self.own_metadata().insert(known, None);
            self.digests.toggle(self.fingerprint(known));
        }
        let newer = newer.filter(|metadata: &Metadata<'_>| metadata.version > 0);
        if newer.is_some() || self.entry(known).claim() != entry.claim() {
            self.set(known, entry.claim(), newer);
        }
        known
    }

    /// Whether the live members are those of a view, each with its incarnation and metadata. Costs what this table holds otherwise if
    /// that is the view that it refers to, else a look at all.
    pub(crate) fn equals(&self, view: &Arc<View<A>>) -> bool {
        let holds = |slot: Slot| {
            let Some(addr) = view.addr(slot) else { return true };
            self.find(&addr).is_some_and(|own| self.fingerprint(own).is_some() && self.agrees(own, view, slot))
        };
        let equal = match &self.view {
            Some(own) if Arc::ptr_eq(own, view) => self.differing().all(holds),
            _ => (1..=view.entries.len() as Slot).all(holds),
        };
        // All of the view are there; as many as they are is nobody else.
        equal && self.live_count() as usize == view.live.len()
    }

    fn agrees(&self, own: Slot, view: &View<A>, slot: Slot) -> bool {
        let incarnation = view.entry(slot).is_some_and(|entry| entry.incarnation == self.entry(own).incarnation);
        incarnation && self.metadata(own) == view.metadata_of(slot)
    }

    /// The slots in which this table, or `view`, may be otherwise than this table's view, in order; all of both if nothing is
    /// known.
    fn candidates(&self, view: &View<A>) -> Vec<Slot> {
        let mut candidates = match self.view.as_ref().and_then(|former| view.changes_since(former)) {
            Some(changes) => changes.chain(self.differing()).collect(),
            None => (0..self.entries.len().max(view.entries.len() + 1) as Slot).collect::<Vec<_>>(),
        };
        candidates.sort_unstable();
        candidates.dedup();
        candidates
    }

    /// The slots in which this table may be otherwise than its view, in no order; some may come twice.
    fn differing(&self) -> impl Iterator<Item = Slot> + '_ {
        self.entries.differing().chain(self.metadata.iter().flat_map(|metadata| metadata.keys().copied()))
    }

    /// In how many slots at most this table is otherwise than its view.
    #[cfg(test)]
    pub(crate) fn differing_len(&self) -> usize {
        self.differing_once().len()
    }

    /// Gives up the room that is not needed.
    pub(crate) fn shrink(&mut self) {
        let Self { entries, free, index, hasher, live, metadata, .. } = self;
        index.shrink_to_fit(|&slot| core::hash::BuildHasher::hash_one(hasher, entries.at(slot).addr));
        entries.shrink();
        live.shrink();
        free.shrink_to_fit();
        metadata.take_if(|metadata| metadata.is_empty());
        if let Some(metadata) = metadata {
            metadata.shrink_to_fit();
        }
        self.digests.shrink();
        self.changes.shrink();
    }

    /// Adds the live members in some of 2^`bits` buckets to the symbols from number `first` on.
    pub(crate) fn add_to(&self, symbols: &mut [Symbol], first: u32, bits: u8, buckets: u64) {
        self.sum(symbols, first, bits, buckets, Symbol::add, [sketch::add, sketch::take]);
    }

    /// Takes them out of the symbols.
    pub(crate) fn take_from(&self, symbols: &mut [Symbol], bits: u8, buckets: u64) {
        self.sum(symbols, 0, bits, buckets, Symbol::take, [sketch::take, sketch::add]);
    }

    fn sum(
        &self,
        symbols: &mut [Symbol],
        first: u32,
        bits: u8,
        buckets: u64,
        merge: fn(&mut Symbol, Symbol),
        [put, undo]: [fn(&mut [Symbol], u32, Item); 2],
    ) {
        let within = |identity| buckets >> sync::bucket(identity, bits) & 1 == 1;
        let Some((view, sketches)) = self.sketched().filter(|_| first as usize + symbols.len() <= SYMBOLS_MAX as usize)
        else {
            self.items()
                .filter(|&(_, item)| within(sketch::identity(item)))
                .for_each(|(_, item)| put(symbols, first, item));
            return;
        };
        for bucket in (0..BUCKETS_MAX).filter(|bucket| buckets >> (bucket >> (BUCKET_BITS_MAX - bits)) & 1 == 1) {
            symbols.iter_mut().zip(sketches.row(bucket, first)).for_each(|(symbol, row)| merge(symbol, *row));
        }
        for slot in self.differing_once() {
            let mut change = |member: Option<(u32, u32)>, change: fn(&mut [Symbol], u32, Item)| {
                if let Some(member) = member.filter(|&(identity, _)| within(identity)) {
                    change(symbols, first, sync::member_item(member));
                }
            };
            change(view.fingerprint(slot), undo);
            change(self.live_fingerprint(slot), put);
        }
    }

    /// The slots of the live members that `accept` takes, in order. The identities of those that it may take are sorted.
    pub(crate) fn slots_of(&self, identities: &[u32], accept: impl Fn(Item) -> bool) -> Vec<Slot> {
        let accepted = |slot: Slot| self.live_fingerprint(slot).is_some_and(|member| accept(sync::member_item(member)));
        let Some((_, sketches)) = self.sketched() else {
            return self.items().filter(|&(_, item)| accept(item)).map(|(slot, _)| slot).collect();
        };
        let common = identities.iter().flat_map(|&identity| sketches.slots_of(identity));
        let mut slots: Vec<Slot> = common.chain(self.differing()).filter(|&slot| accepted(slot)).collect();
        slots.sort_unstable();
        slots.dedup();
        slots
    }

    pub(super) fn sketched(&self) -> Option<(&View<A>, &Sketches)> {
        let view = self.view.as_deref()?;
        Some((view, view.sketches.as_ref()?))
    }

    pub(super) fn differing_once(&self) -> Vec<Slot> {
        let mut slots: Vec<Slot> = self.differing().collect();
        slots.sort_unstable();
        slots.dedup();
        slots
    }

    fn live_fingerprint(&self, slot: Slot) -> Option<(u32, u32)> {
        self.get(slot)?;
        self.fingerprint(slot)
    }
}
