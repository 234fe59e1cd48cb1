//! A membership that many nodes of one process begin with and share.

mod index;

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::hash::BuildHasher;
use core::ops::RangeInclusive;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::address::Address;
use crate::config::ConfigError;
use crate::member::Metadata;
use crate::members::{Entry, Members, SELF, Slot, VersionedMetadata};
use crate::node::{Node, Setup, lines_of};
use crate::sync::sketch::{self, SYMBOLS_MAX, Symbol};
use crate::sync::{self, BUCKET_BITS_MAX, BUCKETS_MAX, Digests};
use index::Index;

/// The full membership of a cluster, for nodes that know it from birth: see [`Node::with_view`](crate::Node::with_view).
///
/// A clone is the same view. All nodes that are made with it share it, and each keeps only what it knows otherwise: a simulation of
/// a hundred thousand nodes, each of which knows them all, holds one table and not as many. As they learn the same, what each
/// keeps grows: then a [`renewed`](Self::renewed) view holds it once, and [`Node::share`] has a node refer to that.
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
        let mut draft = Draft::new();
        for setup in setups {
            setup.check_incarnation()?;
            draft.add(setup.local.into(), setup.incarnation, setup.stated_metadata());
        }
        Ok(Self(Arc::new(draft.into_view(None))))
    }

    /// This view as it has become: the members that `node` holds for alive or suspect, itself included. Nodes that share this view
    /// can [`share`](Node::share) the new one at a cost in proportion to what changed.
    ///
    /// Costs a look at all members. Where nothing changed, it is the same view.
    #[must_use]
    pub fn renewed(&self, node: &Node<A>) -> Self {
        self.renewed_by(node.table())
    }

    pub(crate) fn renewed_by(&self, members: &Members<A>) -> Self {
        let mut draft = Draft::successor(&self.0);
        for slot in (0..self.0.entries.len()).map(slot_of) {
            let known = self.0.addr(slot).and_then(|addr| members.find(&addr));
            match known.filter(|&known| members.entry(known).state.is_live()) {
                Some(known) => draft.set(slot, members.entry(known).incarnation, members.metadata(known)),
                None => draft.forget(slot),
            }
        }
        for known in members.slots_from(SELF) {
            let entry = members.entry(known);
            if entry.state.is_live() && self.0.find(entry.addr).is_none() {
                draft.add(entry.addr, entry.incarnation, members.metadata(known));
            }
        }
        if draft.touched.is_empty() { self.clone() } else { Self(Arc::new(draft.into_view(Some(&self.0)))) }
    }

    /// Whether this is another one's clone.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Members in the view.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.live.len()
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
    /// Slots without a member.
    pub(crate) holes: Vec<Slot>,
    index: Index,
    hasher: FixedState,
    metadata: HashMap<Slot, VersionedMetadata, FixedState>,
    metadata_len_max: usize,
    pub(crate) digests: Digests,
    /// Of a large view.
    pub(crate) sketches: Option<Sketches>,
    /// The first view, the one that renewed it, and so on to this: each is known by a place in memory.
    lineage: Vec<Arc<()>>,
    /// Which slots are otherwise than in the first view, and in which of them they changed last.
    changes: Vec<(u32, Slot)>,
}

impl<A: Address> View<A> {
    pub(crate) fn metadata(&self, slot: Slot) -> Option<&VersionedMetadata> {
        self.metadata.get(&slot)
    }

    /// The member in a slot, if there is one.
    pub(crate) fn entry(&self, slot: Slot) -> Option<&Entry<A>> {
        self.entries.get((slot as usize).checked_sub(1)?).filter(|entry| !entry.is_free())
    }

    pub(crate) fn addr(&self, slot: Slot) -> Option<A> {
        self.entry(slot).map(Entry::addr)
    }

    /// What the member in a slot adds to the digests.
    pub(crate) fn fingerprint(&self, slot: Slot) -> Option<(u32, u32)> {
        let entry = self.entry(slot)?;
        Some(sync::member_fingerprint(&entry.addr(), entry.incarnation, self.metadata_of(slot)))
    }

