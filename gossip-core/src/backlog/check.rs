//! What holds of a backlog at all times.

use super::{Backlog, IDLE, NONE};

impl Backlog {
    /// The slots that are queued, each with how often it was told; in the order in which they would be offered.
    ///
    /// # Panics
    /// When the links do not agree with each other.
    pub(crate) fn check(&self) -> alloc::vec::Vec<(u32, u8)> {
        let mut queued = alloc::vec::Vec::new();
        let Some(lists) = &self.lists else {
            assert!(self.is_empty() && !self.finished);
            return queued;
        };
        assert_eq!(self.finished, !lists.finished.is_empty());
        for (sent, queue) in lists.queues.iter().enumerate() {
            let (mut previous, mut slot, mut len) = (NONE, queue.head, 0);
            while slot != NONE {
                let link = lists.links.get(slot);
                assert_eq!((link.previous, usize::from(link.sent)), (previous, sent), "slot {slot}");
                queued.push((slot, link.sent));
                (previous, slot, len) = (slot, link.next, len + 1);
            }
            assert_eq!((previous, len), (queue.tail, queue.len), "queue of those told {sent} times");
        }
        assert_eq!(queued.len(), self.len as usize);
        let linked = lists.links.iter().filter(|(_, link)| link.sent != IDLE).count();
        assert_eq!(linked, queued.len(), "none is linked twice");
        assert!(self.iter().eq(queued.iter().copied()));
        queued
    }
}
