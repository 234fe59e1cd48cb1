//! Tables of few entries: what of a large table differs from what is common, and tables by slot of which nearly all is empty.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// Entries for which an emptied list keeps its room.
const ENTRIES_KEPT: usize = 28;

/// Items by number, for few of them: a sorted list. A newcomer moves those behind it, so it is made for some thousands.
///
/// In C's order, what a search for a number needs that is not there in front: see [`Node`](crate::Node).
#[derive(Debug, Clone)]
#[repr(C)]
pub(crate) struct Patch<T> {
    /// Two of 64 bits for each number that is there or was (Bloom, CACM 1970): a search for one of the many that are not does without
    /// the list. With two numbers 0.4 % of the others are searched for all the same, with 20 a fifth, with 100 nearly all.
    filter: u64,
    items: Vec<(u32, T)>,
    /// Where to look, if there are many: a search in the list would wait for memory a dozen times.
    #[allow(clippy::box_collection, reason = "a word where nearly all have none")]
    directory: Option<Box<Vec<Chunk>>>,
}

/// Sixty-four numbers in a row.
#[derive(Debug, Clone, Copy, Default)]
struct Chunk {
    /// A bit for each that is there.
    held: u64,
    /// How many there are before them: the place of the first.
    before: u32,
}

/// From how many items on there is a directory, and from how many for each of its chunks; it goes when there are half as many.
const DIRECTORY_MIN: usize = 64;
const ITEMS_PER_CHUNK_MIN: usize = 2;

impl<T> Default for Patch<T> {
    fn default() -> Self {
        Self { filter: 0, items: Vec::new(), directory: None }
    }
}

impl<T> Patch<T> {
    /// How many bytes of a patch, from its front, tell in most cases that a number is not there.
    pub(crate) const FRONT_LEN: usize = core::mem::offset_of!(Self, items);

    /// Whether a number may be there.
    #[inline]
    pub(crate) fn may_hold(&self, number: u32) -> bool {
        let bits = filter_bits(number);
        self.filter & bits == bits
    }

    /// The place of a number, or where it would be.
    #[inline]
    fn place(&self, number: u32) -> Result<usize, usize> {
        match &self.directory {
            None => self.items.binary_search_by_key(&number, |&(number, _)| number),
            Some(directory) => match directory.get(chunk_of(number)) {
                None => Err(self.items.len()),
                Some(chunk) => {
                    let place = chunk.before as usize + (chunk.held & (bit(number) - 1)).count_ones() as usize;
                    if chunk.held & bit(number) == 0 { Err(place) } else { Ok(place) }
                }
            },
        }
    }

    #[inline]
    pub(crate) fn get(&self, number: u32) -> Option<&T> {
        if !self.may_hold(number) {
            return None;
        }
        self.place(number).ok().map(|place| &self.items[place].1)
    }

    fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        self.place(number).ok().map(|place| &mut self.items[place].1)
    }

    pub(crate) fn insert(&mut self, number: u32, item: T) {
        self.filter |= filter_bits(number);
        match self.place(number) {
            Ok(place) => self.items[place].1 = item,
            Err(place) => {
                if self.items.len() == self.items.capacity() {
                    self.items.reserve_exact(self.items.len() / 8 + 1);
                }
                self.items.insert(place, (number, item));
                self.note(number, true);
            }
        }
    }

    pub(crate) fn remove(&mut self, number: u32) -> Option<T> {
        let place = self.place(number).ok()?;
        let (_, item) = self.items.remove(place);
        self.note(number, false);
        if self.items.is_empty() {
            self.filter = 0;
            if self.items.capacity() > ENTRIES_KEPT {
                self.items = Vec::new();
            }
        }
        Some(item)
    }

    /// A number came into the list or went: so it is in the directory, and there may be need of one now, or none any more.
    fn note(&mut self, number: u32, held: bool) {
        let last = self.items.last().map_or(0, |&(number, _)| number);
        let enough = DIRECTORY_MIN.max((chunk_of(last) + 1) * ITEMS_PER_CHUNK_MIN);
        let Some(directory) = &mut self.directory else {
            if self.items.len() >= enough {
                self.directory = Some(Box::new(directory_of(&self.items)));
            }
            return;
        };
        if self.items.len() < enough / 2 {
            self.directory = None;
            return;
        }
        let chunk = chunk_of(number);
        while directory.len() <= chunk {
            let before = directory.last().map_or(0, |chunk| chunk.before + chunk.held.count_ones());
            directory.push(Chunk { held: 0, before });
        }
        directory[chunk].held ^= bit(number);
        for later in &mut directory[chunk + 1..] {
            later.before = if held { later.before + 1 } else { later.before - 1 };
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.items.iter().map(|(number, item)| (*number, item))
    }

    /// Gives up the room that is not needed.
    pub(crate) fn shrink(&mut self) {
        self.items.shrink_to_fit();
        self.filter = self.items.iter().fold(0, |bits, (number, _)| bits | filter_bits(*number));
        if let Some(directory) = &mut self.directory {
            directory.shrink_to_fit();
        }
    }
}

