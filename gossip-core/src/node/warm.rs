//! For drivers of many nodes: a node has grown cold when its turn comes, and waits for memory a dozen times on its way through
//! an input. Who knows what comes next can have the processor fetch what will be needed, for several nodes at once and without
//! waiting. Here is told where that is, step by step: each reads no more than what the step before named. How to fetch it is the driver's
//! business.

use core::mem::{offset_of, size_of};
use core::ops::Range;

use super::Node;
use super::queue::Queue;
use crate::address::Address;
use crate::members::Members;
use crate::timer::Timer;

/// Bytes of a line of memory.
const LINE: usize = 64;

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
    /// Which bytes of a node the next input will need, as far as it can be known: up to three ranges.
    #[must_use]
    #[inline]
    pub const fn bytes_for(need: Need) -> [Range<usize>; 3] {
        let (events, outgoing, members) =
            (offset_of!(Self, events), offset_of!(Self, outgoing), offset_of!(Self, members));
        let (heads, front) = (outgoing + Queue::<A>::HEAD, members + Members::<A>::FRONT_LEN);
        // What is put into a queue and taken out is all of an event or message, however short it is. Whether an event waits is told by the
        // first bytes of the room for it, where the compiler puts what tells; were it elsewhere, that line would come later.
        match need {
            Need::Datagram => [0..outgoing, heads..front, 0..0],
            Need::Command => [0..events + 2 * size_of::<usize>(), outgoing..front, 0..0],
            Need::Timeout => [
                0..events + 2 * size_of::<usize>(),
                outgoing..members + Members::<A>::DRAW_LEN,
                offset_of!(Self, deadlines)..offset_of!(Self, sync),
            ],
        }
    }

    /// Tells `line` where the node looks up a member who sent it a datagram, or is to be sent one, if that is in a
    /// [`SharedView`](crate::SharedView), and what it will need for the answer to a probe, if it waits for one: one place in each line
    /// of memory. To be called when the node itself is there, and changes nothing.
    #[inline]
    pub fn lines_of_search(&self, peer: &A, line: &mut impl FnMut(*const u8)) {
        if let Some(view) = self.members.view() {
            view.lines_of_search((*peer).into(), line);
        }
        if self.is_asking() {
            let start = core::ptr::from_ref(self).cast::<u8>();
            let answer = offset_of!(Self, deadlines) / LINE * LINE..offset_of!(Self, sync);
            answer.step_by(LINE).for_each(|offset| line(start.wrapping_add(offset)));
        }
    }

    /// The same for what it finds there. To be called when that is there.
    #[inline]
    pub fn lines_of_entry(&self, peer: &A, line: &mut impl FnMut(*const u8)) {
        if let Some(view) = self.members.view() {
            view.lines_of_entry((*peer).into(), line);
        }
        if self.is_asking() {
            self.round_trips.lines(line);
        }
    }

    /// The same for a node whose next input is a timeout: where it draws the member that it will probe, if it will probe one.
    #[inline(never)]
    pub fn lines_of_draw(&self, line: &mut impl FnMut(*const u8)) {
        self.members.lines_of_draw(line);
    }

    /// And what it knows of that member. To be called when the place at which it draws is there.
    #[inline(never)]
    pub fn lines_of_drawn(&self, line: &mut impl FnMut(*const u8)) {
        self.members.lines_of_drawn(line);
    }

    /// Whether an answer to a probe is awaited, as what comes next then mostly is.
    #[inline]
    fn is_asking(&self) -> bool {
        self.timers.is_set(Timer::ProbeTimeout)
    }
}

/// Every line of an item, wherever it is.
#[inline]
pub(crate) fn lines_of<T>(item: *const T, line: &mut impl FnMut(*const u8)) {
    let start = item.cast::<u8>();
    (0..size_of::<T>()).step_by(LINE).for_each(|offset| line(start.wrapping_add(offset)));
    line(start.wrapping_add(size_of::<T>().max(1) - 1));
}

#[cfg(test)]
mod tests {
    use core::net::SocketAddr;

    use super::*;

    #[test]
    fn an_input_needs_few_lines_of_a_node_next_to_each_other() {
        let of_range = |bytes: &Range<usize>| bytes.end.div_ceil(LINE) - bytes.start / LINE;
        let lines = |need| Node::<SocketAddr>::bytes_for(need).iter().map(of_range).sum::<usize>();
        assert!(lines(Need::Datagram) <= 6, "{}", lines(Need::Datagram));
        assert!(lines(Need::Command) <= 6, "{}", lines(Need::Command));
        assert!(lines(Need::Timeout) <= 17, "{}", lines(Need::Timeout));
    }
}
