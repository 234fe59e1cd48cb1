//! A table of which a part may be shared with other tables.
//!
//! A table that shares nothing is a vector. One that begins as a copy of others' holds a reference to what is common and
//! only its own changes beside it, so that a hundred thousand of them take little more room than one.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::sparse::{Patch, grow};

/// A table of `T`: first some items of its own, then the common ones with their changes, then more of its own.
///
/// In C's order, what a look at a common item needs in front: see [`Node`](crate::Node).
#[derive(Debug, Clone)]
#[repr(C)]
pub(crate) struct Overlay<T> {
    /// In place rather than boxed: whoever has ten thousand such tables waits for each hop.
    shared: Shared<T>,
    /// The items before the common ones, then those behind them.
    own: Vec<T>,
}

/// The common items of a table.
#[derive(Debug, Clone)]
#[repr(C)]
struct Shared<T> {
    /// How many of the table's own stand before them.
    head: u32,
    /// How many they are, changed or not.
    len: u32,
    /// What stands where the table has not changed; none in a table that shares nothing.
    base: Option<Arc<[T]>>,
    changed: Patch<T>,
}

/// Where an item is: among a table's own, or the how-manieth of the common ones.
enum Place {
    Own(usize),
    Common(u32),
}

impl<T> Default for Overlay<T> {
    fn default() -> Self {
        Self { shared: Shared::nothing(), own: Vec::new() }
    }
}

impl<T: Clone + PartialEq> Overlay<T> {
    /// `head`, then what is shared.
    pub(crate) fn shared(head: Vec<T>, base: Arc<[T]>) -> Self {
        let (before, len) = (head.len() as u32, base.len() as u32);
        if len == 0 {
            return Self { shared: Shared::nothing(), own: head };
        }
        Self { shared: Shared { head: before, len, base: Some(base), changed: Patch::default() }, own: head }
    }

    /// How many bytes of a table, from its front, a look at a common item needs that has not changed.
    pub(crate) const FRONT_LEN: usize =
        core::mem::offset_of!(Shared<T>, changed) + core::mem::offset_of!(Self, shared) + Patch::<T>::FRONT_LEN;

    pub(crate) fn len(&self) -> usize {
        self.own.len() + self.shared.len as usize
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline]
    pub(crate) fn get(&self, index: u32) -> Option<&T> {
        match &self.shared.base {
            None => self.own.get(index as usize),
            Some(base) => self.get_shared(base, index),
        }
    }

    #[inline(never)]
    fn get_shared<'a>(&'a self, base: &'a [T], index: u32) -> Option<&'a T> {
        match self.shared.place(index) {
            Place::Own(place) => self.own.get(place),
            Place::Common(place) => Some(self.shared.changed.get(place).unwrap_or_else(|| &base[place as usize])),
        }
    }

    /// Whether an item is a common one that was not changed. It may say no where that is so.
    #[inline]
    pub(crate) fn is_common(&self, index: u32) -> bool {
        let place = index.wrapping_sub(self.shared.head);
        place < self.shared.len && !self.shared.changed.may_hold(place)
    }

    /// The item at an index that is in the table.
    #[inline]
    pub(crate) fn at(&self, index: u32) -> &T {
        self.get(index).expect("an index of this table")
    }

    /// Changes the item at an index that is in the table.
    #[inline]
    pub(crate) fn update<R>(&mut self, index: u32, change: impl FnOnce(&mut T) -> R) -> R {
        if self.shared.base.is_none() {
            return change(&mut self.own[index as usize]);
        }
        let mut item = self.at(index).clone();
        let result = change(&mut item);
        self.set_shared(index, item);
        result
    }

    #[inline(never)]
    fn set_shared(&mut self, index: u32, item: T) {
        match self.shared.place(index) {
            Place::Own(place) => self.own[place] = item,
            Place::Common(place) => self.shared.set(place, item),
        }
    }

    pub(crate) fn push(&mut self, item: T) {
        grow(&mut self.own, 1);
        self.own.push(item);
    }

    pub(crate) fn pop(&mut self) -> Option<T> {
        if self.own.len() != self.shared.head as usize {
            return self.own.pop();
        }
        let item = self.shared.pop();
        if self.shared.len == 0 {
            self.shared = Shared::nothing();
        }
        item
    }

    /// The indices at which this table may differ from what is common; all of one that shares nothing.
    pub(crate) fn differing(&self) -> impl Iterator<Item = u32> + '_ {
        let (head, common) = (self.shared.head, self.shared.len);
        let changed = self.shared.changed.iter().map(move |(place, _)| place + head);
        (0..head).chain(changed).chain(head + common..self.len() as u32)
    }

    /// Gives up the room that is not needed.
    pub(crate) fn shrink(&mut self) {
        self.own.shrink_to_fit();
        self.shared.changed.shrink();
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        (0..self.len() as u32).map(|index| self.at(index))
    }
}

impl<T> Shared<T> {
    fn nothing() -> Self {
        Self { head: 0, len: 0, base: None, changed: Patch::default() }
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
}

impl<T: Clone + PartialEq> Shared<T> {
    fn set(&mut self, place: u32, item: T) {
        if self.base.as_ref().is_some_and(|base| base[place as usize] == item) {
            self.changed.remove(place);
        } else {
            self.changed.insert(place, item);
        }
    }

    /// Takes the last off, if there is one.
    fn pop(&mut self) -> Option<T> {
        let base = self.base.as_ref()?;
        self.len -= 1;
        Some(self.changed.remove(self.len).unwrap_or_else(|| base[self.len as usize].clone()))
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
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            any::<u8>().prop_map(Step::Push),
            Just(Step::Pop),
            (0..40_u32, 0..4_u8).prop_map(|(index, item)| Step::Update(index, item)),
        ]
    }

    proptest! {
        /// Whatever is shared, a table does what a vector does.
        #[test]
        fn a_table_is_a_vector(
            shares: bool,
            head in proptest::collection::vec(0..4_u8, 0..3),
            base in proptest::collection::vec(0..4_u8, 0..20),
            steps in proptest::collection::vec(step(), 0..60),
        ) {
            let (mut table, mut vector) = if shares {
                (Overlay::shared(head.clone(), base.clone().into()), [&head[..], &base[..]].concat())
            } else {
                (Overlay::default(), Vec::new())
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
                }
                prop_assert_eq!(table.len(), vector.len());
                prop_assert_eq!(table.is_empty(), vector.is_empty());
                prop_assert!(table.iter().eq(&vector), "{:?} is not {:?}", table, vector);
                prop_assert_eq!(table.get(table.len() as u32), None);
                let common = |index: u32| shares.then(|| base.get((index as usize).checked_sub(head.len())?)).flatten();
                for index in (0..vector.len() as u32 + 2).filter(|&index| table.is_common(index)) {
                    prop_assert_eq!(common(index), vector.get(index as usize), "{} in {:?}", index, table);
                }
                for index in (0..vector.len() as u32).filter(|&index| common(index) != vector.get(index as usize)) {
                    prop_assert!(table.differing().any(|differing| differing == index), "{index} in {table:?}");
                }
            }
        }
    }
}
