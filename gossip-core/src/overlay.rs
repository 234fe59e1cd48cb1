//! A table of which a part may be shared with other tables.
//!
//! A table that shares nothing is a vector. One that begins as a copy of others' holds a reference to what is common and
//! only its own changes beside it, so that a hundred thousand of them take little more room than one.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// Changes for which an emptied map keeps its room.
const CHANGES_KEPT: usize = 28;

/// A table of `T`: first some items of its own, then the common ones with their changes, then more of its own.
#[derive(Debug, Clone)]
pub(crate) struct Overlay<T> {
    /// The items before the common ones, then those behind them.
    own: Vec<T>,
    /// Nearly all tables share nothing.
    shared: Option<Box<Shared<T>>>,
}

/// The common items of a table.
#[derive(Debug, Clone)]
struct Shared<T> {
    /// How many of the table's own stand before them.
    head: u32,
    /// How many they are, changed or not.
    len: u32,
    base: Base<T>,
    changed: HashMap<u32, T, FixedState>,
}

/// What stands where a table has not changed.
#[derive(Debug, Clone)]
enum Base<T> {
    Shared(Arc<[T]>),
    Uniform(T),
}

/// Where an item is: among a table's own, or the how-manieth of the common ones.
enum Place {
    Own(usize),
    Common(u32),
}

impl<T> Default for Overlay<T> {
    fn default() -> Self {
        Self { own: Vec::new(), shared: None }
    }
}

impl<T: Clone + PartialEq> Overlay<T> {
    /// `head`, then what is shared.
    pub(crate) fn shared(head: Vec<T>, base: Arc<[T]>) -> Self {
        let (before, len) = (head.len() as u32, base.len() as u32);
        Self { own: head, shared: Shared::new(before, len, Base::Shared(base)) }
    }

    /// `len` times the same.
    pub(crate) fn uniform(item: T, len: usize) -> Self {
        Self { own: Vec::new(), shared: Shared::new(0, len as u32, Base::Uniform(item)) }
    }

    pub(crate) fn len(&self) -> usize {
        self.own.len() + self.shared.as_ref().map_or(0, |shared| shared.len as usize)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline]
    pub(crate) fn get(&self, index: u32) -> Option<&T> {
        match &self.shared {
            None => self.own.get(index as usize),
            Some(shared) => self.get_shared(shared, index),
        }
    }

    #[inline(never)]
    fn get_shared<'a>(&'a self, shared: &'a Shared<T>, index: u32) -> Option<&'a T> {
        match shared.place(index) {
            Place::Own(place) => self.own.get(place),
            Place::Common(place) => Some(shared.at(place)),
        }
    }

    /// The item at an index that is in the table.
    #[inline]
    pub(crate) fn at(&self, index: u32) -> &T {
        self.get(index).expect("an index of this table")
    }

    /// Changes the item at an index that is in the table.
    #[inline]
    pub(crate) fn update<R>(&mut self, index: u32, change: impl FnOnce(&mut T) -> R) -> R {
        if self.shared.is_none() {
            return change(&mut self.own[index as usize]);
        }
        let mut item = self.at(index).clone();
        let result = change(&mut item);
        self.set_shared(index, item);
        result
    }

    #[inline(never)]
    fn set_shared(&mut self, index: u32, item: T) {
        match &mut self.shared {
            Some(shared) => match shared.place(index) {
                Place::Own(place) => self.own[place] = item,
                Place::Common(place) => shared.set(place, item),
            },
            None => self.own[index as usize] = item,
        }
    }

    pub(crate) fn push(&mut self, item: T) {
        grow(&mut self.own, 1);
        self.own.push(item);
    }

    /// Appends copies of `item` until there are `len`.
    pub(crate) fn extend_to(&mut self, len: usize, item: T) {
        let missing = len.saturating_sub(self.len());
        grow(&mut self.own, missing);
        self.own.resize(self.own.len() + missing, item);
    }

    pub(crate) fn pop(&mut self) -> Option<T> {
        let Some(shared) = self.shared.as_mut().filter(|shared| self.own.len() == shared.head as usize) else {
            return self.own.pop();
        };
        let item = shared.pop();
        if shared.len == 0 {
            self.shared = None;
        }
        Some(item)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        (0..self.len() as u32).map(|index| self.at(index))
    }
}

