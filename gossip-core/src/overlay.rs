//! A table of which a part may be shared with other tables.
//!
//! A table that shares nothing is a vector. One that begins as a copy of others' holds a reference to what is common and
//! only its own changes beside it, so that a hundred thousand of them take little more room than one.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::sparse::{Patch, grow};

/// A table of `T`: first some items of its own, then the common ones with their changes, then more of its own.
#[derive(Debug, Clone)]
pub(crate) struct Overlay<T> {
    /// The items before the common ones, then those behind them.
    own: Vec<T>,
    /// In place rather than boxed: whoever has ten thousand such tables waits for each hop.
    shared: Option<Shared<T>>,
}

/// The common items of a table.
#[derive(Debug, Clone)]
struct Shared<T> {
    /// How many of the table's own stand before them.
    head: u32,
    /// How many they are, changed or not.
    len: u32,
    /// What stands where the table has not changed.
    base: Arc<[T]>,
    changed: Patch<T>,
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
        let shared = Shared { head: before, len, base, changed: Patch::default() };
        Self { own: head, shared: (len > 0).then_some(shared) }
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

    /// The indices at which this table may differ from what is common; all of one that shares nothing.
    pub(crate) fn differing(&self) -> impl Iterator<Item = u32> + '_ {
        let (head, common) = self.shared.as_ref().map_or((0, 0), |shared| (shared.head, shared.len));
        let changed =
            self.shared.iter().flat_map(move |shared| shared.changed.iter().map(move |(place, _)| place + head));
        (0..head).chain(changed).chain(head + common..self.len() as u32)
    }

    /// Gives up the room that is not needed.
    pub(crate) fn shrink(&mut self) {
        self.own.shrink_to_fit();
        if let Some(shared) = &mut self.shared {
            shared.changed.shrink();
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        (0..self.len() as u32).map(|index| self.at(index))
    }
}

impl<T: Clone + PartialEq> Shared<T> {
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
        self.changed.get(place).unwrap_or_else(|| &self.base[place as usize])
    }

    fn set(&mut self, place: u32, item: T) {
        if self.base[place as usize] == item {
            self.changed.remove(place);
        } else {
            self.changed.insert(place, item);
        }
    }

    /// Takes the last, which there is, off.
    fn pop(&mut self) -> T {
        self.len -= 1;
        self.changed.remove(self.len).unwrap_or_else(|| self.base[self.len as usize].clone())
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
                for index in (0..vector.len() as u32).filter(|&index| common(index) != vector.get(index as usize)) {
                    prop_assert!(table.differing().any(|differing| differing == index), "{index} in {table:?}");
                }
            }
        }
    }
}
