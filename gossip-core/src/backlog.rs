//! What is still to be told, least told first.
//!
//! SWIM §4.1 piggybacks each update a limited number of times and prefers those that were told less often. The items are
//! slots of some table; the backlog links them into one queue per number of transmissions, so that adding, moving and
//! dropping an item cost the same however many there are.

#[cfg(any(test, fuzzing, feature = "check"))]
mod check;
#[cfg(test)]
mod model;

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::sparse::Sparse;

const NONE: u32 = u32::MAX;

#[derive(Debug, Clone, Copy, PartialEq)]
struct Link {
    previous: u32,
    next: u32,
    /// How often the item was sent, or [`IDLE`] when it is not queued.
    sent: u8,
}

const IDLE: u8 = u8::MAX;

const UNLINKED: Link = Link { previous: NONE, next: NONE, sent: IDLE };

impl Default for Link {
    fn default() -> Self {
        UNLINKED
    }
}

/// Slots that are passed over in search of a smaller item for the last bytes of a datagram. Without a limit a datagram with
/// a few bytes left would cost a look at the whole backlog.
pub(crate) const SKIPS_MAX: u8 = 8;

/// What is many for a list in order, of which each newcomer moves a part: so large a share of the table, but no fewer and no more
/// than these.
const MANY_SHARE: usize = 16;
const MANY_MIN: usize = 64;
const MANY: usize = 4096;

/// Transmissions from which on no more are counted.
pub(crate) const LIMIT_MAX: u8 = IDLE - 1;

#[derive(Debug, Clone, Copy)]
struct Queue {
    head: u32,
    tail: u32,
    len: u32,
}

const EMPTY: Queue = Queue { head: NONE, tail: NONE, len: 0 };

/// A backlog of slots. What every datagram asks, whether there is anything, is at hand; the rest is elsewhere, from the first slot on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Backlog {
    len: u32,
    /// Whether something was told for the last time in the last offer.
    finished: bool,
    /// Whether a slot takes room only while it is queued.
    of_few: bool,
    lists: Option<Box<Lists>>,
}

#[derive(Debug, Clone)]
struct Lists {
    links: Sparse<Link>,
    queues: Vec<Queue>,
    /// What was told for the last time in the last offer.
    finished: Vec<u32>,
}

impl Backlog {
    /// An empty backlog in which a slot takes room only while it is queued.
    pub(crate) fn of_few() -> Self {
        Self { of_few: true, ..Self::default() }
    }

    fn lists(&mut self) -> &mut Lists {
        let links = if self.of_few { Sparse::of_few } else { Sparse::default };
        self.lists.get_or_insert_with(|| Box::new(Lists { links: links(), queues: Vec::new(), finished: Vec::new() }))
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn len(&self) -> usize {
        self.len as usize
    }

    pub(crate) fn contains(&self, slot: u32) -> bool {
        self.lists.as_ref().is_some_and(|lists| lists.contains(slot))
    }

    /// Whether `slot` is still to be told, or was so before the last offer.
    pub(crate) fn contained(&self, slot: u32) -> bool {
        self.lists.as_ref().is_some_and(|lists| lists.contains(slot) || lists.finished.contains(&slot))
    }

    /// Queues `slot` as never told, whatever it was before.
    pub(crate) fn insert(&mut self, slot: u32) {
        self.insert_told(slot, 0);
    }

    /// Queues `slot` as told so often, whatever it was before.
    pub(crate) fn insert_told(&mut self, slot: u32, times: u8) {
        let lists = self.lists();
        let known = lists.contains(slot);
        if known {
            lists.unlink(slot);
        }
        lists.push_back(slot, times.min(LIMIT_MAX));
        self.len += u32::from(!known);
    }

    /// Takes `slot` out, if it is in.
    pub(crate) fn remove(&mut self, slot: u32) {
        if let Some(lists) = self.lists.as_mut().filter(|lists| lists.contains(slot)) {
            lists.unlink(slot);
            lists.links.set(slot, UNLINKED);
            self.len -= 1;
        }
    }

    /// Offers the slots, least told first, each at most once. `send` gets the slot and how often it will have been told, this
    /// time included, and answers what became of it; a slot that was sent counts one more transmission, and leaves the
    /// backlog with the last. After [`SKIPS_MAX`] that do not fit it ends.
    #[inline]
    pub(crate) fn offer(&mut self, send: impl FnMut(u32, u8) -> Offer) {
        if self.is_empty() && !self.finished {
            return;
        }
        if let Some(lists) = &mut self.lists {
            lists.offer(send);
            self.len -= lists.finished.len() as u32;
            self.finished = !lists.finished.is_empty();
        }
    }

    /// All that is queued, each with how often it was told, in the order in which it would be offered.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, u8)> + '_ {
        self.lists.iter().flat_map(|lists| lists.iter())
    }

    /// The same with other slots of a table of `slots`, in which those for which there is none are left out. Only what is queued
    /// takes room, unless that is much: a list in order is then slow to make and to search.
    pub(crate) fn moved(&self, slots: usize, slot_of: impl Fn(u32) -> Option<u32>) -> Self {
        let few = (self.len as usize) < (slots / MANY_SHARE).clamp(MANY_MIN, MANY);
        let mut moved = if few { Self::of_few() } else { Self::default() };
        if !few {
            moved.lists().links.reserve(slots);
        }
        for (slot, sent) in self.iter() {
            if let Some(slot) = slot_of(slot) {
                moved.lists().push_back(slot, sent);
                moved.len += 1;
            }
        }
        moved
    }

