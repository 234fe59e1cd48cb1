//! For drivers of many nodes: a node has grown cold when its turn comes, and waits for memory a dozen times on its way through
//! an input. Who knows what comes next can have the processor fetch what will be needed, for several nodes at once and without
//! waiting. Here is told where that is; nothing here reads it. How to fetch it is the driver's business.

use alloc::collections::VecDeque;
use core::mem::{offset_of, size_of};

use super::Node;
use crate::address::Address;

/// Bytes of a line of memory.
const LINE: usize = 64;

/// Lines of a queue's room that are fetched: those of the first one or two items.
const QUEUE_LINES: usize = 3;

impl<A: Address> Node<A> {
    /// How many bytes of a node, from its front, most inputs need; a timer needs nearly all of it.
    pub const FRONT_LEN: usize = offset_of!(Self, counters) + size_of::<u64>();

    /// Tells `line` where that is to which the node itself refers and that the next input needs: one place in each line of memory. To be
    /// called when the node itself is there, and changes nothing.
    #[inline]
    pub fn lines_beyond(&self, line: &mut impl FnMut(*const u8)) {
        self.members.lines(line);
        self.outgoing.lines(line);
        lines_of_queue(&self.events, line);
    }

    /// The same for what the node looks at of a member who sent it a datagram, or is to be sent one, where that is in a
    /// [`SharedView`](crate::SharedView).
    #[inline]
    pub fn lines_of(&self, peer: &A, line: &mut impl FnMut(*const u8)) {
        self.members.lines_of(peer, line);
    }
}

/// Where the next item of an empty queue will be put.
#[inline]
pub(super) fn lines_of_queue<T>(queue: &VecDeque<T>, line: &mut impl FnMut(*const u8)) {
    let start = queue.as_slices().0.as_ptr().cast::<u8>();
    let len = queue.capacity().min(2) * size_of::<T>();
    (0..len.div_ceil(LINE).min(QUEUE_LINES)).for_each(|number| line(start.wrapping_add(number * LINE)));
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;
    use core::net::SocketAddr;

    use super::*;

    #[test]
    fn the_front_of_a_node_is_less_than_half_of_it() {
        let (front, all) = (Node::<SocketAddr>::FRONT_LEN, size_of::<Node<SocketAddr>>());
        assert!(front * 2 < all + 256, "{front} of {all} bytes");
    }

    #[test]
    fn the_lines_of_a_queue_are_those_of_its_first_items() {
        let lines = |capacity: usize| {
            let queue = VecDeque::<[u8; 100]>::with_capacity(capacity);
            let start = queue.as_slices().0.as_ptr() as usize;
            let mut lines = Vec::new();
            lines_of_queue(&queue, &mut |line| lines.push(line as usize - start));
            lines
        };
        assert_eq!((lines(0), lines(1), lines(9)), (Vec::new(), [0, 64].into(), [0, 64, 128].into()));
    }
}