#[inline]
const fn bit(number: u32) -> u64 {
    1 << (number % u64::BITS)
}

/// Which two a number has: a few do not make many others seem to be there, neither those near them nor those a power of two apart.
#[inline]
const fn filter_bits(number: u32) -> u64 {
    // 2^32 divided by the golden ratio (Knuth, TAOCP 3, section 6.4).
    let hash = number.wrapping_mul(0x9e37_79b9);
    1 << (hash >> 26) | 1 << (hash >> 20 & 63)
}

#[inline]
const fn chunk_of(number: u32) -> usize {
    (number / u64::BITS) as usize
}

fn directory_of<T>(items: &[(u32, T)]) -> Vec<Chunk> {
    let mut directory = alloc::vec![Chunk::default(); items.last().map_or(0, |&(number, _)| chunk_of(number) + 1)];
    items.iter().for_each(|&(number, _)| directory[chunk_of(number)].held |= bit(number));
    let mut before = 0;
    for chunk in &mut directory {
        chunk.before = before;
        before += chunk.held.count_ones();
    }
    directory
}

/// A table by slot in which what was never set is the default: with room for each slot, or only for those that are not.
#[derive(Debug, Clone)]
pub(crate) enum Sparse<T> {
    Dense(Vec<T>),
    Few(Patch<T>),
}

impl<T> Default for Sparse<T> {
    fn default() -> Self {
        Self::Dense(Vec::new())
    }
}

impl<T: Copy + Default + PartialEq> Sparse<T> {
    /// With room only for what is not the default.
    pub(crate) fn of_few() -> Self {
        Self::Few(Patch::default())
    }

    #[inline]
    pub(crate) fn get(&self, slot: u32) -> T {
        match self {
            Self::Dense(items) => items.get(slot as usize).copied().unwrap_or_default(),
            Self::Few(patch) => patch.get(slot).copied().unwrap_or_default(),
        }
    }

    #[inline]
    pub(crate) fn set(&mut self, slot: u32, item: T) {
        match self {
            Self::Dense(items) if (slot as usize) < items.len() => items[slot as usize] = item,
            Self::Dense(items) if item != T::default() => {
                make_room(items, slot as usize + 1);
                items[slot as usize] = item;
            }
            Self::Dense(_) => {}
            Self::Few(patch) if item != T::default() => patch.insert(slot, item),
            Self::Few(patch) => drop(patch.remove(slot)),
        }
    }

    /// Changes an item.
    #[inline]
    pub(crate) fn update(&mut self, slot: u32, change: impl FnOnce(&mut T)) {
        let place = match self {
            Self::Dense(items) => items.get_mut(slot as usize),
            Self::Few(patch) => patch.get_mut(slot),
        };
        let mut item = place.as_deref().copied().unwrap_or_default();
        change(&mut item);
        match place {
            Some(place) if item != T::default() => *place = item,
            _ => self.set(slot, item),
        }
    }

    /// Makes room for `slots` at once, where each has some.
    pub(crate) fn reserve(&mut self, slots: usize) {
        if let Self::Dense(items) = self {
            make_room(items, slots);
        }
    }

    /// Tells `line` a place in each line of memory in which a search may look, where only few are kept: the first ones.
    #[inline]
    pub(crate) fn lines(&self, line: &mut impl FnMut(*const u8)) {
        if let Self::Few(patch) = self
            && !patch.items.is_empty()
        {
            let start = patch.items.as_ptr().cast::<u8>();
            let len = size_of_val(patch.items.as_slice()).min(LINES_MAX * LINE);
            (0..len + LINE).step_by(LINE).for_each(|offset| line(start.wrapping_add(offset)));
        }
    }

    /// What is not the default, by slot.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, T)> + '_ {
        let (items, patch) = match self {
            Self::Dense(items) => (Some(items), None),
            Self::Few(patch) => (None, Some(patch)),
        };
        let dense = items.into_iter().flat_map(|items| (0..).zip(items.iter().copied()));
        let sparse = patch.into_iter().flat_map(|patch| patch.iter().map(|(slot, item)| (slot, *item)));
        dense.chain(sparse).filter(|(_, item)| *item != T::default())
    }

    /// Gives up the room that is not needed.
    pub(crate) fn shrink(&mut self) {
        match self {
            Self::Dense(items) => {
                let used = items.iter().rposition(|item| *item != T::default()).map_or(0, |last| last + 1);
                items.truncate(used);
                items.shrink_to_fit();
            }
            Self::Few(patch) => patch.shrink(),
        }
    }
}

/// Bytes of a line of memory, and how many are worth being fetched ahead.
const LINE: usize = 64;
const LINES_MAX: usize = 16;