impl<T: Clone + PartialEq> Shared<T> {
    fn new(head: u32, len: u32, base: Base<T>) -> Option<Box<Self>> {
        let changed = HashMap::with_hasher(FixedState::default());
        (len > 0).then(|| Box::new(Self { head, len, base, changed }))
    }

    fn place(&self, index: u32) -> Place {
        if index < self.head {
            Place::Own(index as usize)
        } else if index - self.head < self.len {
            Place::Common(index - self.head)
        } else {
            Place::Own((index - self.len) as usize)
        }
    }

    fn at(&self, place: u32) -> &T {
        self.changed.get(&place).unwrap_or_else(|| self.unchanged_at(place))
    }

    fn unchanged_at(&self, place: u32) -> &T {
        match &self.base {
            Base::Shared(items) => &items[place as usize],
            Base::Uniform(item) => item,
        }
    }

    fn set(&mut self, place: u32, item: T) {
        if *self.unchanged_at(place) != item {
            self.changed.insert(place, item);
            return;
        }
        self.changed.remove(&place);
        if self.changed.is_empty() && self.changed.capacity() > CHANGES_KEPT {
            self.changed = HashMap::with_hasher(FixedState::default());
        }
    }

    /// Takes the last, which there is, off.
    fn pop(&mut self) -> T {
        self.len -= 1;
        self.changed.remove(&self.len).unwrap_or_else(|| self.unchanged_at(self.len).clone())
    }
}

/// Makes room for `more` items, and for a sixteenth of what is there: a table of members is to be no larger than it must, and
/// to copy it sixteen times while it grows is cheap against what brings the members.
fn grow<T>(table: &mut Vec<T>, more: usize) {
    if table.capacity() - table.len() < more {
        table.reserve_exact(more + table.len() / 16 + 4);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Push(u8),
        Pop,
        Update(u32, u8),
        Extend(u32, u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            any::<u8>().prop_map(Step::Push),
            Just(Step::Pop),
            (0..40_u32, 0..4_u8).prop_map(|(index, item)| Step::Update(index, item)),
            (0..30_u32, any::<u8>()).prop_map(|(len, item)| Step::Extend(len, item)),
        ]
    }

    proptest! {
        /// Whatever is shared, a table does what a vector does.
        #[test]
        fn a_table_is_a_vector(
            kind in 0..3_u8,
            head in proptest::collection::vec(0..4_u8, 0..3),
            base in proptest::collection::vec(0..4_u8, 0..20),
            steps in proptest::collection::vec(step(), 0..60),
        ) {
            let (mut table, mut vector) = match kind {
                0 => (Overlay::default(), Vec::new()),
                1 => (Overlay::uniform(3, base.len()), alloc::vec![3; base.len()]),
                _ => (Overlay::shared(head.clone(), base.clone().into()), [head, base].concat()),
            };
            for step in steps {
                match step {
                    Step::Push(item) => {
                        table.push(item);
                        vector.push(item);
                    }
                    Step::Pop => prop_assert_eq!(table.pop(), vector.pop()),
                    Step::Update(index, item) => {
                        if let Some(place) = vector.get_mut(index as usize) {
                            let old = core::mem::replace(place, item);
                            prop_assert_eq!(table.update(index, |place| core::mem::replace(place, item)), old);
                        }
                    }
                    Step::Extend(len, item) => {
                        table.extend_to(len as usize, item);
                        vector.resize(vector.len().max(len as usize), item);
                    }
                }
                prop_assert_eq!(table.len(), vector.len());
                prop_assert_eq!(table.is_empty(), vector.is_empty());
                prop_assert!(table.iter().eq(&vector), "{:?} is not {:?}", table, vector);
                prop_assert_eq!(table.get(table.len() as u32), None);
            }
        }
    }

    #[test]
    fn what_is_as_it_was_takes_no_room() {
        let mut table = Overlay::uniform(0, 1_000);
        for value in [7, 0] {
            (0..1_000).for_each(|index| table.update(index, |item| *item = value));
        }
        assert_eq!(table.shared.unwrap().changed.capacity(), 0);
    }
}
