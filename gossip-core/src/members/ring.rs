//! The members in the order of their hashed identities: who tells a range of identities finds them here.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use core::ops::RangeInclusive;

use super::{Members, SELF, Slot};
use crate::address::Address;
use crate::sync::member_identity;

/// The members by identity, live or not, those left out that stand in the sorted list of the view.
pub(super) type Ring = BTreeSet<(u32, Slot)>;

impl<A: Address> Members<A> {
    /// Keeps the order from now on, or not. Grows with N, or with what the table holds otherwise than a large view: for a new
    /// configuration only.
    pub(crate) fn keep_ring(&mut self, wanted: bool) {
        self.ring = wanted.then(Box::default);
        if !wanted {
            return;
        }
        let slots: alloc::vec::Vec<Slot> = match self.sketched() {
            Some(_) => self.differing_once(),
            None => self.slots_from(SELF).collect(),
        };
        for slot in slots {
            if self.get(slot).is_some() {
                self.enter_ring(slot);
            }
        }
    }

    /// A member came to stand in a slot.
    pub(super) fn enter_ring(&mut self, slot: Slot) {
        if self.ring.is_none() || slot == SELF {
            return;
        }
        let identity = member_identity(&self.entry(slot).addr());
        let common =
            self.sketched().is_some_and(|(_, sketches)| sketches.slots_of(identity).any(|other| other == slot));
        if let Some(ring) = self.ring.as_mut().filter(|_| !common) {
            ring.insert((identity, slot));
        }
    }

    /// A member is to be forgotten.
    pub(super) fn leave_ring(&mut self, slot: Slot) {
        if self.ring.is_some() {
            let identity = member_identity(&self.entry(slot).addr());
            if let Some(ring) = &mut self.ring {
                ring.remove(&(identity, slot));
            }
        }
    }

    /// The live members other than this node whose identities lie in a range, in no particular but reproducible order; nobody
    /// unless the order is kept.
    pub(crate) fn within(&self, range: RangeInclusive<u32>) -> impl Iterator<Item = Slot> + '_ {
        let common =
            self.ring.as_ref().and_then(|_| self.sketched()).map(|(_, sketches)| sketches.within(range.clone()));
        let bounds = (*range.start(), 0)..=(*range.end(), Slot::MAX);
        let own = self.ring.iter().flat_map(move |ring| ring.range(bounds.clone()).copied());
        common
            .into_iter()
            .flatten()
            .chain(own)
            .filter_map(|(identity, slot)| self.is_peer(identity, slot).then_some(slot))
    }

    /// The live member whose identity is the first from `from` on within the range, or the first in it when there is none: drawn
    /// at random as `from` is, but for the gaps between identities. Not `except`, and not this node.
    pub(crate) fn successor(&self, range: RangeInclusive<u32>, from: u32, except: Option<Slot>) -> Option<Slot> {
        let first = |range: RangeInclusive<u32>| {
            let fits = |&(identity, slot): &(u32, Slot)| Some(slot) != except && self.is_peer(identity, slot);
            let common = self.ring.as_ref().and_then(|_| self.sketched());
            let common = common.and_then(|(_, sketches)| sketches.within(range.clone()).find(fits));
            let bounds = (*range.start(), 0)..=(*range.end(), Slot::MAX);
            let own = self.ring.as_ref().and_then(|ring| ring.range(bounds).copied().find(fits));
            [common, own].into_iter().flatten().min().map(|(_, slot)| slot)
        };
        first(from..=*range.end()).or_else(|| first(*range.start()..=from))
    }

    /// Whether a live member of this identity stands in the slot, which may be another's meanwhile.
    fn is_peer(&self, identity: u32, slot: Slot) -> bool {
        let live = |slot| self.get(slot).filter(|entry| entry.state.is_live());
        slot != SELF && live(slot).is_some_and(|entry| member_identity(&entry.addr()) == identity)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::member::{Claim, MemberState, Metadata};
    use crate::node::Setup;
    use crate::rng::Rng;
    use crate::view::SharedView;

    /// All that there is to see of the ring, found by a look at all members.
    fn check(members: &Members<u16>, rng: &mut Rng) {
        let identity = |slot: Slot| member_identity(&members.entry(slot).addr());
        let mut peers: Vec<(u32, Slot)> = members.peers().iter().map(|&slot| (identity(slot), slot)).collect();
        peers.sort_unstable();
        for _ in 0..20 {
            let (a, b) = (rng.next_u64() as u32, rng.next_u64() as u32);
            let range = a.min(b)..=a.max(b);
            let mut within: Vec<Slot> = members.within(range.clone()).collect();
            within.sort_unstable();
            let mut expected: Vec<(u32, Slot)> = peers.clone();
            expected.retain(|(identity, _)| range.contains(identity));
            let from = range.start() + (range.end() - range.start()) / 3;
            let next = expected.iter().find(|(identity, _)| *identity >= from).or_else(|| expected.first());
            assert_eq!(members.successor(range.clone(), from, None), next.map(|&(_, slot)| slot));
            if let Some(&(_, slot)) = next {
                let other = members.successor(range, from, Some(slot));
                assert_eq!(other.is_some(), expected.len() > 1);
                assert_ne!(other, Some(slot));
            }
            let mut slots: Vec<Slot> = expected.into_iter().map(|(_, slot)| slot).collect();
            slots.sort_unstable();
            assert_eq!(within, slots);
        }
    }

    #[test]
    fn ranges_hold_the_live_members_whatever_happens_with_and_without_a_view() {
        let mut rng = Rng::new(11);
        let view = SharedView::new((0..40).map(Setup::new)).unwrap();
        let mut tables = [
            Members::new(7_u16, 0, Metadata::default(), 1),
            Members::with_view(7, 0, Metadata::default(), 1, Some(view.inner())),
        ];
        tables.iter_mut().for_each(|members| members.keep_ring(true));
        for turn in 1..3_000 {
            let addr = rng.below(80) as u16;
            let states = [MemberState::Alive, MemberState::Suspect, MemberState::Dead, MemberState::Left];
            let claim = Claim { incarnation: turn, state: states[rng.below(4) as usize] };
            let forget = rng.below(2) == 0;
            for members in &mut tables {
                match members.find(&addr) {
                    Some(SELF) => {}
                    Some(slot) if forget && !members.entry(slot).state.is_live() => members.remove(slot),
                    Some(slot) => members.set(slot, claim, None),
                    None => drop(members.insert(addr, claim, None)),
                }
            }
            if turn.is_multiple_of(100) {
                let renewed = view.renewed_by(&tables[1]);
                tables[1].rebase(&renewed.inner());
                tables.iter().for_each(|members| check(members, &mut rng));
            }
        }
        // Kept anew from what is there.
        for members in &mut tables {
            members.keep_ring(false);
            assert_eq!(members.within(0..=u32::MAX).count(), 0);
            members.keep_ring(true);
            check(members, &mut rng);
        }
    }
}
