//! A queue whose first item lies in its owner.
//!
//! Nearly always one item passes through at a time: it then needs no line of memory but the owner's, and no allocation.

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use crate::sparse::push_tight;

/// First in, first out.
#[derive(Debug, Clone)]
#[repr(C)]
pub(crate) struct Fifo<T> {
    #[allow(clippy::box_collection, reason = "a word where most never have any")]
    rest: Option<Box<VecDeque<T>>>,
    /// None only if there are no others either.
    first: Option<T>,
}

impl<T> Default for Fifo<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Fifo<T> {
    pub(crate) const fn new() -> Self {
        Self { rest: None, first: None }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.as_ref().map_or(0, |rest| rest.len())
    }

    #[inline]
    pub(crate) fn push_back(&mut self, item: T) {
        if self.first.is_none() {
            self.first = Some(item);
        } else {
            self.push_behind(item);
        }
    }

    #[inline(never)]
    fn push_behind(&mut self, item: T) {
        push_tight(self.rest.get_or_insert_default(), item);
    }

    pub(crate) fn push_front(&mut self, item: T) {
        if let Some(second) = self.first.replace(item) {
            self.rest.get_or_insert_default().push_front(second);
        }
    }

    #[inline]
    pub(crate) fn pop_front(&mut self) -> Option<T> {
        // Asked first, or the room of one that is not there would be copied.
        self.first.as_ref()?;
        let item = self.first.take();
        if let Some(rest) = &mut self.rest {
            self.first = rest.pop_front();
        }
        item
    }

    /// Drops the last beyond `max`.
    pub(crate) fn truncate(&mut self, max: usize) {
        if let Some(rest) = &mut self.rest {
            rest.truncate(max.saturating_sub(1));
        }
        if max == 0 {
            self.first = None;
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.first.iter().chain(self.rest.iter().flat_map(|rest| rest.iter()))
    }

    /// Gives up the room that is not needed.
    pub(crate) fn shrink(&mut self) {
        self.rest.take_if(|rest| rest.is_empty());
        if let Some(rest) = &mut self.rest {
            rest.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_queue(steps in proptest::collection::vec((0..8_u8, any::<u8>()), 0..200)) {
            let (mut fifo, mut queue) = (Fifo::new(), VecDeque::new());
            for (step, item) in steps {
                match step {
                    0..=2 => {
                        fifo.push_back(item);
                        queue.push_back(item);
                    }
                    3 => {
                        fifo.push_front(item);
                        queue.push_front(item);
                    }
                    4..=6 => prop_assert_eq!(fifo.pop_front(), queue.pop_front()),
                    _ => {
                        fifo.truncate(usize::from(item % 8));
                        queue.truncate(usize::from(item % 8));
                    }
                }
                prop_assert!(fifo.iter().eq(&queue));
                prop_assert_eq!((fifo.len(), fifo.is_empty()), (queue.len(), queue.is_empty()));
            }
        }
    }

    #[test]
    fn one_at_a_time_takes_no_room() {
        let mut fifo = Fifo::new();
        for item in 0..100 {
            fifo.push_back(item);
            assert_eq!(fifo.pop_front(), Some(item));
        }
        assert!(fifo.rest.is_none());
        (0..9).for_each(|item| fifo.push_back(item));
        assert_eq!(core::iter::from_fn(|| fifo.pop_front()).collect::<Vec<_>>(), (0..9).collect::<Vec<_>>());
        fifo.shrink();
        assert!(fifo.rest.is_none());
    }
}
