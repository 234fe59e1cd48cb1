//! What holds at a node at the moment, and when each of it ends.
//!
//! Sleeps and blocks end by time: they hold for `start ≤ now < start + duration`. "Drop the next n" ends when it is
//! used up. Loss and delay hold until everything is healed. The number of entries is the number of orders given, which
//! the network cannot raise; it is one to ten in an experiment, so they stand in a plain list.

use core::time::Duration;
use std::collections::{BTreeSet, VecDeque};

use crate::fate::Endpoint;
use crate::spec::{Delay, Direction, DropNext, Loss, Sleep};

/// A fault of the network side, at one node.
#[derive(Debug, Clone, PartialEq)]
pub enum Impairment {
    /// Datagrams are lost. A second one of the same direction strikes independently of the first.
    Loss(Loss),
    /// Datagrams are late. A second one of the same direction adds its delay.
    Delay(Delay),
    /// The next ones are dropped.
    DropNext(DropNext),
    /// Nothing in, nothing out.
    Sleep(Sleep),
    /// Nothing to and from these peers.
    Block {
        /// The other side.
        peers: BTreeSet<Endpoint>,
        /// For how long.
        duration: Duration,
    },
}

#[derive(Debug, Clone)]
struct Active {
    id: u32,
    /// The first instant at which it no longer holds; none when it ends otherwise.
    end: Option<Duration>,
    impairment: Impairment,
}

/// The impairments in force, in the order in which they were ordered, and those that ended by themselves.
#[derive(Debug, Clone, Default)]
pub(crate) struct Schedule {
    active: Vec<Active>,
    ended: VecDeque<u32>,
}

impl Schedule {
    /// Puts `impairment` in force. One that has the same id is replaced, so that an order which is given twice (after a
    /// lost connection) counts once.
    pub(crate) fn start(&mut self, now: Duration, id: u32, impairment: Impairment) {
        self.expire(now);
        self.active.retain(|active| active.id != id);
        let end = match &impairment {
            Impairment::Sleep(sleep) => Some(now.saturating_add(sleep.duration.get())),
            Impairment::Block { duration, .. } => Some(now.saturating_add(*duration)),
            Impairment::DropNext(DropNext { count: 0, .. }) => Some(now),
            Impairment::DropNext(_) | Impairment::Loss(_) | Impairment::Delay(_) => None,
        };
        self.active.push(Active { id, end, impairment });
        self.expire(now);
    }

    /// Ends everything. What ended by itself before can still be polled.
    pub(crate) fn heal(&mut self) {
        self.active.clear();
    }

    /// Moves what ended up to `now` to the ended ones, in the order of their ends.
    pub(crate) fn expire(&mut self, now: Duration) {
        while let Some(index) = self.due(now) {
            let Active { id, .. } = self.active.remove(index);
            self.ended.push_back(id);
        }
    }

    /// Where the first of those that ended up to `now` stands.
    fn due(&self, now: Duration) -> Option<usize> {
        let ends = self.active.iter().enumerate().filter_map(|(index, active)| Some((active.end?, index)));
        ends.filter(|(end, _)| *end <= now).min().map(|(_, index)| index)
    }

    pub(crate) fn poll_ended(&mut self) -> Option<u32> {
        self.ended.pop_front()
    }

    pub(crate) fn next_end(&self) -> Option<Duration> {
        self.active.iter().filter_map(|active| active.end).min()
    }

    pub(crate) fn is_asleep(&self) -> bool {
        self.active.iter().any(|active| matches!(active.impairment, Impairment::Sleep(_)))
    }

    pub(crate) fn blocks(&self, peer: Endpoint) -> bool {
        self.active
            .iter()
            .any(|active| matches!(&active.impairment, Impairment::Block { peers, .. } if peers.contains(&peer)))
    }

    /// Uses up one of the oldest "drop the next" of this direction. False when there is none.
    pub(crate) fn take_next(&mut self, direction: Direction) -> bool {
        let next = self.active.iter_mut().enumerate().find_map(|(index, active)| match &mut active.impairment {
            Impairment::DropNext(next) if next.direction == direction => Some((index, next)),
            _ => None,
        });
        let Some((index, next)) = next else { return false };
        next.count -= 1;
        if next.count == 0 {
            let Active { id, .. } = self.active.remove(index);
            self.ended.push_back(id);
        }
        true
    }

