//! A membership that many nodes of one process begin with and share.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashTable};

use crate::address::Address;
use crate::config::ConfigError;
use crate::members::{Entry, Slot, VersionedMetadata};
use crate::node::Setup;
use crate::sync::{self, Digests};

/// The full membership of a cluster, for nodes that know it from birth: see [`Node::with_view`](crate::Node::with_view).
///
/// A clone is the same view. All nodes that are made with it share it for as long as they live, and each keeps only what it
/// knows otherwise: a simulation of a hundred thousand nodes, each of which knows them all, holds one table and not as many.
#[derive(Debug, Clone)]
pub struct SharedView<A: Address>(Arc<View<A>>);

impl<A: Address> SharedView<A> {
    /// The view in which the nodes that are born with these setups are all alive. Of two at one address the first counts.
    ///
    /// # Errors
    /// `incarnation` for one above 2^30.
    pub fn new<'m>(setups: impl IntoIterator<Item = Setup<'m, A>>) -> Result<Self, ConfigError>
    where
        A: 'm,
    {
        let mut view = View {
            entries: Arc::default(),
            live: Arc::default(),
            index: HashTable::new(),
            hasher: FixedState::default(),
            metadata: HashMap::with_hasher(FixedState::default()),
            metadata_len_max: 0,
            digests: Digests::default(),
        };
        let mut entries = Vec::new();
        for setup in setups {
            view.add(&mut entries, &setup)?;
        }
        view.live = (0..entries.len()).map(slot_of).collect();
        view.entries = entries.into();
        Ok(Self(Arc::new(view)))
    }

    /// Members in the view.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.entries.len()
    }

    /// Whether it holds nobody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The length of the longest metadata, bytes.
    pub(crate) fn metadata_len_max(&self) -> usize {
        self.0.metadata_len_max
    }

    pub(crate) fn inner(&self) -> Arc<View<A>> {
        self.0.clone()
    }
}

/// What the tables of the nodes refer to. Slot 0 is each node's own; the members of the view have the slots from 1 on.
#[derive(Debug)]
pub(crate) struct View<A: Address> {
    pub(crate) entries: Arc<[Entry<A>]>,
    pub(crate) live: Arc<[Slot]>,
    index: HashTable<Slot>,
    hasher: FixedState,
    pub(crate) metadata: HashMap<Slot, VersionedMetadata, FixedState>,
    metadata_len_max: usize,
    pub(crate) digests: Digests,
}

impl<A: Address> View<A> {
    fn add(&mut self, entries: &mut Vec<Entry<A>>, setup: &Setup<'_, A>) -> Result<(), ConfigError> {
        setup.check_incarnation()?;
        let addr = A::Stored::from(setup.local);
        let hash = self.hasher.hash_one(addr);
        if self.index.find(hash, |&slot| entries[place_of(slot)].addr == addr).is_some() {
            return Ok(());
        }
        let position = entries.len();
        let slot = slot_of(position);
        entries.push(Entry::alive(addr, setup.incarnation, position as u32));
        let hasher = &self.hasher;
        self.index.insert_unique(hash, slot, |&slot| hasher.hash_one(entries[place_of(slot)].addr));
        let metadata = setup.stated_metadata();
        if metadata.version > 0 {
            self.metadata.insert(slot, (metadata.version, metadata.bytes.into()));
            self.metadata_len_max = self.metadata_len_max.max(metadata.bytes.len());
        }
        self.digests.toggle(Some(sync::member_fingerprint(&setup.local, setup.incarnation, metadata)));
        Ok(())
    }

    /// Slots that a table with this view has at first.
    pub(crate) fn slots(&self) -> usize {
        self.entries.len() + 1
    }

    /// The slot that a member has as long as it is not forgotten.
    pub(crate) fn find(&self, addr: A::Stored) -> Option<Slot> {
        let hash = self.hasher.hash_one(addr);
        self.index.find(hash, |&slot| self.entries[place_of(slot)].addr == addr).copied()
    }
}

fn slot_of(place: usize) -> Slot {
    place as Slot + 1
}

