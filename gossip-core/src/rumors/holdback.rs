//! Ordered events that wait for an earlier one of their origin.
//!
//! Each ordered event names the one before it. It is delivered when that one was, and waits here until then, at most for
//! [`ordered_wait`](crate::Config::ordered_wait). When the time is over, or too many wait, it goes without: the application
//! is told of the gap. Only delivery waits. Whoever comes after a later one is delivered at once, and is told to be late.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;

use super::EventId;
use super::seen::Seen;
use crate::address::Address;
use crate::io::Via;
use crate::options::Order;
use crate::time::Instant;

/// An event for the application, and how it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delivery<A> {
    pub(crate) id: EventId<A>,
    pub(crate) payload: Arc<[u8]>,
    pub(crate) hops: u8,
    pub(crate) from: A,
    pub(crate) via: Via,
}

#[derive(Debug)]
struct Held<A> {
    delivery: Delivery<A>,
    /// The number of the ordered event before it, if there is one.
    previous: Option<u64>,
    deadline: Instant,
}

#[derive(Debug)]
pub(super) struct Holdback<A> {
    held: BTreeMap<EventId<A>, Held<A>>,
    deadlines: BTreeSet<(Instant, EventId<A>)>,
}

impl<A: Address> Holdback<A> {
    pub(super) fn new() -> Self {
        Self { held: BTreeMap::new(), deadlines: BTreeSet::new() }
    }

    /// Takes an event in, and hands out what may now be delivered, in order. `distance` is how far back the ordered event
    /// before it is, 0 for none. False when the event has to wait.
    pub(super) fn receive(
        &mut self,
        seen: &mut Seen<A>,
        delivery: Delivery<A>,
        distance: u64,
        deadline: Instant,
        mut deliver: impl FnMut(Delivery<A>, Order),
    ) -> bool {
        let EventId { origin, sequence } = delivery.id;
        let last = seen.last_ordered(&origin);
        if last.is_some_and(|last| last > sequence) {
            deliver(delivery, Order::Late);
            return true;
        }
        let previous = (distance > 0).then(|| sequence.saturating_sub(distance));
        // One of a former life was delivered then: its identity is remembered, its place in the order is not.
        let missing = previous.filter(|&previous| {
            let previous = EventId { origin, sequence: previous };
            !seen.contains(&previous) || self.contains(&previous)
        });
        if missing > last {
            self.deadlines.insert((deadline, delivery.id));
            self.held.insert(delivery.id, Held { delivery, previous, deadline });
            return false;
        }
        // Who waits before an event that need not wait does so for what was over when this one started.
        self.flush(seen, origin, sequence, &mut deliver);
        seen.set_last_ordered(origin, sequence);
        deliver(delivery, Order::InOrder);
        self.release(seen, origin, &mut deliver);
        true
    }

    /// Hands out those that waited for long enough.
    pub(super) fn expire(&mut self, seen: &mut Seen<A>, now: Instant, mut deliver: impl FnMut(Delivery<A>, Order)) {
        while self.next_deadline().is_some_and(|deadline| deadline <= now) {
            self.give_up(seen, &mut deliver);
        }
    }

    /// Hands out the one that has waited longest, with those before it and those that waited for it.
    pub(super) fn give_up(&mut self, seen: &mut Seen<A>, mut deliver: impl FnMut(Delivery<A>, Order)) {
        let Some(&(_, EventId { origin, sequence })) = self.deadlines.first() else { return };
        self.flush(seen, origin, sequence, &mut deliver);
        self.release(seen, origin, &mut deliver);
    }

    /// Nobody waits beyond `latest`.
    pub(super) fn wait_until(&mut self, latest: Instant) {
        while let Some(&(deadline, id)) = self.deadlines.last().filter(|(deadline, _)| *deadline > latest) {
            self.deadlines.remove(&(deadline, id));
            self.deadlines.insert((latest, id));
            if let Some(held) = self.held.get_mut(&id) {
                held.deadline = latest;
            }
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|&(deadline, _)| deadline)
    }

    pub(super) fn contains(&self, id: &EventId<A>) -> bool {
        self.held.contains_key(id)
    }

    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    /// Hands out the events of `origin` up to the number `last`, whatever they wait for.
    fn flush(&mut self, seen: &mut Seen<A>, origin: A, last: u64, deliver: &mut impl FnMut(Delivery<A>, Order)) {
        let range = EventId { origin, sequence: 0 }..=EventId { origin, sequence: last };
        while let Some((&id, _)) = self.held.range(range.clone()).next() {
            self.hand_out(seen, id, deliver);
        }
    }

    /// Hands out the events of `origin` that follow the last delivered one without a gap.
    fn release(&mut self, seen: &mut Seen<A>, origin: A, deliver: &mut impl FnMut(Delivery<A>, Order)) {
        let all = EventId { origin, sequence: 0 }..=EventId { origin, sequence: u64::MAX };
        while let Some((&id, held)) = self.held.range(all.clone()).next() {
            if held.previous > seen.last_ordered(&origin) {
                return;
            }
            self.hand_out(seen, id, deliver);
        }
    }

