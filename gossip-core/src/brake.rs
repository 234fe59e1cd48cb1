//! A brake on what two nodes with one address would do to each other for ever.

use core::time::Duration;

use crate::time::Instant;

/// Admits an action three times at once, then after waits that double each time. Whoever does not come for as long as the
/// last wait begins anew.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Brake {
    strikes: u8,
    not_before: Instant,
    last: Instant,
}

const FREE: u8 = 3;
/// The longest wait is 2^12 times the shortest: more than an hour with periods of a second.
const DOUBLINGS_MAX: u8 = 12;

impl Brake {
    /// `unit` is the shortest wait.
    pub(crate) fn admits(&mut self, now: Instant, unit: Duration) -> bool {
        let quiet = now.since(core::mem::replace(&mut self.last, now));
        if quiet > self.wait(unit).max(unit.saturating_mul(64)) {
            self.strikes = 0;
        } else if now < self.not_before {
            return false;
        }
        self.strikes = (self.strikes + 1).min(FREE + DOUBLINGS_MAX);
        self.not_before = now + self.wait(unit);
        true
    }

    fn wait(&self, unit: Duration) -> Duration {
        if self.strikes < FREE { Duration::ZERO } else { unit.saturating_mul(1 << (self.strikes - FREE)) }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn three_times_at_once_and_then_ever_more_seldom_until_it_is_quiet() {
        let unit = Duration::from_secs(1);
        let at = |second| Instant::from_millis(second * 1_000);
        let mut brake = Brake::default();
        let admitted: Vec<u64> = (0..100).filter(|&second| brake.admits(at(1_000 + second), unit)).collect();
        assert_eq!(admitted, [0, 1, 2, 3, 5, 9, 17, 33, 65]);
        assert!(brake.admits(at(2_000), unit) && brake.admits(at(2_000), unit), "forgotten");
    }
}
