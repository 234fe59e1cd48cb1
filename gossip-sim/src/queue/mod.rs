//! What is to happen, in the order of time, and at one time in the order in which it was put in.
//!
//! The order is exact, so every queue gives the same run: [`Heap`] is the plain one by which [`Wheel`], the quick one, is judged.

mod heap;
mod wheel;

pub use heap::Heap;
pub use wheel::Wheel;

/// Something that is to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// When, nanoseconds of virtual time.
    pub at: u64,
    /// What; the queue does not look at it.
    pub what: u64,
}

/// A queue of events.
pub trait Queue: Default {
    /// Puts in what is to happen at `at`: not before the `until` of an earlier [`pop`](Self::pop) that gave nothing, nor before
    /// what it gave.
    fn push(&mut self, at: u64, what: u64);

    /// The next of those that happen up to `until`: the first put in of the earliest.
    fn pop(&mut self, until: u64) -> Option<Entry>;

    /// How many wait.
    fn len(&self) -> usize;

    /// Whether none waits.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds to `list` what is to happen before `until`, in the order in which it will unless something comes in between; up to when that
    /// is all there is: `until` or earlier.
    fn upcoming(&self, until: u64, list: &mut Vec<Entry>) -> u64;

    /// The next of those that wait, behind the last one that this gave or the last that came: in the order in which they will come,
    /// unless others come in between. A hint for what to have at hand: it changes nothing, and may end early or pass one over.
    fn scout(&mut self) -> Option<Entry> {
        None
    }
}

#[cfg(test)]
mod tests;