    /// The metadata of the member in a slot, those of nobody included.
    pub(crate) fn metadata_of(&self, slot: Slot) -> Metadata<'_> {
        self.metadata(slot).map_or(Metadata::default(), stated)
    }

    /// The slots in which this view is otherwise than an earlier one of its lineage; `None` when `earlier` is none.
    pub(crate) fn changes_since(&self, earlier: &Self) -> Option<impl Iterator<Item = Slot> + '_> {
        let generation = earlier.lineage.len() as u32;
        let ancestor = self.lineage.get(earlier.lineage.len() - 1)?;
        let related = earlier.lineage.last().is_some_and(|own| Arc::ptr_eq(own, ancestor));
        related.then(|| self.changes.iter().filter(move |&&(changed, _)| changed > generation).map(|&(_, slot)| slot))
    }

    /// The slot that a member has as long as it is not forgotten.
    pub(crate) fn find(&self, addr: A::Stored) -> Option<Slot> {
        self.find_entry(addr).map(|(slot, _)| slot)
    }

    /// The same, and the member's entry.
    #[inline]
    pub(crate) fn find_entry(&self, addr: A::Stored) -> Option<(Slot, &Entry<A>)> {
        let hash = self.hasher.hash_one(addr);
        self.index.find(hash, |slot| {
            let entry = &self.entries[place_of(slot)];
            (entry.addr == addr).then_some((slot, entry))
        })
    }

    /// Where [`find`](Self::find) will look first.
    #[inline]
    pub(crate) fn lines_of_search(&self, addr: A::Stored, line: &mut impl FnMut(*const u8)) {
        line(self.index.home(self.hasher.hash_one(addr)));
    }

    /// And where the entry is at which it will look then.
    #[inline]
    pub(crate) fn lines_of_entry(&self, addr: A::Stored, line: &mut impl FnMut(*const u8)) {
        if let Some(slot) = self.index.find(self.hasher.hash_one(addr), Some) {
            lines_of(&raw const self.entries[place_of(slot)], line);
        }
    }
}

/// A view in the making.
struct Draft<A: Address> {
    entries: Vec<Entry<A>>,
    metadata: HashMap<Slot, VersionedMetadata, FixedState>,
    index: Index,
    hasher: FixedState,
    holes: BTreeSet<Slot>,
    /// What is otherwise than in the view before.
    touched: BTreeSet<Slot>,
}

impl<A: Address> Draft<A> {
    fn new() -> Self {
        Self {
            entries: Vec::new(),
            metadata: HashMap::with_hasher(FixedState::default()),
            index: Index::default(),
            hasher: FixedState::default(),
            holes: BTreeSet::new(),
            touched: BTreeSet::new(),
        }
    }

    fn successor(view: &View<A>) -> Self {
        Self {
            entries: view.entries.to_vec(),
            metadata: view.metadata.clone(),
            index: view.index.clone(),
            holes: view.holes.iter().copied().collect(),
            ..Self::new()
        }
    }

    /// Adds a member, unless it is there, in the first slot without one.
    fn add(&mut self, addr: A::Stored, incarnation: u32, metadata: Metadata<'_>) {
        let Self { entries, index, hasher, .. } = self;
        let hash = hasher.hash_one(addr);
        if index.find(hash, |slot| (entries[place_of(slot)].addr == addr).then_some(slot)).is_some() {
            return;
        }
        let slot = self.holes.pop_first().unwrap_or_else(|| slot_of(entries.len()));
        match entries.get_mut(place_of(slot)) {
            Some(entry) => *entry = Entry::alive(addr, incarnation, 0),
            None => entries.push(Entry::alive(addr, incarnation, 0)),
        }
        index.insert(hash, slot);
        self.touched.insert(slot);
        self.set_metadata(slot, metadata);
    }

    /// The member in a slot, if there is one, has this incarnation and these metadata.
    fn set(&mut self, slot: Slot, incarnation: u32, metadata: Metadata<'_>) {
        let entry = &mut self.entries[place_of(slot)];
        let held = self.metadata.get(&slot).map_or(Metadata::default(), stated);
        if entry.incarnation != incarnation || held != metadata {
            entry.incarnation = incarnation;
            self.touched.insert(slot);
            self.set_metadata(slot, metadata);
        }
    }

