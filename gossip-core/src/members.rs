//! The member table.
//!
//! Members live in slots that keep their number for as long as the member is remembered, so that backlog, suspicions and
//! timers can name a member by its slot. The live ones (alive or suspected) are listed densely beside: a random live member
//! costs one draw. No operation here grows with the number of members, except where it says so.

#[cfg(any(test, fuzzing, feature = "check"))]
mod check;
#[cfg(test)]
mod model;
mod rebase;
mod ring;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashTable};

use crate::address::Address;
use crate::changes::Changes;
use crate::member::{Claim, MemberState, Metadata};
use crate::name::{Names, split_name};
use crate::node::lines_of;
use crate::overlay::Overlay;
use crate::permutation::Permutation;
use crate::rng::Rng;
use crate::sync::{self, Digests};
use crate::view::View;

/// Names a slot of the table.
pub(crate) type Slot = u32;

/// The slot of the node itself.
pub(crate) const SELF: Slot = 0;

const NOT_LIVE: u32 = u32::MAX;
const FREE: u32 = u32::MAX - 1;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry<A: Address> {
    pub(crate) addr: A::Stored,
    pub(crate) incarnation: u32,
    /// Place in the list of the live, or [`NOT_LIVE`], or [`FREE`].
    position: u32,
    pub(crate) state: MemberState,
}

impl<A: Address> Entry<A> {
    /// A member that is in no list yet.
    fn new(addr: A::Stored) -> Self {
        Self { addr, incarnation: 0, position: NOT_LIVE, state: MemberState::Left }
    }

    /// An alive member at a place in the list of the live.
    pub(crate) fn alive(addr: A::Stored, incarnation: u32, position: u32) -> Self {
        Self { addr, incarnation, position, state: MemberState::Alive }
    }

    pub(crate) fn addr(&self) -> A {
        self.addr.into()
    }

    /// Whether nobody is in its slot.
    pub(crate) fn is_free(&self) -> bool {
        self.position == FREE
    }

    /// Nobody is in its slot any more.
    pub(crate) fn free(&mut self) {
        self.position = FREE;
    }

    /// It stands at a place in the list of the live.
    pub(crate) fn list(&mut self, position: u32) {
        self.position = position;
    }

    pub(crate) fn claim(&self) -> Claim {
        Claim { incarnation: self.incarnation, state: self.state }
    }
}

/// The running probe cycle: a random order of the places of the live list from `start` on, and how far it has come.
#[derive(Debug, Clone)]
struct Cycle {
    start: u32,
    order: Permutation,
    next: u32,
}

/// Metadata by slot; nothing for a member of the view that is gone, or that is held to have none.
type OwnMetadata = HashMap<Slot, Option<VersionedMetadata>, FixedState>;

/// Metadata of a member with their version.
pub(crate) type VersionedMetadata = (u32, Box<[u8]>);

/// In C's order, what every datagram needs in front: see [`Node`](crate::Node).
#[derive(Debug, Clone)]
#[repr(C)]
pub(crate) struct Members<A: Address> {
    /// What this table began with, if others did as well.
    view: Option<Arc<View<A>>>,
    /// What distinguishes the live members from those of the view.
    digests: Digests,
    incarnation: u32,
    /// Members in use that are not alive.
    not_alive: u32,
    /// The node itself, as it stands at [`SELF`] among the entries, which are elsewhere: every datagram needs it.
    local: A::Stored,
    entries: Overlay<Entry<A>>,
    /// The live members other than this node, in no particular but reproducible order.
    live: Overlay<Slot>,
    cycle: Option<Cycle>,
    /// Slots by the hash of their address, those that the view leads to left out.
    index: HashTable<Slot>,
    hasher: FixedState,
    free: Vec<Slot>,
    /// Metadata where they are not those of the view. Most members may have none, and so there may be none.
    metadata: Option<Box<OwnMetadata>>,
    /// The names, if they are wanted.
    names: Option<Box<Names>>,
    /// The order by identity, if it is wanted.
    ring: Option<Box<ring::Ring>>,
    changes: Changes<A::Stored>,
}

