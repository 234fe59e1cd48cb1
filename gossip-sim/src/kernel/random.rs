//! Streams of random numbers that are told apart by what they are for, and the draws that everything else is made of.
//!
//! A stream is named by numbers (run, round, purpose, chunk), so that a chunk of nodes draws the same whichever thread plays
//! it. Logarithms are those of the `libm` crate: the platform's differ in the last bit between machines.

use rand_core::{Rng as _, SeedableRng as _};
use rand_xoshiro::Xoshiro256PlusPlus;

/// A generator of random numbers: xoshiro256++, seeded from a key or a number.
#[derive(Debug, Clone)]
pub struct Stream(Xoshiro256PlusPlus);

/// The name of a family of streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key(u64);

impl Key {
    /// The family of one run of an experiment with this master seed.
    pub(crate) fn of_run(seed: u64, run: u64) -> Self {
        Self(netem::seed::child(seed, &format!("kernel/run/{run}")))
    }

    /// A part of this family.
    pub(crate) fn child(self, part: u64) -> Self {
        Self(mix(self.0.wrapping_add(mix(part))))
    }

    /// The stream of this name.
    pub(crate) fn stream(self) -> Stream {
        Stream::new(self.0)
    }

    /// A number that depends on name and index alone: what a node is, rather than what it does.
    pub(crate) fn hash(self, index: u64) -> u64 {
        mix(self.0 ^ mix(index))
    }
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014, fig. 11), after its increment.
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Stream {
    /// The stream of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    /// 64 random bits.
    #[inline]
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in 0..`bound`, without bias (Lemire, ACM TOMACS 29(1), 2019).
    #[inline]
    pub fn below(&mut self, bound: u64) -> u64 {
        loop {
            let wide = u128::from(self.bits()) * u128::from(bound);
            let low = wide as u64;
            // Most draws are decided here, without a division.
            if low >= bound || low >= bound.wrapping_neg() % bound {
                return (wide >> 64) as u64;
            }
        }
    }

    /// Uniform among 0..`nodes` without `me`.
    #[inline]
    pub(crate) fn other(&mut self, me: u64, nodes: u64) -> u64 {
        let draw = self.below(nodes - 1);
        draw + u64::from(draw >= me)
    }

    /// Uniform in [0, 1), 53 bits.
    #[inline]
    pub fn unit(&mut self) -> f64 {
        unit(self.bits())
    }

    /// Uniform in (0, 1].
    #[inline]
    pub(crate) fn positive(&mut self) -> f64 {
        ((self.bits() >> 11) + 1) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// True with this probability.
    #[inline]
    pub(crate) fn happens(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Standard normal: Marsaglia's polar method. The second variate is thrown away, which keeps the stream free of state.
    pub(crate) fn normal(&mut self) -> f64 {
        loop {
            let (x, y) = (2.0 * self.unit() - 1.0, 2.0 * self.unit() - 1.0);
            let square = x * x + y * y;
            if square > 0.0 && square < 1.0 {
                return x * (-2.0 * libm::log(square) / square).sqrt();
            }
        }
    }

    /// Exponential of mean 1.
    pub(crate) fn exponential(&mut self) -> f64 {
        -libm::log(self.positive())
    }
}

/// The number in [0, 1) of these bits.
pub(crate) fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
}

/// Bernoulli trials of one probability, of which only the successes cost time: the gaps between them are geometric.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gaps {
    /// 1 / ln(1−p).
    scale: f64,
}

impl Gaps {
    pub(crate) fn new(probability: f64) -> Self {
        Self { scale: 1.0 / libm::log1p(-probability) }
    }

    /// Failures before the next success; `u64::MAX` if there is none in sight.
    #[inline]
    pub(crate) fn next(self, stream: &mut Stream) -> u64 {
        // The scale is −∞ for p = 0 and −0 for p = 1: the cast saturates at "never", and gives 0 for "at once".
        let gap = libm::log(stream.positive()) * self.scale;
        if gap.is_nan() { u64::MAX } else { gap as u64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_below_a_bound_is_uniform() {
        let (mut stream, mut counts) = (Stream::new(1), [0_u32; 7]);
        (0..70_000).for_each(|_| counts[stream.below(7) as usize] += 1);
        let chi: f64 = counts.iter().map(|&count| (f64::from(count) - 1e4).powi(2) / 1e4).sum();
        assert!(chi < 27.9, "χ² = {chi} on 6 degrees of freedom has p < 1e-4");
    }

    #[test]
    fn nobody_calls_itself_and_everybody_else_is_called() {
        let (mut stream, mut seen) = (Stream::new(2), [false; 5]);
        (0..1000).for_each(|_| seen[stream.other(3, 5) as usize] = true);
        assert_eq!(seen, [true, true, true, false, true]);
    }

    #[test]
    fn gaps_leave_out_as_many_as_trials_would() {
        for probability in [1e-4, 0.03, 0.5, 0.95] {
            let (gaps, mut stream) = (Gaps::new(probability), Stream::new(3));
            let (trials, mut at, mut successes) = (4_000_000_u64, 0_u64, 0_u64);
            loop {
                at = at.saturating_add(gaps.next(&mut stream));
                if at >= trials {
                    break;
                }
                (successes, at) = (successes + 1, at + 1);
            }
            let (mean, sd) = (trials as f64 * probability, (trials as f64 * probability * (1.0 - probability)).sqrt());
            assert!((successes as f64 - mean).abs() < 4.0 * sd, "{successes} successes, not {mean} ± {sd}");
        }
    }

    #[test]
    fn what_is_certain_comes_at_once_and_what_is_impossible_never() {
        let mut stream = Stream::new(4);
        assert!((0..1000).all(|_| Gaps::new(1.0).next(&mut stream) == 0));
        assert!((0..1000).all(|_| Gaps::new(0.0).next(&mut stream) == u64::MAX));
    }

    #[test]
    fn families_of_streams_differ_by_every_part_of_their_name() {
        let key = Key::of_run(1, 1);
        let names = [key, Key::of_run(1, 2), Key::of_run(2, 1), key.child(0), key.child(1), key.child(0).child(0)];
        for (i, a) in names.iter().enumerate() {
            assert!(names[i + 1..].iter().all(|b| (a.0 ^ b.0).count_ones() > 10));
        }
    }
}
