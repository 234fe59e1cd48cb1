//! Draws of integers and choices, from a stream of their own for each purpose.

use core::time::Duration;

use netem::seed::child;
use rand_core::{Rng as _, SeedableRng as _};
use rand_xoshiro::Xoshiro256PlusPlus;

/// A stream of draws. Integers only: the same on every machine.
#[derive(Debug, Clone)]
pub(super) struct Draw(Xoshiro256PlusPlus);

impl Draw {
    /// The stream called `label` below `seed`.
    #[must_use]
    pub(super) fn new(seed: u64, label: &str) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(child(seed, label)))
    }

    /// Uniform on 0..`bound`; 0 for none.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        // Lemire's multiplication without the rejection: a bias of 2^-40 does not matter to an adversary.
        ((u128::from(self.0.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// Uniform on `least..=most`.
    pub(super) fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most.saturating_sub(least) + 1)
    }

    /// Whole milliseconds, uniform on `least..=most`.
    pub(super) fn time(&mut self, least: Duration, most: Duration) -> Duration {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(self.between(millis(least), millis(most)))
    }

    /// True `percent` times in a hundred.
    pub(super) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of them.
    pub(super) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }

    /// `count` of them at most, in random order.
    pub(super) fn some<T: Copy>(&mut self, count: usize, of: &[T]) -> Vec<T> {
        let mut of = of.to_vec();
        for place in 0..count.min(of.len()) {
            let other = place + self.below((of.len() - place) as u64) as usize;
            of.swap(place, other);
        }
        of.truncate(count);
        of
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_stay_in_their_bounds_and_reach_them() {
        let mut draw = Draw::new(1, "test");
        let drawn: Vec<u64> = (0..1_000).map(|_| draw.between(3, 6)).collect();
        assert!((3..=6).all(|value| drawn.contains(&value)) && drawn.iter().all(|value| (3..=6).contains(value)));
        assert_eq!(draw.below(0), 0);
        let mut some = draw.some(4, &[1, 2, 3, 4, 5]);
        some.sort_unstable();
        some.dedup();
        assert_eq!(some.len(), 4);
        assert_eq!(draw.some(9, &[7]), [7]);
    }

    #[test]
    fn streams_of_other_labels_are_others() {
        let first = |label| Draw::new(1, label).below(1 << 40);
        assert_ne!(first("a"), first("b"));
        assert_eq!(first("a"), first("a"));
    }
}