    /// Takes the member in a slot, if there is one, out.
    fn forget(&mut self, slot: Slot) {
        let entry = &mut self.entries[place_of(slot)];
        if entry.is_free() {
            return;
        }
        self.index.remove(self.hasher.hash_one(entry.addr), slot);
        entry.free();
        self.metadata.remove(&slot);
        self.holes.insert(slot);
        self.touched.insert(slot);
    }

    fn set_metadata(&mut self, slot: Slot, metadata: Metadata<'_>) {
        if metadata.version > 0 {
            self.metadata.insert(slot, (metadata.version, metadata.bytes.into()));
        } else {
            self.metadata.remove(&slot);
        }
    }

    fn into_view(mut self, before: Option<&View<A>>) -> View<A> {
        let mut live = Vec::new();
        for (place, entry) in self.entries.iter_mut().enumerate().filter(|(_, entry)| !entry.is_free()) {
            entry.list(live.len() as u32);
            live.push(slot_of(place));
        }
        let mut lineage = before.map_or_else(Vec::new, |before| before.lineage.clone());
        lineage.push(Arc::new(()));
        let generation = lineage.len() as u32;
        let mut changes = before.map_or_else(Vec::new, |before| before.changes.clone());
        if before.is_some() {
            changes.retain(|(_, slot)| !self.touched.contains(slot));
            changes.extend(self.touched.iter().map(|&slot| (generation, slot)));
        }
        let mut view = View {
            entries: self.entries.into(),
            live: live.into(),
            holes: self.holes.into_iter().rev().collect(),
            index: self.index,
            hasher: self.hasher,
            metadata_len_max: self.metadata.values().map(|(_, bytes)| bytes.len()).max().unwrap_or(0),
            metadata: self.metadata,
            digests: before.map_or_else(Digests::default, |before| before.digests.clone()),
            sketches: None,
            lineage,
            changes,
        };
        for &slot in &self.touched {
            view.digests.toggle(before.and_then(|before| before.fingerprint(slot)));
            view.digests.toggle(view.fingerprint(slot));
        }
        view.sketches = (view.entries.len() >= SKETCHED_MIN).then(|| Sketches::new(&view, before, &self.touched));
        view
    }
}

fn stated((version, bytes): &VersionedMetadata) -> Metadata<'_> {
    Metadata { version: *version, bytes }
}

/// Members from which on the sums of a view are kept: below, a look at all costs little, and the sums are two megabytes.
const SKETCHED_MIN: usize = if cfg!(any(test, fuzzing)) { 16 } else { 1024 };

/// What anti-entropy needs of a view, so that it need not look at all of its members each time.
#[derive(Debug)]
pub(crate) struct Sketches {
    /// The slots by the identity of their members.
    identities: Vec<(u32, Slot)>,
    /// For each bucket the first symbols of a sketch of what is in it.
    symbols: Vec<Symbol>,
}

impl Sketches {
    fn new<A: Address>(view: &View<A>, before: Option<&View<A>>, touched: &BTreeSet<Slot>) -> Self {
        let identity = |slot: Slot| Some((sync::member_identity(&view.addr(slot)?), slot));
        let mut identities: Vec<_> = (0..view.entries.len()).map(slot_of).filter_map(identity).collect();
        identities.sort_unstable();
        let before = before.and_then(|before| Some((before, before.sketches.as_ref()?)));
        let mut sketches = match before {
            Some((_, sketches)) => Self { identities, symbols: sketches.symbols.clone() },
            None => Self { identities, symbols: alloc::vec![Symbol::default(); BUCKETS_MAX * SYMBOLS_MAX as usize] },
        };
        if let Some((before, _)) = before {
            for &slot in touched {
                sketches.toggle(before.fingerprint(slot), sketch::take);
                sketches.toggle(view.fingerprint(slot), sketch::add);
            }
        } else {
            for slot in (0..view.entries.len()).map(slot_of) {
                sketches.toggle(view.fingerprint(slot), sketch::add);
            }
        }
        sketches
    }

