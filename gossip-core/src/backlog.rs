//! What is still to be told, least told first.
//!
//! SWIM §4.1 piggybacks each update a limited number of times and prefers those that were told less often. The items are
//! slots of some table; the backlog links them into one queue per number of transmissions, so that adding, moving and
//! dropping an item cost the same however many there are.

#[cfg(any(test, fuzzing))]
mod check;
#[cfg(test)]
mod model;

use alloc::vec::Vec;

use crate::overlay::Overlay;

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

/// Slots that are passed over in search of a smaller item for the last bytes of a datagram. Without a limit a datagram with
/// a few bytes left would cost a look at the whole backlog.
pub(crate) const SKIPS_MAX: u8 = 8;

/// Transmissions after which an item leaves the backlog in any case.
const LIMIT_MAX: u8 = IDLE - 1;

#[derive(Debug, Clone, Copy)]
struct Queue {
    head: u32,
    tail: u32,
    len: u32,
}

const EMPTY: Queue = Queue { head: NONE, tail: NONE, len: 0 };

/// A backlog of slots.
#[derive(Debug, Clone, Default)]
pub(crate) struct Backlog {
    links: Overlay<Link>,
    queues: Vec<Queue>,
    len: u32,
    /// What was told for the last time in the last offer.
    finished: Vec<u32>,
}

impl Backlog {
    /// An empty backlog of which the first `slots` take room only while they are queued.
    pub(crate) fn sparse(slots: usize) -> Self {
        Self { links: Overlay::uniform(UNLINKED, slots), ..Self::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn contains(&self, slot: u32) -> bool {
        self.links.get(slot).is_some_and(|link| link.sent != IDLE)
    }

    /// Whether `slot` is still to be told, or was so before the last offer.
    pub(crate) fn contained(&self, slot: u32) -> bool {
        self.contains(slot) || self.finished.contains(&slot)
    }

    /// Queues `slot` as never told, whatever it was before.
    pub(crate) fn insert(&mut self, slot: u32) {
        self.remove(slot);
        self.links.extend_to(slot as usize + 1, UNLINKED);
        self.push_back(slot, 0);
    }

    /// Takes `slot` out, if it is in.
    pub(crate) fn remove(&mut self, slot: u32) {
        let Some(&Link { previous, next, sent }) = self.links.get(slot) else { return };
        if sent == IDLE {
            return;
        }
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
        self.links.update(slot, |link| *link = UNLINKED);
        self.len -= 1;
    }

    /// Offers the slots, least told first, each at most once. `send` gets the slot and how often it will have been told, this
    /// time included, and answers what became of it; a slot that was sent counts one more transmission, and leaves the
    /// backlog with the last. After [`SKIPS_MAX`] that do not fit it ends.
    pub(crate) fn offer(&mut self, mut send: impl FnMut(u32, u8) -> Offer) {
        self.finished.clear();
        let mut skips = 0;
        let mut carried = self.queues.first().map_or(0, |queue| queue.len);
        for sent in 0..self.queues.len() {
            // Those that move up in this very call join the next queue's tail: only those that were there before count.
            let count = core::mem::replace(&mut carried, self.queues.get(sent + 1).map_or(0, |queue| queue.len));
            let mut slot = self.queues[sent].head;
            for _ in 0..count {
                let next = self.links.at(slot).next;
                let told = sent as u8 + 1;
                match send(slot, told) {
                    Offer::Sent { last } => {
                        self.remove(slot);
                        if !last && told < LIMIT_MAX {
                            self.push_back(slot, told);
                        } else {
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

    fn push_back(&mut self, slot: u32, sent: u8) {
        if self.queues.len() <= usize::from(sent) {
            self.queues.resize(usize::from(sent) + 1, EMPTY);
        }
        let queue = &mut self.queues[usize::from(sent)];
        let link = Link { previous: queue.tail, next: NONE, sent };
        self.links.update(slot, |place| *place = link);
        match queue.tail {
            NONE => queue.head = slot,
            tail => self.links.update(tail, |link| link.next = slot),
        }
        queue.tail = slot;
        queue.len += 1;
        self.len += 1;
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
