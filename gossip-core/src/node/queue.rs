//! The messages that wait to be pulled, and the limit on datagrams per second.
//!
//! The limit is a token bucket in the form of the generic cell rate algorithm (ITU-T I.371): one instant says when what was
//! sent so far is paid for. A quarter of a second's worth may be sent at once, of which half is left to failure detection:
//! its messages go first, so that a node which must save datagrams does not seem dead.

use alloc::boxed::Box;
use core::time::Duration;

use super::transmit::Outgoing;
use crate::fifo::Fifo;
use crate::time::Instant;

/// The messages that wait. In C's order, since what only a waiting message needs is to lie in front: see [`Node`](crate::Node).
#[derive(Debug)]
#[repr(C)]
pub(super) struct Queue<A> {
    rest: Fifo<Outgoing<A>>,
    /// Messages of failure detection, under a limit.
    first: Option<Box<Fifo<Outgoing<A>>>>,
    paid: Instant,
    /// How many wait: told without a look at the first of them.
    len: u32,
}

/// How many datagrams per second may be sent; 0 for any number.
type Rate = u32;

impl<A> Queue<A> {
    pub(super) fn new() -> Self {
        Self { rest: Fifo::new(), first: None, paid: Instant::ZERO, len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether as many wait as are counted.
    #[cfg(any(test, fuzzing, feature = "check"))]
    pub(super) fn check(&self) {
        assert_eq!(
            self.len(),
            self.first.as_ref().map_or(0, |first| first.len()) + self.rest.len(),
            "messages that wait"
        );
    }

    /// How many bytes of a queue, from its front, are needed only if something waits.
    pub(super) const HEAD: usize = core::mem::offset_of!(Self, first);

    /// Drops the last of the others, then of failure detection, beyond `max`; how many.
    pub(super) fn truncate(&mut self, max: usize) -> usize {
        let before = self.len();
        self.rest.truncate(max.saturating_sub(before - self.rest.len()));
        if let Some(first) = &mut self.first {
            first.truncate(max);
        }
        self.len = (self.first.as_ref().map_or(0, |first| first.len()) + self.rest.len()) as u32;
        before - self.len()
    }

    pub(super) fn push_back(&mut self, outgoing: Outgoing<A>, rate: Rate) {
        let first = rate > 0 && outgoing.detects_failure();
        if first { self.first.get_or_insert_default() } else { &mut self.rest }.push_back(outgoing);
        self.len += 1;
    }

    pub(super) fn any(&self, of: impl Fn(&Outgoing<A>) -> bool) -> bool {
        self.first.iter().flat_map(|first| first.iter()).chain(self.rest.iter()).any(of)
    }

    /// Gives up the room that is not needed.
    pub(super) fn shrink(&mut self) {
        self.first.take_if(|first| first.is_empty());
        self.rest.shrink();
    }

    /// Puts back what is not done with.
    pub(super) fn push_front(&mut self, outgoing: Outgoing<A>) {
        self.rest.push_front(outgoing);
        self.len += 1;
    }

    /// The next message, unless the limit holds it back.
    pub(super) fn pop(&mut self, now: Instant, rate: Rate) -> Option<Outgoing<A>> {
        if self.len == 0 || self.due(rate).is_some_and(|due| due > now) {
            return None;
        }
        self.len -= 1;
        self.first.as_mut().and_then(|first| first.pop_front()).or_else(|| self.rest.pop_front())
    }

    /// A datagram was sent.
    pub(super) fn pay(&mut self, now: Instant, rate: Rate) {
        if rate > 0 {
            self.paid = self.paid.max(now) + interval(rate);
        }
    }

    /// When the next message may go, under a limit; what is past is now.
    #[inline]
    pub(super) fn due(&self, rate: Rate) -> Option<Instant> {
        if rate == 0 {
            return None;
        }
        // What is paid for ahead, beside the datagram itself.
        let ahead = interval(rate) * (rate / 4).saturating_sub(1);
        match (self.first.as_ref().is_none_or(|first| first.is_empty()), self.rest.is_empty()) {
            (false, _) => Some(self.paid - ahead),
            (true, false) => Some(self.paid - ahead / 2),
            (true, true) => None,
        }
    }
}

fn interval(rate: Rate) -> Duration {
    Duration::from_nanos(1_000_000_000 / u64::from(rate.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = 40;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    /// What may be sent at that time: how many of failure detection, how many others.
    fn send(queue: &mut Queue<u16>, now: Instant, rate: Rate) -> (u32, u32) {
        let mut sent = (0, 0);
        while let Some(outgoing) = queue.pop(now, rate) {
            queue.pay(now, rate);
            if outgoing.detects_failure() { sent.0 += 1 } else { sent.1 += 1 }
        }
        sent
    }

    #[test]
    fn a_burst_then_the_rate_and_failure_detection_first() {
        let mut queue = Queue::new();
        for seq in 0..100 {
            queue.push_back(Outgoing::Gossip { to: 2_u16, answer: true }, RATE);
            queue.push_back(Outgoing::Ack { to: 3, seq }, RATE);
        }
        // 40 per second: a burst of ten, then one every 25 ms.
        assert_eq!(send(&mut queue, at(1_000), RATE), (10, 0));
        assert_eq!(queue.due(RATE), Some(at(1_025)));
        assert_eq!(send(&mut queue, at(1_024), RATE), (0, 0));
        assert_eq!(send(&mut queue, at(1_025), RATE), (1, 0));
        assert_eq!(send(&mut queue, at(1_100), RATE), (3, 0));
        // A quiet time fills the bucket again, and no more than that.
        assert_eq!(send(&mut queue, at(9_000), RATE), (10, 0));
        queue.first = None;
        queue.len = queue.rest.len() as u32;
        assert_eq!(send(&mut queue, at(9_025), RATE), (0, 0), "half of the burst is left to failure detection");
        assert_eq!(queue.due(RATE), Some(Instant::from_nanos(9_137_500_000)));
        assert_eq!(send(&mut queue, at(12_000), RATE), (0, 5));
        queue.push_back(Outgoing::Ack { to: 3, seq: 0 }, RATE);
        assert_eq!(send(&mut queue, at(12_000), RATE), (1, 0), "which may still go");
    }

    #[test]
    fn failure_detection_is_the_last_to_be_dropped() {
        let mut queue = Queue::new();
        for seq in 0..3 {
            queue.push_back(Outgoing::Gossip { to: 2_u16, answer: true }, RATE);
            queue.push_back(Outgoing::Ack { to: 3, seq }, RATE);
        }
        assert_eq!((queue.truncate(7), queue.truncate(4), queue.truncate(2)), (0, 2, 2));
        assert_eq!(send(&mut queue, at(1_000), RATE), (2, 0));
    }

    #[test]
    fn without_a_limit_all_go_at_once_in_their_order() {
        let mut queue = Queue::new();
        for seq in 0..10 {
            queue.push_back(Outgoing::Gossip { to: 2_u16, answer: true }, 0);
            queue.push_back(Outgoing::Ack { to: 3, seq }, 0);
        }
        assert_eq!(queue.due(0), None);
        for _ in 0..10 {
            assert!(matches!(queue.pop(at(0), 0), Some(Outgoing::Gossip { .. })));
            assert!(matches!(queue.pop(at(0), 0), Some(Outgoing::Ack { .. })));
        }
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn one_datagram_per_second_is_one_per_second() {
        let mut queue = Queue::new();
        (0..5).for_each(|_| queue.push_back(Outgoing::Join { to: 2_u16 }, 1));
        let sent: u32 = (1_000..4_000).map(|millis| send(&mut queue, at(millis), 1).1).sum();
        assert_eq!(sent, 3);
    }
}
