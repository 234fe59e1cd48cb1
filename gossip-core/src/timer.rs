//! The node's timers. The driver sees only the earliest of them.

use core::time::Duration;

use crate::time::Instant;

/// What a timer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timer {
    /// The next gossip round.
    Gossip,
    /// The next protocol period; the running probe ends.
    Probe,
    /// The running probe's direct answer is due.
    ProbeTimeout,
    /// The running probe's ping is repeated.
    ProbeRetry,
}

/// How many there are.
pub(crate) const COUNT: usize = ALL.len();

const ALL: [Timer; 4] = [Timer::Gossip, Timer::ProbeRetry, Timer::ProbeTimeout, Timer::Probe];

/// One deadline for each.
#[derive(Debug, Clone, Default)]
pub(crate) struct Timers {
    deadlines: [Instant; COUNT],
    /// Which of them are set, a bit for each.
    set: u8,
}

impl Timers {
    pub(crate) fn set(&mut self, timer: Timer, deadline: Instant) {
        self.deadlines[timer as usize] = deadline;
        self.set |= 1 << timer as u8;
    }

    /// Stretches what remains of a running interval, which was `old`, as `new` is to `old`.
    pub(crate) fn stretch(&mut self, timer: Timer, now: Instant, old: Duration, new: Duration) {
        if self.is_set(timer) {
            let deadline = &mut self.deadlines[timer as usize];
            let remaining = deadline.since(now).as_nanos() * new.as_nanos() / old.as_nanos().max(1);
            *deadline = now.min(*deadline) + Duration::from_nanos(u64::try_from(remaining).unwrap_or(u64::MAX));
        }
    }

    pub(crate) fn clear(&mut self, timer: Timer) {
        self.set &= !(1 << timer as u8);
    }

    /// When a timer was due last, or was to be when it was cleared.
    pub(crate) fn last(&self, timer: Timer) -> Instant {
        self.deadlines[timer as usize]
    }

    pub(crate) fn clear_all(&mut self) {
        self.set = 0;
    }

    pub(crate) fn is_set(&self, timer: Timer) -> bool {
        self.set & (1 << timer as u8) != 0
    }

    pub(crate) fn deadline(&self, timer: Timer) -> Option<Instant> {
        self.is_set(timer).then(|| self.deadlines[timer as usize])
    }

    #[inline]
    pub(crate) fn next(&self) -> Option<Instant> {
        let set = |number: usize| self.set >> number & 1 != 0;
        let earliest = self
            .deadlines
            .iter()
            .enumerate()
            .filter(|&(number, _)| set(number))
            .map(|(_, deadline)| deadline.as_nanos());
        // At the end of all time a timer may be set to it.
        let earliest = earliest.fold(u64::MAX, u64::min);
        (self.set != 0).then(|| Instant::from_nanos(earliest))
    }

    /// Takes a timer that is due, in a fixed order: a probe's timeout is served before the end of its period.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<(Timer, Instant)> {
        let (timer, deadline) = ALL.into_iter().find_map(|timer| {
            let deadline = self.deadline(timer).filter(|deadline| *deadline <= now)?;
            Some((timer, deadline))
        })?;
        self.clear(timer);
        Some((timer, deadline))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_timers_come_once_in_a_fixed_order() {
        let mut timers = Timers::default();
        timers.set(Timer::Probe, Instant::from_millis(10));
        timers.set(Timer::ProbeTimeout, Instant::from_millis(10));
        timers.set(Timer::Gossip, Instant::from_millis(30));
        assert_eq!(timers.next(), Some(Instant::from_millis(10)));
        assert_eq!(timers.take_due(Instant::from_millis(9)), None);
        assert_eq!(timers.take_due(Instant::from_millis(20)).unwrap().0, Timer::ProbeTimeout);
        assert_eq!(timers.take_due(Instant::from_millis(20)).unwrap().0, Timer::Probe);
        assert_eq!(timers.take_due(Instant::from_millis(20)), None);
        timers.clear(Timer::Gossip);
        assert_eq!(timers.next(), None);
    }
}