impl<A: Address> Members<A> {
    /// A table that holds the node itself, alive, at slot [`SELF`].
    #[cfg(test)]
    pub(crate) fn new(local: A, incarnation: u32, metadata: Metadata<'_>, hash_seed: u64) -> Self {
        Self::with_view(local, incarnation, metadata, hash_seed, None)
    }

    /// A table that holds the node itself and the members of `view`.
    pub(crate) fn with_view(
        local: A,
        incarnation: u32,
        metadata: Metadata<'_>,
        hash_seed: u64,
        view: Option<Arc<View<A>>>,
    ) -> Self {
        Self::with_hasher(local, incarnation, metadata, &FixedState::with_seed(hash_seed), view)
    }

    fn with_hasher(
        local: A,
        incarnation: u32,
        metadata: Metadata<'_>,
        hasher: &FixedState,
        view: Option<Arc<View<A>>>,
    ) -> Self {
        let myself = alloc::vec![Entry::new(local.into())];
        let mut members = Self {
            entries: Overlay::shared(myself, view.as_ref().map_or_else(Arc::default, |view| view.entries.clone())),
            free: view.as_ref().map_or_else(Vec::new, |view| view.holes.clone()),
            index: HashTable::new(),
            hasher: hasher.clone(),
            live: Overlay::shared(Vec::new(), view.as_ref().map_or_else(Arc::default, |view| view.live.clone())),
            local: local.into(),
            incarnation,
            // The node itself, until it is set below.
            not_alive: 1,
            metadata: None,
            names: None,
            ring: None,
            digests: Digests::default(),
            changes: Changes::default(),
            cycle: None,
            view,
        };
        if let Some(slot) = members.find(&local) {
            members.remove(slot);
        }
        members.enter(SELF);
        let stated = (metadata.version > 0).then_some(metadata);
        members.set(SELF, Claim { incarnation, state: MemberState::Alive }, stated);
        members.digests.shrink();
        members
    }

    /// Remembered members of every state, this node included.
    pub(crate) fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Live members, this node included if it has not left.
    pub(crate) fn live_count(&self) -> u32 {
        self.live.len() as u32 + u32::from(self.entries.at(SELF).state.is_live())
    }

    /// The address of the node itself.
    #[inline]
    pub(crate) fn local(&self) -> A {
        self.local.into()
    }

    /// The incarnation of the node itself.
    #[inline]
    pub(crate) fn incarnation(&self) -> u32 {
        self.incarnation
    }

    /// Whether all that are in the table are alive, none of them suspected, dead or gone.
    #[inline]
    pub(crate) fn all_alive(&self) -> bool {
        self.not_alive == 0
    }

    /// Live members other than this node.
    pub(crate) fn peers(&self) -> &Overlay<Slot> {
        &self.live
    }

    /// The digest of the live members.
    pub(crate) fn digest(&self) -> u32 {
        self.digests.total() ^ self.view.as_ref().map_or(0, |view| view.digests.total())
    }

    /// The digest of those in bucket `number` of 2^`bits`.
    pub(crate) fn bucket_digest(&self, number: usize, bits: u8) -> u32 {
        self.digests.bucket(number, bits) ^ self.view.as_ref().map_or(0, |view| view.digests.bucket(number, bits))
    }

    pub(crate) fn changes(&self) -> &Changes<A::Stored> {
        &self.changes
    }

    pub(crate) fn changes_mut(&mut self) -> &mut Changes<A::Stored> {
        &mut self.changes
    }

    #[inline]
    pub(crate) fn find(&self, addr: &A) -> Option<Slot> {
        self.find_entry(addr).map(|(slot, _)| slot)
    }

    /// The member at an address, and what is known of it.
    #[inline]
    pub(crate) fn find_entry(&self, addr: &A) -> Option<(Slot, &Entry<A>)> {
        let addr = A::Stored::from(*addr);
        match &self.view {
            Some(view) => self.find_common(view, addr),
            None => self.find_own(addr),
        }
    }

