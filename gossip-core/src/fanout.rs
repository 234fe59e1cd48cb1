//! How many members a node calls in a round, or tells an event on to at once.
//!
//! With a constant fan-out k a rumor can at most grow by a factor of 1 + 2k a round, so N nodes take log N rounds. The laws here
//! that lead below that let some node call more: all alike, ever more as the cluster grows; all who know, ever more as the rumor ages; or
//! a few of them many, for life.

use crate::address::Address;
use crate::sync::member_identity;

/// A law of fan-outs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "typed", derive(serde::Serialize, serde::Deserialize))]
pub enum Fanout {
    /// Always this many (k), 1 to 64. Time grows like log N / log(1 + 2k).
    Fixed(u8),
    /// k(N) = ⌈(N^(1/log₂ log₂ N) − 1)/2⌉ calls at every node: 2 up to 64 members, 3 up to 450, 6 at 10,000, 12 at a million. Growth by
    /// 1 + 2k a round informs N nodes in log₂ log₂ N rounds, and no node has more to do than others. Robust against loss. Costs k(N)
    /// datagrams per call round.
    Growing,
    /// k(N) = ⌈ln N + 1⌉: 6 at 100 members, 8 at 1,000, 11 at 10,000, 15 at a million. Told on by everybody once to ln N + c others, an event
    /// reaches all N with probability e^(−e^(−c)), and all but e^c on average (Kermarrec, Massoulié, Ganesh, *Probabilistic Reliable
    /// Dissemination in Large-Scale Systems*, IEEE TPDS 14(3), 2003): the law for [`Strategy::Eager`](crate::Strategy::Eager), under which it leaves next to
    /// nobody to the rounds. In rounds, time grows like log N / log log N.
    Logarithmic,
    /// As many calls as the events that a node still tells have got old: k(a) = 2^a at an age of a gossip intervals, at most √N and 64, and no
    /// more than an event is told in all. Growth by 1 + 2^(a+1) a round informs N nodes in about √(2·log₂ N) rounds (Ω(log N / log(1 + Δ))
    /// is the least where nobody reaches more than Δ in a round), while the caps are not reached, and Θ(log N) rounds beyond: from some 10⁷ members on, or
    /// sooner where λ·⌈log10(N + 1)⌉ is less than 64. The first rounds cost one call, and who has nothing to tell
    /// makes one. The age travels with an event, so nodes agree about it without a clock, but
    /// for the time on the wire, which is not in it. An event that all should know by now, and late
    /// learners of it, are called for once a round. Robust against loss. Costs as many copies as a fixed fan-out, in fewer rounds,
    /// each with more datagrams at once. Under [`Strategy::Eager`](crate::Strategy::Eager) an event is told on to one; under `Pull` and `MedianCounter` a round is
    /// one call.
    Aging,
    /// A fan-out per node for life, drawn by a power law from the hash of its address: P(C ≥ x) ≈ x^−(β−1), at most
    /// N^(1/(β−1)). For 2 < β < 3 push-pull informs N nodes in Θ(log log N) rounds at a constant mean fan-out (Panagiotou, Pourmiri,
    /// Sauerwald, *Faster Rumor Spreading With Multiple Calls*, EJC 22(1), 2015): 2.2 at β = 2.5. What it costs is load on few:
    /// the busiest of 10,000 nodes calls up to 464 a round.
    HeavyTail {
        /// β in hundredths, 150 to 1000: 250 is 2.5.
        beta_hundredths: u16,
    },
}

/// The last of the fan-outs of a heavy tail, as a power of two.
const CLASS_LAST: u32 = 31;

impl Fanout {
    /// Calls in a round of the node at `local` in a cluster of `members`, itself included; of [`Fanout::Aging`] those of a node that has
    /// nothing to tell.
    #[must_use]
    pub fn calls<A: Address>(self, local: &A, members: u32) -> u32 {
        match self {
            Self::Fixed(fanout) => fanout.into(),
            Self::Growing => grown(members),
            Self::Logarithmic => covering(members),
            Self::Aging => 1,
            Self::HeavyTail { beta_hundredths } => drawn(exponent(beta_hundredths), member_identity(local))
                .min(greatest(exponent(beta_hundredths), members)),
        }
    }

    /// The most calls in a round that any node of a cluster of `members` can be given.
    #[must_use]
    pub fn calls_max(self, members: u32) -> u32 {
        match self {
            Self::Fixed(fanout) => fanout.into(),
            Self::Growing => grown(members),
            Self::Logarithmic => covering(members),
            Self::Aging => aged_max(members),
            Self::HeavyTail { beta_hundredths } => greatest(exponent(beta_hundredths), members),
        }
    }

    pub(crate) fn is_valid(self) -> bool {
        match self {
            Self::Fixed(fanout) => (1..=64).contains(&fanout),
            Self::Growing | Self::Logarithmic | Self::Aging => true,
            Self::HeavyTail { beta_hundredths } => (150..=1000).contains(&beta_hundredths),
        }
    }
}

fn grown(members: u32) -> u32 {
    // The formula has no meaning for log₂ log₂ N ≤ 1.
    if members <= 4 {
        return 1;
    }
    let log = libm::log2(f64::from(members));
    let growth = libm::exp2(log / libm::log2(log));
    (libm::ceil((growth - 1.0) / 2.0) as u32).max(1)
}