fn make_room<T: Copy + Default>(items: &mut Vec<T>, len: usize) {
    let missing = len.saturating_sub(items.len());
    grow(items, missing);
    items.resize(items.len() + missing, T::default());
}

/// Appends to a queue that is to take no more room than its longest bursts need.
pub(crate) fn push_tight<T>(queue: &mut VecDeque<T>, item: T) {
    if queue.len() == queue.capacity() {
        queue.reserve_exact(queue.len() / 2 + 1);
    }
    queue.push_back(item);
}

/// Makes room for `more` items, and for a sixteenth of what is there: a table of members is to be no larger than it must, and
/// to copy it sixteen times while it grows is cheap against what brings the members.
pub(crate) fn grow<T>(table: &mut Vec<T>, more: usize) {
    if table.capacity() - table.len() < more {
        table.reserve_exact(more + table.len() / 16 + usize::from(!table.is_empty()) * 3);
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_sparse_table_is_a_map(dense: bool, steps in proptest::collection::vec((0..40_u32, 0..3_u8), 0..80)) {
            let mut table = if dense { Sparse::default() } else { Sparse::of_few() };
            let mut map = BTreeMap::new();
            for (slot, item) in steps {
                table.set(slot, item);
                if item == 0 { map.remove(&slot) } else { map.insert(slot, item) };
                table.update(slot + 1, |item| *item ^= 1);
                match map.remove(&(slot + 1)).unwrap_or_default() ^ 1 {
                    0 => {}
                    item => _ = map.insert(slot + 1, item),
                }
                prop_assert!(table.iter().eq(map.iter().map(|(&slot, &item)| (slot, item))));
                prop_assert!((0..50).all(|slot| table.get(slot) == map.get(&slot).copied().unwrap_or_default()));
            }
            table.shrink();
            prop_assert!(table.iter().eq(map.iter().map(|(&slot, &item)| (slot, item))));
        }
    }

    proptest! {
        #[test]
        fn a_patch_of_any_length_is_a_map(steps in proptest::collection::vec((0..700_u32, 0..5_u8), 0..2_000)) {
            let (mut patch, mut map, mut had_directory) = (Patch::default(), BTreeMap::new(), false);
            for (turn, (number, what)) in steps.into_iter().enumerate() {
                // More come than go, then more go.
                if (what < 4) == (turn < 1_200) {
                    patch.insert(number, turn);
                    map.insert(number, turn);
                } else {
                    prop_assert_eq!(patch.remove(number), map.remove(&number));
                }
                had_directory |= patch.directory.is_some();
                prop_assert_eq!(patch.get(number), map.get(&number));
            }
            prop_assert!(patch.iter().eq(map.iter().map(|(&number, item)| (number, item))));
            prop_assert!((0..800).all(|number| patch.get(number) == map.get(&number)));
            prop_assert!(had_directory || map.len() < DIRECTORY_MIN, "{} items", map.len());
        }
    }

    #[test]
    fn few_items_far_apart_have_no_directory_and_many_that_go_lose_it() {
        let mut patch = Patch::default();
        (0..1_000).for_each(|item| patch.insert(item * 100, item));
        assert!(patch.directory.is_none(), "a chunk would hold less than one");
        (0..1_000).for_each(|item| patch.insert(item, item));
        (0..1_000).for_each(|item| _ = patch.remove(item * 100));
        assert!(patch.directory.is_some());
        assert!(
            (0..1_000).all(|item| patch.get(item).copied() == (item % 100 != 0).then_some(item)),
            "those that stay"
        );
        (0..1_000).for_each(|item| _ = patch.remove(item));
        assert!(patch.directory.is_none() && patch.get(5).is_none());
    }

    #[test]
    fn a_number_that_may_be_there_is_looked_for_and_one_that_went_is_not_found() {
        let mut patch = Patch::default();
        for number in [7, 100_000] {
            patch.insert(number, number);
        }
        let mistaken = (0..100_000).filter(|&number| number != 7 && patch.may_hold(number)).count();
        assert!((1..1_000).contains(&mistaken), "{mistaken}: (4/64)² of them are to be looked for");
        assert!((0..200_000).all(|number| patch.get(number).is_some() == [7, 100_000].contains(&number)));
        patch.remove(7);
        assert_eq!((patch.get(7), patch.get(100_000)), (None, Some(&100_000)));
        patch.insert(8, 8);
        patch.remove(8);
        patch.shrink();
        assert_eq!((patch.filter, patch.get(100_000)), (filter_bits(100_000), Some(&100_000)));
    }

    #[test]
    fn what_is_as_it_was_takes_no_room() {
        let mut table = Sparse::of_few();
        for value in [7, 0] {
            (0..1_000).for_each(|slot| table.set(slot, value));
        }
        let Sparse::Few(patch) = table else { panic!("it was made sparse") };
        assert_eq!(patch.items.capacity(), 0);
    }
}