    pub(crate) fn losses(&self, direction: Direction) -> impl Iterator<Item = &Loss> {
        self.active.iter().filter_map(move |active| match &active.impairment {
            Impairment::Loss(loss) if loss.direction == direction => Some(loss),
            _ => None,
        })
    }

    pub(crate) fn delays(&self, direction: Direction) -> impl Iterator<Item = &Delay> {
        self.active.iter().filter_map(move |active| match &active.impairment {
            Impairment::Delay(delay) if delay.direction == direction => Some(delay),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Span;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    const NS: Duration = Duration::from_nanos(1);

    fn sleep(millis: u32) -> Impairment {
        Impairment::Sleep(Sleep { duration: Span::from_millis(millis) })
    }

    fn drop_next(count: u32, direction: Direction) -> Impairment {
        Impairment::DropNext(DropNext { count, direction })
    }

    #[test]
    fn a_sleep_holds_until_one_nanosecond_before_its_end() {
        let mut schedule = Schedule::default();
        schedule.start(ms(100), 4, sleep(50));
        assert_eq!(schedule.next_end(), Some(ms(150)));
        schedule.expire(ms(150) - NS);
        assert!(schedule.is_asleep());
        assert_eq!(schedule.poll_ended(), None);
        schedule.expire(ms(150));
        assert!(!schedule.is_asleep());
        assert_eq!(schedule.poll_ended(), Some(4));
        assert_eq!(schedule.poll_ended(), None);
        assert_eq!(schedule.next_end(), None);
    }

    #[test]
    fn ends_are_told_in_the_order_of_time_then_of_orders() {
        let mut schedule = Schedule::default();
        for (id, millis) in [(1, 30), (2, 10), (3, 30), (4, 20), (5, 40)] {
            schedule.start(ms(0), id, sleep(millis));
        }
        schedule.expire(ms(30));
        let told: Vec<u32> = core::iter::from_fn(|| schedule.poll_ended()).collect();
        assert_eq!(told, [2, 4, 1, 3]);
        assert!(schedule.is_asleep(), "the fifth goes on");
    }

    #[test]
    fn the_oldest_drop_next_of_the_direction_is_used_up_first() {
        let mut schedule = Schedule::default();
        schedule.start(ms(0), 1, drop_next(1, Direction::Out));
        schedule.start(ms(0), 2, drop_next(2, Direction::In));
        schedule.start(ms(0), 3, drop_next(1, Direction::In));
        let taken: Vec<bool> = (0..4).map(|_| schedule.take_next(Direction::In)).collect();
        assert_eq!(taken, [true, true, true, false]);
        assert_eq!([schedule.poll_ended(), schedule.poll_ended(), schedule.poll_ended()], [Some(2), Some(3), None]);
        assert!(schedule.take_next(Direction::Out));
    }

    #[test]
    fn what_lasts_no_time_ends_at_once() {
        let mut schedule = Schedule::default();
        schedule.start(ms(5), 1, drop_next(0, Direction::In));
        schedule.start(ms(5), 2, sleep(0));
        assert!(!schedule.is_asleep());
        assert!(!schedule.take_next(Direction::In));
        assert_eq!([schedule.poll_ended(), schedule.poll_ended()], [Some(1), Some(2)]);
    }

    #[test]
    fn the_same_id_again_replaces_and_tells_its_end_once() {
        let mut schedule = Schedule::default();
        schedule.start(ms(0), 1, sleep(10));
        schedule.start(ms(5), 1, sleep(10));
        schedule.expire(ms(10));
        assert!(schedule.is_asleep());
        schedule.expire(ms(15));
        assert_eq!([schedule.poll_ended(), schedule.poll_ended()], [Some(1), None]);
    }

    #[test]
    fn healing_ends_everything_without_telling() {
        let mut schedule = Schedule::default();
        schedule.start(ms(0), 1, sleep(10));
        schedule.start(ms(0), 2, drop_next(3, Direction::In));
        schedule.heal();
        schedule.expire(ms(20));
        assert!(!schedule.is_asleep());
        assert!(!schedule.take_next(Direction::In));
        assert_eq!(schedule.poll_ended(), None);
    }

    #[test]
    fn an_end_beyond_the_clock_does_not_overflow() {
        let mut schedule = Schedule::default();
        schedule.start(Duration::MAX - NS, 1, sleep(10));
        assert!(schedule.is_asleep());
        schedule.expire(Duration::MAX);
        assert!(!schedule.is_asleep());
    }
}