fn covering(members: u32) -> u32 {
    libm::ceil(libm::log(f64::from(members.max(1))) + 1.0) as u32
}

/// The calls of [`Fanout::Aging`] for an event that is `age` rounds old, in a cluster of `members`.
pub(crate) fn aged(members: u32, age: u32) -> u32 {
    let most = aged_max(members);
    let at = |age: u32| 1_u32.checked_shl(age).unwrap_or(u32::MAX).min(most);
    // Twice the rounds in which growth by 1 + 2k informs all: what is older is for stragglers.
    let (mut informed, mut rounds) = (1_u64, 0);
    while informed < members.into() {
        informed *= u64::from(1 + 2 * at(rounds));
        rounds += 1;
    }
    if age < 2 * rounds { at(age) } else { 1 }
}

fn aged_max(members: u32) -> u32 {
    members.isqrt().clamp(1, 64)
}

/// β − 1.
fn exponent(beta_hundredths: u16) -> f64 {
    f64::from(beta_hundredths) / 100.0 - 1.0
}

/// 2^j with probability (1 − r)·r^j, r = 2^−(β−1): the hash is the uniform number.
fn drawn(exponent: f64, hash: u32) -> u32 {
    let uniform = (f64::from(hash) + 1.0) / 4_294_967_296.0;
    1 << (-libm::log2(uniform) / exponent).min(CLASS_LAST.into()) as u32
}

/// N^(1/(β−1)), about the greatest of N draws.
fn greatest(exponent: f64, members: u32) -> u32 {
    (libm::pow(f64::from(members), 1.0 / exponent) as u32).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Worked out from the formula with another program.
    #[test]
    fn the_growing_fanout_is_that_of_the_formula() {
        let table =
            [(1, 1), (4, 1), (5, 2), (64, 2), (65, 3), (450, 3), (451, 4), (1_967, 4), (10_000, 6), (1_000_000, 12)];
        for (members, calls) in table {
            assert_eq!(Fanout::Growing.calls(&0_u16, members), calls, "{members} members");
        }
        assert_eq!(Fanout::Growing.calls_max(u32::MAX), 42);
    }

    #[test]
    fn the_logarithmic_fanout_is_one_more_than_the_logarithm() {
        for (members, calls) in
            [(0, 1), (1, 1), (2, 2), (7, 3), (8, 4), (100, 6), (150, 7), (1_000, 8), (1_000_000, 15)]
        {
            assert_eq!(Fanout::Logarithmic.calls(&0_u16, members), calls, "{members} members");
        }
        assert_eq!(Fanout::Logarithmic.calls_max(u32::MAX), 24);
    }

    #[test]
    fn a_heavy_tail_has_the_frequencies_of_its_law_and_stays_for_life() {
        let law = Fanout::HeavyTail { beta_hundredths: 250 };
        let fanouts: std::vec::Vec<u32> = (0..60_000_u16).map(|local| law.calls(&local, 1_000_000)).collect();
        let share = |least| fanouts.iter().filter(|&&calls| calls >= least).count() as f64 / 60_000.0;
        // P(C ≥ 2^j) = 2^−1.5j. Four standard deviations of the widest are 0.008.
        for (least, expected) in [(1, 1.0), (2, 0.3536), (4, 0.125), (8, 0.0442), (16, 0.0156)] {
            assert!((share(least) - expected).abs() < 0.008, "{least}: {}", share(least));
        }
        assert!(fanouts.iter().all(|calls| calls.is_power_of_two()));
        assert_eq!(law.calls(&7_u16, 1_000_000), fanouts[7]);
        assert!((0..60_000_u16).all(|local| law.calls(&local, 1_000) <= 100), "1000^(1/1.5) is 100");
        assert_eq!((law.calls_max(1_000), law.calls_max(10_000)), (99, 464));
    }

    #[test]
    fn the_fanout_doubles_with_age_until_all_should_know() {
        // 3·5·9·17 is 2,295, and ·33 75,735: all of 1,000 know after four rounds of growth, of 10,000 after five.
        for (members, calls) in [
            (1, &[1, 1, 1][..]),
            (10, &[1, 2, 3, 3, 1, 1]),
            (1_000, &[1, 2, 4, 8, 16, 31, 31, 31, 1]),
            (10_000, &[1, 2, 4, 8, 16, 32, 64, 64, 64, 64, 1]),
        ] {
            for (age, calls) in (0..).zip(calls) {
                assert_eq!(aged(members, age), *calls, "{members} members, age {age}");
            }
            assert_eq!(aged(members, u32::MAX), 1);
            assert_eq!(Fanout::Aging.calls_max(members), *calls.iter().max().unwrap());
        }
        assert_eq!((Fanout::Aging.calls_max(u32::MAX), Fanout::Aging.calls(&7_u16, 1_000)), (64, 1));
    }

    #[test]
    fn nonsense_is_not_valid() {
        for valid in [
            Fanout::Fixed(1),
            Fanout::Fixed(64),
            Fanout::Growing,
            Fanout::Logarithmic,
            Fanout::Aging,
            Fanout::HeavyTail { beta_hundredths: 150 },
        ] {
            assert!(valid.is_valid(), "{valid:?}");
        }
        for nonsense in [Fanout::Fixed(0), Fanout::Fixed(65), Fanout::HeavyTail { beta_hundredths: 149 }] {
            assert!(!nonsense.is_valid(), "{nonsense:?}");
        }
    }
}