    #[inline(never)]
    fn find_common<'a>(&'a self, view: &'a View<A>, addr: A::Stored) -> Option<(Slot, &'a Entry<A>)> {
        let Some((slot, entry)) = view.find_entry(addr) else { return self.find_own(addr) };
        if self.entries.is_common(slot) {
            return Some((slot, entry));
        }
        // The member may have been forgotten since, and the slot be another's.
        let known = self.get(slot).filter(|entry| entry.addr == addr);
        known.map(|entry| (slot, entry)).or_else(|| self.find_own(addr))
    }

    #[inline]
    fn find_own(&self, addr: A::Stored) -> Option<(Slot, &Entry<A>)> {
        let slot = *self.index.find(self.hasher.hash_one(addr), |&slot| self.entries.at(slot).addr == addr)?;
        Some((slot, self.entries.at(slot)))
    }

    /// How many bytes of a table, from its front, a datagram needs, and who is to draw members.
    pub(crate) const FRONT_LEN: usize = core::mem::offset_of!(Self, entries) + Overlay::<Entry<A>>::FRONT_LEN;
    pub(crate) const DRAW_LEN: usize = core::mem::offset_of!(Self, index);

    /// What this table began with, if others did as well.
    #[inline]
    pub(crate) fn view(&self) -> Option<&View<A>> {
        self.view.as_deref()
    }

    /// The entry of a slot that is in use.
    pub(crate) fn entry(&self, slot: Slot) -> &Entry<A> {
        let entry = self.entries.at(slot);
        debug_assert!(entry.position != FREE, "slot {slot} is free");
        entry
    }

    /// The entry, if the slot is in use.
    pub(crate) fn get(&self, slot: Slot) -> Option<&Entry<A>> {
        self.entries.get(slot).filter(|entry| entry.position != FREE)
    }

    pub(crate) fn metadata(&self, slot: Slot) -> Metadata<'_> {
        let known = match self.metadata.as_ref().and_then(|metadata| metadata.get(&slot)) {
            Some(own) => own.as_ref(),
            None => self.view.as_ref().and_then(|view| view.metadata(slot)),
        };
        known.map_or(Metadata::default(), |(version, bytes)| Metadata { version: *version, bytes })
    }

    fn own_metadata(&mut self) -> &mut OwnMetadata {
        self.metadata.get_or_insert_with(|| Box::new(HashMap::with_hasher(self.hasher.clone())))
    }

    /// Keeps an index of the members' names from now on, or none. Grows with N: for a new configuration only.
    pub(crate) fn keep_names(&mut self, wanted: bool) {
        self.names = None;
        if !wanted {
            return;
        }
        let mut names = Names::new(self.hasher.clone());
        self.slots_from(SELF).for_each(|slot| names.replace(slot, &[], self.metadata(slot).bytes));
        self.names = Some(Box::new(names));
    }

    /// The members that have a name, live or not; nobody without an index of the names.
    pub(crate) fn named<'n>(&'n self, name: &'n str) -> impl Iterator<Item = Slot> + 'n {
        let candidates = self.names.iter().flat_map(move |names| names.candidates(name));
        candidates.filter(move |&slot| split_name(self.metadata(slot).bytes).is_some_and(|(found, _)| found == name))
    }

    /// A member has a name, or none, in front of its new metadata.
    fn rename(&mut self, slot: Slot, metadata: &[u8]) {
        if let Some(mut names) = self.names.take() {
            names.replace(slot, self.metadata(slot).bytes, metadata);
            self.names = Some(names);
        }
    }

    /// Slots in use, from `start` on. Grows with N: for pages and snapshots only.
    pub(crate) fn slots_from(&self, start: Slot) -> impl Iterator<Item = Slot> + '_ {
        (start..self.entries.len() as Slot).filter(|&slot| self.entries.at(slot).position != FREE)
    }

    /// The live members as what nodes compare. Grows with N: for anti-entropy only.
    pub(crate) fn items(&self) -> impl Iterator<Item = (Slot, sync::sketch::Item)> + '_ {
        self.slots_from(SELF).filter_map(|slot| Some((slot, sync::member_item(self.fingerprint(slot)?))))
    }

    /// Adds a member that is not in the table.
    pub(crate) fn insert(&mut self, addr: A, claim: Claim, metadata: Option<Metadata<'_>>) -> Slot {
        let entry = Entry::new(addr.into());
        self.not_alive += 1;
        let slot = match self.free.pop() {
            Some(slot) => {
                self.entries.update(slot, |place| *place = entry);
                slot
            }
            None => {
                self.entries.push(entry);
                (self.entries.len() - 1) as Slot
            }
        };
        self.enter(slot);
        self.enter_ring(slot);
        self.set(slot, claim, metadata);
        slot
    }

    /// Makes the member in a slot known by its address.
    fn enter(&mut self, slot: Slot) {
        let Self { index, hasher, entries, .. } = self;
        let hash_of = |&slot: &Slot| hasher.hash_one(entries.at(slot).addr);
        index.insert_unique(hash_of(&slot), slot, hash_of);
    }

    /// Replaces what is known of a member; `None` leaves its metadata as they are.
    pub(crate) fn set(&mut self, slot: Slot, claim: Claim, metadata: Option<Metadata<'_>>) {
        self.digests.toggle(self.fingerprint(slot));
        let (addr, position, before) = self.entries.update(slot, |entry| {
            entry.incarnation = claim.incarnation;
            let before = core::mem::replace(&mut entry.state, claim.state);
            (entry.addr, entry.position, before)
        });
        self.not_alive += u32::from(claim.state != MemberState::Alive);
        self.not_alive -= u32::from(before != MemberState::Alive);
        if slot == SELF {
            self.incarnation = claim.incarnation;
        } else {
            self.place(slot, claim.state.is_live(), position);
        }
        if let Some(Metadata { version, bytes }) = metadata {
            self.rename(slot, bytes);
            self.own_metadata().insert(slot, Some((version, bytes.into())));
        }
        self.digests.toggle(self.fingerprint(slot));
        self.changes.record(addr);
    }

    /// Forgets a member.
    pub(crate) fn remove(&mut self, slot: Slot) {
        debug_assert_ne!(slot, SELF, "a node does not forget itself");
        self.leave_ring(slot);
        let claim = Claim { incarnation: self.entry(slot).incarnation, state: MemberState::Left };
        self.set(slot, claim, None);
        self.rename(slot, &[]);
        if self.view.as_ref().is_some_and(|view| view.metadata(slot).is_some()) {
            self.own_metadata().insert(slot, None);
        } else if let Some(metadata) = &mut self.metadata {
            metadata.remove(&slot);
        }
        let hash = self.hasher.hash_one(self.entries.at(slot).addr);
        if let Ok(found) = self.index.find_entry(hash, |&other| other == slot) {
            found.remove();
        }
        self.entries.update(slot, |entry| entry.position = FREE);
        self.not_alive -= 1;
        self.free.push(slot);
    }

    /// Lists a slot at `position` of the live, or at none, among them if it is live now, and takes it off the list if not.
    fn place(&mut self, slot: Slot, live: bool, position: u32) {
        if live && position == NOT_LIVE {
            let position = self.live.len() as u32;
            self.live.push(slot);
            self.entries.update(slot, |entry| entry.position = position);
            self.shuffle_in(slot);
        } else if !live && position != NOT_LIVE {
            self.entries.update(slot, |entry| entry.position = NOT_LIVE);
            if let Some(last) = self.live.pop().filter(|&last| last != slot) {
                self.live.update(position, |place| *place = last);
                self.entries.update(last, |entry| entry.position = position);
            }
        }
    }

    /// Gives a newcomer, which is the last of the list of the live, a random one of the places that are still to be probed in the
    /// running cycle (SWIM §4.3); who stood there is probed behind the others. Were newcomers just the last, nodes that learnt of
    /// the same ones in the same order would not probe them for a whole cycle, and then all at the same time.
    fn shuffle_in(&mut self, slot: Slot) {
        let Some(Cycle { start, order, next }) = &self.cycle else { return };
        let last = self.live.len() as u32 - 1;
        // Those behind the cycle's range, the newcomer included, come in a random order already.
        let (left, behind) = (order.len() - next, (last + 1).saturating_sub(start + order.len()));
        let draw = ((self.hasher.hash_one((slot, *next)) >> 32) * u64::from(left + behind)) >> 32;
        if draw >= u64::from(left) {
            return;
        }
        let place = start + order.at(next + draw as u32);
        if place < last {
            let displaced = self.live.update(place, |place| core::mem::replace(place, slot));
            self.live.update(last, |place| *place = displaced);
            self.entries.update(slot, |entry| entry.position = place);
            self.entries.update(displaced, |entry| entry.position = last);
        }
    }

    /// What a live member adds to the digests; nothing for one that is not live.
    fn fingerprint(&self, slot: Slot) -> Option<(u32, u32)> {
        let entry = self.entries.at(slot);
        entry.state.is_live().then(|| sync::member_fingerprint(&entry.addr(), entry.incarnation, self.metadata(slot)))
    }

    /// Up to `count` distinct random live members, none of them `except`. Draws with rejection, so that the cost is that of
    /// `count`, not of N.
    pub(crate) fn random_peers(&self, count: usize, except: Option<Slot>, rng: &mut Rng, chosen: &mut Vec<Slot>) {
        chosen.clear();
        let excluded = usize::from(except.is_some_and(|slot| self.get(slot).is_some_and(|e| e.position != NOT_LIVE)));
        let wanted = count.min(self.live.len().saturating_sub(excluded));
        if wanted * 2 >= self.live.len() {
            // Nearly all of a small cluster: a partial shuffle of a copy, since rejection would take long.
            chosen.extend(self.live.iter().copied().filter(|&slot| Some(slot) != except));
            for i in 0..wanted {
                let j = i + rng.below((chosen.len() - i) as u32) as usize;
                chosen.swap(i, j);
            }
            chosen.truncate(wanted);
            return;
        }
        while chosen.len() < wanted {
            let slot = *self.live.at(rng.below(self.live.len() as u32));
            if Some(slot) != except && !chosen.contains(&slot) {
                chosen.push(slot);
            }
        }
    }

    /// The place in the list of the live at which [`next_probe`](Self::next_probe) will look, as far as it can be told.
    fn place_of_probe(&self) -> Option<u32> {
        let Cycle { start, order, next } = self.cycle.as_ref()?;
        (*next < order.len()).then(|| start + order.at(*next))
    }

    /// Tells `line` where that place is in memory.
    pub(crate) fn lines_of_draw(&self, line: &mut impl FnMut(*const u8)) {
        if let Some(slot) = self.place_of_probe().and_then(|place| self.live.get(place)) {
            line(core::ptr::from_ref(slot).cast());
        }
    }

    /// And where the entry of the member is who stands there.
    pub(crate) fn lines_of_drawn(&self, line: &mut impl FnMut(*const u8)) {
        let slot = self.place_of_probe().and_then(|place| self.live.get(place));
        if let Some(entry) = slot.and_then(|&slot| self.entries.get(slot)) {
            lines_of(core::ptr::from_ref(entry), line);
        }
    }

    /// The next member to probe: round-robin in a random order that is drawn anew for every cycle (SWIM §4.3).
    ///
    /// A member that leaves the list of the live moves the last one into its place, so in a cycle with departures a member
    /// may come twice or not at all; the next cycle has it again.
    pub(crate) fn next_probe(&mut self, rng: &mut Rng) -> Option<Slot> {
        let count = self.live.len() as u32;
        if count == 0 {
            return None;
        }
        loop {
            let mut start = 0;
            if let Some(cycle) = &mut self.cycle {
                if cycle.next < cycle.order.len() {
                    let place = cycle.start + cycle.order.at(cycle.next);
                    cycle.next += 1;
                    match self.live.get(place) {
                        Some(&slot) => return Some(slot),
                        None => continue,
                    }
                }
                // What came to stand behind the range since follows, in a random order too.
                start = cycle.start + cycle.order.len();
            }
            if start >= count {
                start = 0;
            }
            self.cycle = Some(Cycle { start, order: Permutation::new(count - start, rng), next: 0 });
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use super::*;

    const ALIVE: Claim = Claim { incarnation: 0, state: MemberState::Alive };

    fn table(peers: u16) -> Members<u16> {
        let mut members = Members::new(0, 0, Metadata::default(), 1);
        for addr in 1..=peers {
            members.insert(addr, ALIVE, None);
        }
        members
    }

    #[test]
    fn slots_survive_the_removal_of_others() {
        let mut members = table(4);
        let three = members.find(&3).unwrap();
        members.remove(members.find(&1).unwrap());
        assert_eq!(members.find(&1), None);
        assert_eq!(members.entry(three).addr(), 3);
        assert_eq!((members.len(), members.live_count()), (4, 4));
        let metadata = Metadata { version: 1, bytes: b"meta" };
        members.insert(9, ALIVE, Some(metadata));
        assert_eq!(members.metadata(members.find(&9).unwrap()), metadata);
        assert_eq!(members.live_count(), 5);
    }

    #[test]
    fn the_digest_depends_on_the_members_not_on_the_way_there() {
        let mut one = table(3);
        let mut other = Members::new(3, 0, Metadata::default(), 99);
        for addr in [2, 0, 1] {
            other.insert(addr, ALIVE, None);
        }
        assert_eq!(one.digest(), other.digest());
        let slot = one.find(&2).unwrap();
        one.set(slot, Claim { incarnation: 0, state: MemberState::Suspect }, None);
        assert_eq!(one.digest(), other.digest(), "a suspect is still a member");
        one.set(slot, Claim { incarnation: 1, state: MemberState::Alive }, None);
        assert_ne!(one.digest(), other.digest());
        one.set(slot, Claim { incarnation: 1, state: MemberState::Dead }, None);
        other.remove(other.find(&2).unwrap());
        assert_eq!(one.digest(), other.digest(), "the dead and the forgotten are alike");
    }

    #[test]
    fn every_member_is_probed_once_a_cycle_and_joiners_within_it() {
        let mut rng = Rng::new(3);
        let mut members = table(10);
        for _ in 0..5 {
            let mut seen = BTreeMap::new();
            for _ in 0..10 {
                *seen.entry(members.next_probe(&mut rng).unwrap()).or_insert(0) += 1;
            }
            assert!(seen.len() == 10 && seen.values().all(|&n| n == 1), "{seen:?}");
        }
        members.next_probe(&mut rng);
        members.insert(11, ALIVE, None);
        let joined = members.find(&11).unwrap();
        assert!((0..10).any(|_| members.next_probe(&mut rng) == Some(joined)));
    }

    #[test]
    fn nodes_that_learnt_the_members_in_one_order_probe_them_in_different_ones() {
        // A join through one seed: everybody knew `early` when its cycle began, and learns the rest in one order.
        const NODES: u64 = 256;
        for early in [1, 8, 48] {
            let mut probes = [[0_u32; 65]; 2];
            for seed in 0..NODES {
                let mut rng = Rng::new(seed);
                let mut members = Members::new(0, 0, Metadata::default(), seed);
                (1..=early).for_each(|addr| _ = members.insert(addr, ALIVE, None));
                members.next_probe(&mut rng);
                (early + 1..=64).for_each(|addr| _ = members.insert(addr, ALIVE, None));
                for i in 0..32 {
                    let probed = members.next_probe(&mut rng).unwrap();
                    probes[usize::from(i > 0)][probed as usize] += 1;
                }
            }
            let most = *probes[0].iter().max().unwrap();
            assert!(
                most <= 14,
                "{early}: {most} of {NODES} nodes probe the same member at the same time, 4 on average"
            );
            // 31 probes by 256 nodes: 124 for each of 64 members.
            let last = probes[1][64];
            assert!(last >= 80, "{early}: the last to join is probed {last} times in half a cycle");
        }
    }

    #[test]
    fn random_peers_are_distinct_and_never_the_excepted() {
        let mut rng = Rng::new(4);
        let members = table(20);
        let mut chosen = Vec::new();
        for count in 0..25 {
            members.random_peers(count, Some(5), &mut rng, &mut chosen);
            assert_eq!(chosen.len(), count.min(19));
            let mut sorted = chosen.clone();
            sorted.sort_unstable();
            sorted.dedup();
            assert_eq!(sorted.len(), chosen.len());
            assert!(!chosen.contains(&5) && !chosen.contains(&SELF));
        }
    }
}