    fn hand_out(&mut self, seen: &mut Seen<A>, id: EventId<A>, deliver: &mut impl FnMut(Delivery<A>, Order)) {
        let Some(Held { delivery, previous, deadline }) = self.held.remove(&id) else { return };
        self.deadlines.remove(&(deadline, id));
        let order = if previous > seen.last_ordered(&id.origin) { Order::Gap } else { Order::InOrder };
        seen.set_last_ordered(id.origin, id.sequence);
        deliver(delivery, order);
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;
    use core::time::Duration;

    use foldhash::fast::FixedState;

    use super::super::seen::Start;
    use super::*;

    struct Bench {
        holdback: Holdback<u16>,
        seen: Seen<u16>,
        got: Vec<(u64, Order)>,
    }

    impl Bench {
        fn new() -> Self {
            Self { holdback: Holdback::new(), seen: Seen::new(FixedState::with_seed(1)), got: Vec::new() }
        }

        /// Event `sequence`, which follows the one `distance` before it, at a second.
        fn hear(&mut self, second: u64, sequence: u64, distance: u64) -> Vec<(u64, Order)> {
            let id = EventId { origin: 7, sequence };
            let at = Instant::from_millis(second * 1000);
            self.seen.insert(id, Start::new(at, Duration::ZERO), Instant::from_millis(90_000));
            let delivery = Delivery { id, payload: [].as_slice().into(), hops: 1, from: 1, via: Via::Push };
            let deadline = Instant::from_millis((second + 5) * 1000);
            let got = &mut self.got;
            let deliver = |delivery: Delivery<u16>, order| got.push((delivery.id.sequence, order));
            self.holdback.receive(&mut self.seen, delivery, distance, deadline, deliver);
            core::mem::take(&mut self.got)
        }

        fn expire(&mut self, second: u64) -> Vec<(u64, Order)> {
            let got = &mut self.got;
            let deliver = |delivery: Delivery<u16>, order| got.push((delivery.id.sequence, order));
            self.holdback.expire(&mut self.seen, Instant::from_millis(second * 1000), deliver);
            core::mem::take(&mut self.got)
        }
    }

    use Order::{Gap, InOrder, Late};

    #[test]
    fn what_comes_in_order_does_not_wait_and_what_comes_early_does() {
        let mut bench = Bench::new();
        assert_eq!(bench.hear(0, 10, 0), [(10, InOrder)]);
        assert_eq!(bench.hear(0, 12, 2), [(12, InOrder)], "11 was not ordered");
        assert_eq!(bench.hear(0, 15, 1), []);
        assert_eq!(bench.hear(0, 14, 1), []);
        assert_eq!(bench.hear(0, 13, 1), [(13, InOrder), (14, InOrder), (15, InOrder)]);
        assert_eq!((bench.holdback.len(), bench.holdback.next_deadline()), (0, None));
    }

    #[test]
    fn a_gap_is_told_and_so_is_who_comes_after_it() {
        let mut bench = Bench::new();
        bench.hear(0, 10, 0);
        assert_eq!(bench.hear(1, 13, 1), []);
        assert_eq!(bench.hear(2, 12, 1), []);
        assert_eq!(bench.hear(3, 14, 1), []);
        assert_eq!(bench.expire(5), []);
        // 13 waited for five seconds; 12, which it waited for, goes before it; 14 need not wait then.
        assert_eq!(bench.expire(6), [(12, Gap), (13, InOrder), (14, InOrder)]);
        assert_eq!(bench.hear(7, 11, 1), [(11, Late)]);
        assert_eq!(bench.hear(7, 15, 1), [(15, InOrder)], "a late one does not turn the order back");
        assert_eq!(bench.expire(100), []);
    }

    #[test]
    fn an_event_with_nothing_alive_before_it_does_not_overtake_those_that_wait() {
        let mut bench = Bench::new();
        assert_eq!(bench.hear(0, 5, 1), []);
        assert_eq!(bench.hear(1, 9, 0), [(5, Gap), (9, InOrder)]);
    }

    #[test]
    fn what_a_former_life_delivered_is_not_waited_for() {
        let mut bench = Bench::new();
        let former = EventId { origin: 7, sequence: 4 };
        bench.seen.insert(former, Start::new(Instant::ZERO, Duration::ZERO), Instant::from_millis(90_000));
        assert_eq!(bench.hear(1, 6, 2), [(6, InOrder)]);
    }

    #[test]
    fn an_origin_is_forgotten_with_the_identity_of_its_last_event() {
        let mut bench = Bench::new();
        bench.hear(0, 10, 0);
        assert_eq!(bench.seen.last_ordered(&7), Some(10));
        bench.seen.expire(Instant::from_millis(90_000));
        assert_eq!(bench.seen.last_ordered(&7), None);
    }
}
