//! For drivers of many nodes: a node has grown cold when its turn comes, and waits for memory a dozen times on its way through
//! an input. Who knows what comes next can have the processor fetch what will be needed, for several nodes at once and without
//! waiting. Here is told where that is; nothing here reads it. How to fetch it is the driver's business.

use alloc::collections::VecDeque;
use core::mem::{offset_of, size_of};
use core::ops::Range;

use super::Node;
use crate::address::Address;
use crate::members::Members;

/// Bytes of a line of memory.
const LINE: usize = 64;

/// Lines of a queue's room that are fetched: those of the first item.
const QUEUE_LINES: usize = 2;

/// What comes to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// A datagram.
    Datagram,
    /// A command of the application.
    Command,
    /// A time that it named.
    Timeout,
}

impl<A: Address> Node<A> {
    /// Which bytes of a node the next input will need.
    #[must_use]
    pub const fn bytes_for(need: Need) -> Range<usize> {
        match need {
            Need::Timeout => offset_of!(Self, acquaintances)..offset_of!(Self, members) + Members::<A>::DRAW_LEN,
            // The first is the last of the backlog.
            Need::Datagram | Need::Command => {
                offset_of!(Self, config) - 8..offset_of!(Self, members) + Members::<A>::FRONT_LEN
            }
        }
    }

    /// Tells `line` where that is to which the node itself refers and that the next input needs: one place in each line of memory. To be
    /// called when the node itself is there, and changes nothing.
    #[inline]
    pub fn lines_for(&self, need: Need, line: &mut impl FnMut(*const u8)) {
        self.members.lines(line);
        match need {
            // Most that comes is for the application, and most that goes is an answer or a call.
            Need::Datagram => lines_of_queue(&self.events, line),
            Need::Timeout | Need::Command => self.outgoing.lines(line),
        }
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
    let len = queue.capacity().min(1) * size_of::<T>();
    (0..len.div_ceil(LINE).min(QUEUE_LINES)).for_each(|number| line(start.wrapping_add(number * LINE)));
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;
    use core::net::SocketAddr;

    use super::*;

    #[test]
    fn an_input_needs_few_lines_of_a_node_next_to_each_other() {
        let lines = |need| {
            let bytes = Node::<SocketAddr>::bytes_for(need);
            bytes.end.div_ceil(LINE) - bytes.start / LINE
        };
        assert!(lines(Need::Datagram) <= 8, "{}", lines(Need::Datagram));
        assert!(lines(Need::Timeout) <= 12, "{}", lines(Need::Timeout));
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
        assert_eq!((lines(0), lines(1), lines(9)), (Vec::new(), [0, 64].into(), [0, 64].into()));
    }
}