fn place_of(slot: Slot) -> usize {
    slot as usize - 1
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use super::*;
    use crate::member::{Claim, MemberState, Metadata};
    use crate::members::{Members, SELF};
    use crate::rng::Rng;

    const LOCAL: u16 = 7;

    fn setup(addr: u16) -> Setup<'static, u16> {
        let metadata: &[u8] = if addr.is_multiple_of(3) { b"born with" } else { &[] };
        Setup { incarnation: u32::from(addr) % 2, metadata, ..Setup::new(addr) }
    }

    fn table(view: &SharedView<u16>) -> Members<u16> {
        Members::with_view(LOCAL, 2, Metadata::default(), 1, Some(view.inner()))
    }

    /// One that was told of the same members one by one.
    fn plain_table(last: u16) -> Members<u16> {
        let mut members = Members::new(LOCAL, 2, Metadata::default(), 1);
        for addr in (0..=last).filter(|&addr| addr != LOCAL) {
            let setup = setup(addr);
            let claim = Claim { incarnation: setup.incarnation, state: MemberState::Alive };
            members.insert(addr, claim, Some(setup.stated_metadata()).filter(|metadata| metadata.version > 0));
        }
        members
    }

    fn assert_same(one: &Members<u16>, other: &Members<u16>) {
        let all = |members: &Members<u16>| -> BTreeMap<u16, (Claim, u32, Vec<u8>)> {
            let member = |slot| {
                let (entry, metadata) = (members.entry(slot), members.metadata(slot));
                assert_eq!(members.find(&entry.addr()), Some(slot));
                (entry.addr(), (entry.claim(), metadata.version, metadata.bytes.to_vec()))
            };
            members.slots_from(SELF).map(member).collect()
        };
        let live = |members: &Members<u16>| {
            let mut live: Vec<u16> = members.peers().iter().map(|&slot| members.entry(slot).addr()).collect();
            live.sort_unstable();
            live
        };
        assert_eq!(all(one), all(other));
        assert_eq!(live(one), live(other));
        assert_eq!((one.len(), one.live_count()), (other.len(), other.live_count()));
        assert_eq!(one.digests().total(), other.digests().total());
        assert!((0..80).all(|addr| one.find(&addr).is_some() == other.find(&addr).is_some()));
    }

    #[test]
    fn a_table_with_a_view_is_the_table_that_learnt_its_members_one_by_one_whatever_happens() {
        let view = SharedView::new((0..40).chain(10..20).map(setup)).unwrap();
        assert_eq!(view.len(), 40);
        let (mut shared, mut plain) = (table(&view), plain_table(39));
        assert_same(&shared, &plain);
        let mut rng = Rng::new(3);
        for turn in 0..5_000_u32 {
            let addr = rng.below(80) as u16;
            let states = [MemberState::Alive, MemberState::Suspect, MemberState::Dead, MemberState::Left];
            let claim = Claim { incarnation: turn, state: states[rng.below(4) as usize] };
            let bytes = turn.to_be_bytes();
            let metadata = (rng.below(3) == 0).then_some(Metadata { version: turn + 1, bytes: &bytes });
            let forget = rng.below(2) == 0;
            for members in [&mut shared, &mut plain] {
                match members.find(&addr) {
                    Some(SELF) => members.set(SELF, Claim { state: MemberState::Alive, ..claim }, metadata),
                    Some(slot) if forget && !members.entry(slot).state.is_live() => members.remove(slot),
                    Some(slot) => members.set(slot, claim, metadata),
                    None => drop(members.insert(addr, claim, metadata)),
                }
            }
            if turn % 50 == 0 {
                assert_same(&shared, &plain);
            }
        }
        assert_same(&shared, &plain);
        assert_same(&table(&view), &plain_table(39));
    }

    #[test]
    fn a_node_that_is_not_in_the_view_knows_all_who_are() {
        let view = SharedView::new((20..30).map(setup)).unwrap();
        let members = table(&view);
        assert_eq!((members.len(), members.live_count(), members.find(&LOCAL)), (11, 11, Some(SELF)));
        let nobody = SharedView::new([]).unwrap();
        assert!(nobody.is_empty());
        assert_eq!(table(&nobody).live_count(), 1);
    }
}