    fn toggle(&mut self, member: Option<(u32, u32)>, change: fn(&mut [Symbol], u32, sketch::Item)) {
        if let Some(fingerprint) = member {
            let bucket = usize::from(sync::bucket(fingerprint.0, BUCKET_BITS_MAX));
            let row = &mut self.symbols[bucket * SYMBOLS_MAX as usize..][..SYMBOLS_MAX as usize];
            change(row, 0, sync::member_item(fingerprint));
        }
    }

    /// The symbols from `first` on of what is in one of the [`BUCKETS_MAX`] buckets.
    pub(crate) fn row(&self, bucket: usize, first: u32) -> &[Symbol] {
        &self.symbols[bucket * SYMBOLS_MAX as usize..][..SYMBOLS_MAX as usize][first as usize..]
    }

    /// The members whose identities lie in a range, in their order.
    pub(crate) fn within(&self, range: RangeInclusive<u32>) -> impl Iterator<Item = (u32, Slot)> + '_ {
        let start = self.identities.partition_point(|&(other, _)| other < *range.start());
        self.identities[start..].iter().take_while(move |(other, _)| other <= range.end()).copied()
    }

    /// The slots of the members of this identity.
    pub(crate) fn slots_of(&self, identity: u32) -> impl Iterator<Item = Slot> + '_ {
        let start = self.identities.partition_point(|&(other, _)| other < identity);
        self.identities[start..].iter().take_while(move |&&(other, _)| other == identity).map(|&(_, slot)| slot)
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
    use crate::member::{Claim, MemberState};
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
        assert_eq!(one.digest(), other.digest());
        one.check();
        other.check();
        assert!((0..80).all(|addr| one.find(&addr).is_some() == other.find(&addr).is_some()));
    }

    #[test]
    fn a_table_with_a_view_is_the_table_that_learnt_its_members_one_by_one_whatever_happens() {
        let view = SharedView::new((0..40).chain(10..20).map(setup)).unwrap();
        assert_eq!(view.len(), 40);
        let (mut shared, mut plain) = (table(&view), plain_table(39));
        assert_same(&shared, &plain);
        let mut rng = Rng::new(3);
        (0..5_000).for_each(|turn| change(&mut [&mut shared, &mut plain], turn, &mut rng));
        assert_same(&shared, &plain);
        assert_same(&table(&view), &plain_table(39));
    }

    /// One of all that can happen to a member happens in each of the tables.
    fn change(tables: &mut [&mut Members<u16>], turn: u32, rng: &mut Rng) {
        let addr = rng.below(80) as u16;
        let states = [MemberState::Alive, MemberState::Suspect, MemberState::Dead, MemberState::Left];
        let claim = Claim { incarnation: turn, state: states[rng.below(4) as usize] };
        let bytes = turn.to_be_bytes();
        let metadata = (rng.below(3) == 0).then_some(Metadata { version: turn + 1, bytes: &bytes });
        let forget = rng.below(2) == 0;
        for members in tables.iter_mut() {
            match members.find(&addr) {
                Some(SELF) => members.set(SELF, Claim { state: MemberState::Alive, ..claim }, metadata),
                Some(slot) if forget && !members.entry(slot).state.is_live() => members.remove(slot),
                Some(slot) => members.set(slot, claim, metadata),
                None => drop(members.insert(addr, claim, metadata)),
            }
        }
        if turn.is_multiple_of(50) {
            tables.iter().skip(1).for_each(|other| assert_same(tables[0], other));
        }
    }

    /// What anti-entropy sees of a table.
    fn assert_same_sketches(one: &Members<u16>, other: &Members<u16>, rng: &mut Rng) {
        let (bits, buckets, first) = (rng.below(7) as u8, rng.next_u64(), rng.below(40));
        let sums = |members: &Members<u16>| {
            let mut symbols = alloc::vec![Symbol::default(); 30];
            members.add_to(&mut symbols, first, bits, buckets);
            let added = symbols.clone();
            members.add_to(&mut symbols, 0, bits, buckets);
            members.take_from(&mut symbols, bits, buckets);
            assert!(symbols == added, "what is added and taken out is gone");
            symbols
        };
        assert!(sums(one) == sums(other), "{bits} {buckets:x} {first}");
        let mut identities: Vec<u32> = (0..80).map(|addr: u16| sync::member_identity(&addr)).collect();
        identities.sort_unstable();
        let odd = |members: &Members<u16>| {
            let slots = members.slots_of(&identities, |item| item & 1 == 1);
            assert!(slots.is_sorted());
            let mut addrs: Vec<u16> = slots.iter().map(|&slot| members.entry(slot).addr()).collect();
            addrs.sort_unstable();
            addrs
        };
        assert_eq!(odd(one), odd(other));
    }

    #[test]
    fn a_table_that_moves_from_view_to_view_is_the_table_that_shares_nothing_whatever_happens() {
        let born = SharedView::new((0..40).map(setup)).unwrap();
        let strange = SharedView::new((20..60).rev().map(setup)).unwrap();
        let mut rng = Rng::new(5);
        let (mut shared, mut plain) = (table(&born), plain_table(39));
        // Another node, which knows something else, after whom views are renewed as well.
        let mut other = Members::with_view(8, 2, Metadata::default(), 2, Some(born.inner()));
        let mut views = alloc::vec![born, strange];
        for turn in 0..20_000 {
            change(&mut [&mut shared, &mut plain], turn, &mut rng);
            change(&mut [&mut other], turn, &mut rng);
            if rng.below(20) > 0 {
                continue;
            }
            let view = &views[rng.below(views.len() as u32) as usize];
            let next = match rng.below(4) {
                0 => view.clone(),
                1 => view.renewed_by(&other),
                _ => view.renewed_by(&shared),
            };
            let addr_of: BTreeMap<Slot, u16> =
                shared.slots_from(SELF).map(|slot| (slot, shared.entry(slot).addr())).collect();
            let moved = shared.rebase(&next.inner());
            for (&old, addr) in &addr_of {
                assert_eq!(moved.slot(old).or((old == SELF).then_some(SELF)), shared.find(addr), "slot {old}");
            }
            let live: BTreeMap<u16, u32> = plain
                .slots_from(SELF)
                .map(|slot| plain.entry(slot))
                .filter(|entry| entry.state.is_live())
                .map(|entry| (entry.addr(), entry.incarnation))
                .collect();
            for view in views.iter().chain([&next]) {
                let viewed = |slot: &Slot| view.0.entry(*slot).map(|entry| (entry.addr(), entry.incarnation));
                // Each change here has an incarnation of its own: metadata are equal if these are.
                let same = view.0.live.iter().filter_map(viewed).collect::<BTreeMap<_, _>>() == live;
                assert_eq!((shared.equals(&view.0), plain.equals(&view.0)), (same, same));
            }
            assert_same(&shared, &plain);
            assert_same_sketches(&shared, &plain, &mut rng);
            views.push(next);
            if views.len() > 6 {
                views.remove(rng.below(4) as usize);
            }
        }
    }

    #[test]
    fn a_table_that_moves_to_what_it_holds_differs_from_it_in_nothing() {
        let view = SharedView::new((0..40).map(setup)).unwrap();
        let (mut shared, mut rng) = (table(&view), Rng::new(9));
        let mut plain = plain_table(39);
        (1..900).for_each(|turn| change(&mut [&mut shared, &mut plain], turn, &mut rng));
        let dead: Vec<Slot> = shared.slots_from(1).filter(|&slot| !shared.entry(slot).state.is_live()).collect();
        dead.into_iter().for_each(|slot| shared.remove(slot));
        let suspects: Vec<Slot> = shared.peers().iter().copied().collect();
        for slot in suspects {
            let claim = Claim { state: MemberState::Alive, ..shared.entry(slot).claim() };
            shared.set(slot, claim, None);
        }
        let renewed = view.renewed_by(&shared);
        shared.rebase(&renewed.inner());
        // Its own place in the view, and the last, which stands there in its list of the live.
        assert!(shared.differing_len() <= 3, "{} entries of its own", shared.differing_len());
        let again = renewed.renewed_by(&shared);
        assert!(Arc::ptr_eq(&again.0, &renewed.0), "nothing changed");
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
