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

/// Which timers are set, and when the first of them is due: what is asked at every input. The rest is in [`Deadlines`], which belong
/// to it and lie elsewhere: a driver of many nodes waits for each line of memory that an input needs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Timers {
    next: Instant,
    /// A bit for each.
    set: u8,
}

/// One deadline for each.
#[derive(Debug, Clone, Default)]
pub(crate) struct Deadlines([Instant; COUNT]);

impl Deadlines {
    /// When a timer was due last, or was to be when it was cleared.
    pub(crate) fn last(&self, timer: Timer) -> Instant {
        self.0[timer as usize]
    }
}

impl Timers {
    pub(crate) fn set(&mut self, deadlines: &mut Deadlines, timer: Timer, deadline: Instant) {
        deadlines.0[timer as usize] = deadline;
        self.set |= 1 << timer as u8;
        self.look_for_next(deadlines);
    }

    /// Stretches what remains of a running interval, which was `old`, as `new` is to `old`.
    pub(crate) fn stretch(&mut self, deadlines: &mut Deadlines, timer: Timer, now: Instant, [old, new]: [Duration; 2]) {
        if let Some(deadline) = self.deadline(deadlines, timer) {
            let remaining = deadline.since(now).as_nanos() * new.as_nanos() / old.as_nanos().max(1);
            let remaining = Duration::from_nanos(u64::try_from(remaining).unwrap_or(u64::MAX));
            self.set(deadlines, timer, now.min(deadline) + remaining);
        }
    }

    pub(crate) fn clear(&mut self, deadlines: &Deadlines, timer: Timer) {
        if self.is_set(timer) {
            self.set &= !(1 << timer as u8);
            self.look_for_next(deadlines);
        }
    }

    pub(crate) fn clear_all(&mut self) {
        self.set = 0;
    }

    #[inline]
    pub(crate) fn is_set(&self, timer: Timer) -> bool {
        self.set & (1 << timer as u8) != 0
    }

    pub(crate) fn deadline(&self, deadlines: &Deadlines, timer: Timer) -> Option<Instant> {
        self.is_set(timer).then(|| deadlines.last(timer))
    }

    #[inline]
    pub(crate) fn next(&self) -> Option<Instant> {
        (self.set != 0).then_some(self.next)
    }

    /// Takes a timer that is due, in a fixed order: a probe's timeout is served before the end of its period.
    pub(crate) fn take_due(&mut self, deadlines: &Deadlines, now: Instant) -> Option<(Timer, Instant)> {
        let (timer, deadline) = ALL.into_iter().find_map(|timer| {
            let deadline = self.deadline(deadlines, timer).filter(|deadline| *deadline <= now)?;
            Some((timer, deadline))
        })?;
        self.clear(deadlines, timer);
        Some((timer, deadline))
    }

    /// Whether the first deadline is that of the timers that are set.
    #[cfg(any(test, fuzzing, feature = "check"))]
    pub(crate) fn check(&self, deadlines: &Deadlines) {
        let set = ALL.into_iter().filter_map(|timer| self.deadline(deadlines, timer));
        assert_eq!(self.next(), set.min(), "the first of the timers' deadlines");
    }

    fn look_for_next(&mut self, deadlines: &Deadlines) {
        let set = ALL.into_iter().filter_map(|timer| self.deadline(deadlines, timer));
        self.next = set.min().unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_timers_come_once_in_a_fixed_order() {
        let (mut timers, mut deadlines) = (Timers::default(), Deadlines::default());
        timers.set(&mut deadlines, Timer::Probe, Instant::from_millis(10));
        timers.set(&mut deadlines, Timer::ProbeTimeout, Instant::from_millis(10));
        timers.set(&mut deadlines, Timer::Gossip, Instant::from_millis(30));
        assert_eq!(timers.next(), Some(Instant::from_millis(10)));
        assert_eq!(timers.take_due(&deadlines, Instant::from_millis(9)), None);
        assert_eq!(timers.take_due(&deadlines, Instant::from_millis(20)).unwrap().0, Timer::ProbeTimeout);
        assert_eq!(timers.take_due(&deadlines, Instant::from_millis(20)).unwrap().0, Timer::Probe);
        assert_eq!(timers.take_due(&deadlines, Instant::from_millis(20)), None);
        timers.clear(&deadlines, Timer::Gossip);
        assert_eq!(timers.next(), None);
    }
}