    /// Gives up the room that is not needed, and of what was told for the last time it is known no longer.
    pub(crate) fn shrink(&mut self) {
        self.finished = false;
        if self.is_empty() {
            self.lists = None;
        }
        if let Some(lists) = &mut self.lists {
            lists.shrink();
        }
    }
}

impl Lists {
    fn contains(&self, slot: u32) -> bool {
        self.links.get(slot).sent != IDLE
    }

    /// Takes `slot`, which is in, out of its queue; its own link is left as it was.
    fn unlink(&mut self, slot: u32) {
        let Link { previous, next, sent } = self.links.get(slot);
        let queue = &mut self.queues[usize::from(sent)];
        match previous {
            NONE => queue.head = next,
            previous => self.links.update(previous, |link| link.next = next),
        }
        match next {
            NONE => queue.tail = previous,
            next => self.links.update(next, |link| link.previous = previous),
        }
        queue.len -= 1;
    }

    fn push_back(&mut self, slot: u32, sent: u8) {
        if self.queues.len() <= usize::from(sent) {
            self.queues.resize(usize::from(sent) + 1, EMPTY);
        }
        let queue = &mut self.queues[usize::from(sent)];
        let link = Link { previous: queue.tail, next: NONE, sent };
        self.links.set(slot, link);
        match queue.tail {
            NONE => queue.head = slot,
            tail => self.links.update(tail, |link| link.next = slot),
        }
        queue.tail = slot;
        queue.len += 1;
    }

    /// See [`Backlog::offer`]; what was told for the last time is in `finished`.
    fn offer(&mut self, mut send: impl FnMut(u32, u8) -> Offer) {
        self.finished.clear();
        let mut skips = 0;
        let mut carried = self.queues.first().map_or(0, |queue| queue.len);
        for sent in 0..self.queues.len() {
            // Those that move up in this very call join the next queue's tail: only those that were there before count.
            let count = core::mem::replace(&mut carried, self.queues.get(sent + 1).map_or(0, |queue| queue.len));
            let mut slot = self.queues[sent].head;
            for _ in 0..count {
                let next = self.links.get(slot).next;
                let told = sent as u8 + 1;
                match send(slot, told) {
                    Offer::Sent { last } => {
                        self.unlink(slot);
                        if !last {
                            self.push_back(slot, told.min(LIMIT_MAX));
                        } else {
                            self.links.set(slot, UNLINKED);
                            self.finished.push(slot);
                        }
                    }
                    Offer::Skip if skips < SKIPS_MAX => skips += 1,
                    Offer::Skip | Offer::Full => return,
                }
                slot = next;
            }
        }
    }

    fn iter(&self) -> impl Iterator<Item = (u32, u8)> + '_ {
        self.queues.iter().flat_map(|queue| {
            let next = |&slot: &u32| Some(self.links.get(slot).next).filter(|&next| next != NONE);
            let first = Some(queue.head).filter(|&head| head != NONE);
            core::iter::successors(first, next).map(|slot| (slot, self.links.get(slot).sent))
        })
    }

    fn shrink(&mut self) {
        self.links.shrink();
        self.finished = Vec::new();
        let used = self.queues.iter().rposition(|queue| queue.len > 0).map_or(0, |last| last + 1);
        self.queues.truncate(used);
        self.queues.shrink_to_fit();
    }
}

/// What became of an offered slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offer {
    /// It is in the datagram, for the last time or not.
    Sent { last: bool },
    /// It does not fit; offer the next.
    Skip,
    /// Nothing more fits.
    Full,
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn take(backlog: &mut Backlog, limit: u8, room: usize) -> Vec<u32> {
        let mut sent = Vec::new();
        backlog.offer(|slot, told| {
            if sent.len() == room {
                return Offer::Full;
            }
            sent.push(slot);
            Offer::Sent { last: told == limit }
        });
        sent
    }

    #[test]
    fn the_least_told_come_first_and_each_once_per_datagram() {
        let mut backlog = Backlog::default();
        for slot in 0..3 {
            backlog.insert(slot);
        }
        assert_eq!(take(&mut backlog, 3, 2), [0, 1]);
        assert_eq!(take(&mut backlog, 3, 10), [2, 0, 1]);
        backlog.insert(7);
        assert_eq!(take(&mut backlog, 3, 10), [7, 2, 0, 1]);
        assert_eq!(take(&mut backlog, 3, 10), [7, 2], "0 and 1 were told three times");
        assert_eq!(take(&mut backlog, 3, 10), [7]);
        assert!(backlog.is_empty());
    }

    #[test]
    fn the_search_for_what_fits_into_the_last_bytes_ends() {
        let mut backlog = Backlog::default();
        (0..1_000).for_each(|slot| backlog.insert(slot));
        let mut offered = 0;
        backlog.offer(|slot, _| {
            offered += 1;
            if slot % 4 == 3 { Offer::Sent { last: false } } else { Offer::Skip }
        });
        // Two are sent on the way to the ninth that does not fit.
        assert_eq!(offered, 2 + 9);
    }

    #[test]
    fn inserting_again_starts_the_count_anew_and_removing_leaves_the_others_linked() {
        let mut backlog = Backlog::default();
        for slot in 0..5 {
            backlog.insert(slot);
        }
        backlog.remove(2);
        backlog.remove(2);
        backlog.remove(0);
        backlog.remove(4);
        backlog.remove(99);
        assert_eq!(take(&mut backlog, 2, 10), [1, 3]);
        backlog.insert(1);
        assert_eq!(take(&mut backlog, 2, 10), [1, 3]);
        assert_eq!(take(&mut backlog, 2, 10), [1]);
        assert!(backlog.is_empty());
    }
}
