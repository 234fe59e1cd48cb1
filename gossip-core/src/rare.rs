//! What most nodes have nothing of most of the time: a word until there is something, read as if it were there and empty.

use alloc::boxed::Box;
use core::ops::{Deref, DerefMut};

/// A value that is a constant until it is changed.
pub(crate) trait Empty: 'static {
    /// That constant.
    const EMPTY: &'static Self;

    /// A new one, equal to it.
    fn empty() -> Self;
}

/// Such a value, which takes room from the first change on. Until then, and after [`shrink`](Self::shrink), to read it costs a look at one
/// word: a driver of many nodes waits for every line of memory that an input needs.
#[derive(Debug)]
pub(crate) struct Rare<T>(Option<Box<T>>);

impl<T> Rare<T> {
    pub(crate) const fn new() -> Self {
        Self(None)
    }

    /// The value, if there is room for one: else it is empty.
    #[inline]
    pub(crate) fn get(&self) -> Option<&T> {
        self.0.as_deref()
    }

    /// The same, to be changed: what is empty needs no room to be cleared.
    #[inline]
    pub(crate) fn get_mut(&mut self) -> Option<&mut T> {
        self.0.as_deref_mut()
    }

    /// Gives the room back, if `is_empty` says that the value is empty again.
    pub(crate) fn shrink(&mut self, is_empty: impl Fn(&T) -> bool) {
        self.0.take_if(|value| is_empty(value));
    }
}

impl<T: Empty> Deref for Rare<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        self.0.as_deref().unwrap_or(T::EMPTY)
    }
}

impl<T: Empty> DerefMut for Rare<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        self.0.get_or_insert_with(|| Box::new(T::empty()))
    }
}
