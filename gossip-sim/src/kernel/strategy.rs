//! The strategies by name and parameter, and what a run needs to know beside.

use std::fmt;

use super::error::KernelError;

/// Who calls whom, how often, and what is told. Calls go to other nodes chosen uniformly, afresh each time, with
/// replacement.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Strategy {
    /// Informed nodes call `fanout` others a round and tell them (Frieze and Grimmett 1985; Pittel 1987).
    Push {
        /// Calls per informed node and round.
        fanout: u32,
    },
    /// Uninformed nodes ask `fanout` others a round.
    Pull {
        /// Calls per uninformed node and round.
        fanout: u32,
    },
    /// Everybody calls; informed callers tell, informed called answer (Karp, Schindelhauer, Shenker, Vöcking, FOCS 2000).
    PushPull {
        /// Calls per node and round.
        fanout: u32,
    },
    /// Push-pull whose fan-out grows with the cluster: k(N) = ⌈(N^(1/log₂ log₂ N) − 1)/2⌉, see [`grown_fanout`].
    PushPullGrow,
    /// Push-pull whose informed nodes call more the older the rumor is, see [`aged_fanout`]; the uninformed make one call.
    PushPullAging,
    /// Push-pull with one fan-out per node for life, drawn from a power law (Panagiotou, Pourmiri, Sauerwald, EJC 22(1), 2015).
    HeavyTail(HeavyTail),
    /// Push-pull(1) that falls silent by counters (Karp et al. 2000, §3).
    MedianCounter,
    /// Push-pull(1) in which a node takes only one of the calls that reach it, chosen uniformly. Alone of all, a call may go to
    /// the caller itself, and is wasted then: so the state is a count exactly. The difference to others is 1/N.
    OneAnswer,
    /// Push-pull with one Poisson clock of rate 1 per node in place of rounds.
    Poisson,
    /// A √N-split tree over hashed identities by direct addressing, with push-pull(1) beside it against loss.
    SqrtTree {
        /// The most sub-ranges that a node splits its range into; without a bound ⌈√m⌉.
        split_max: Option<u32>,
        /// Whether everybody does push-pull(1) beside the tree.
        repair: bool,
    },
    /// Clusters that merge and square their size, started cold (after Haeupler and Malkhi, PODC 2014, arXiv 1402.2701).
    Cluster,
}

/// The fan-outs of [`Strategy::HeavyTail`]: 2^j with probability (1−r)·r^j, r = 2^−(β−1), so that P(C ≥ x) ≈ x^−(β−1).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeavyTail {
    /// β, greater than 1; the law is Θ(log log N) for 2 < β < 3.
    pub beta: f64,
    /// The greatest fan-out.
    pub cap: Cap,
    /// Mean calls per node and round to rescale to, rounding at random but once for life; `None` leaves powers of two.
    pub budget: Option<f64>,
}

/// The greatest fan-out of a heavy tail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cap {
    /// As it is drawn (below 2⁶²).
    None,
    /// N^(1/(β−1)), about the greatest of N draws.
    Natural,
    /// This many.
    At(u64),
}

/// What to simulate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spec {
    /// How nodes spread the rumor.
    pub strategy: Strategy,
    /// N, at least 2. One of them knows the rumor at the start.
    pub nodes: u64,
    /// Probability that one datagram is lost, independently of all others; below 1.
    pub loss: f64,
    /// The master seed.
    pub seed: u64,
}

impl Spec {
    /// Whether the values make sense.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), KernelError> {
        if !(0.0..1.0).contains(&self.loss) {
            return Err(KernelError::Loss(self.loss));
        }
        if self.nodes < 2 {
            return Err(KernelError::TooFew(self.nodes));
        }
        let parameter = |what, value, range| Err(KernelError::Parameter { what, value, range });
        match self.strategy {
            Strategy::Push { fanout } | Strategy::Pull { fanout } | Strategy::PushPull { fanout } => match fanout {
                0 => parameter("fanout", 0.0, "at least one call a round"),
                1..=FANOUT_MAX => Ok(()),
                _ => parameter("fanout", f64::from(fanout), "at most 65536 calls a round"),
            },
            Strategy::HeavyTail(tail) => tail.check(),
            Strategy::SqrtTree { split_max: Some(split @ 0..=1), .. } => {
                parameter("smax", f64::from(split), "a range is split into at least 2")
            }
            Strategy::PushPullGrow
            | Strategy::PushPullAging
            | Strategy::MedianCounter
            | Strategy::OneAnswer
            | Strategy::Poisson
            | Strategy::SqrtTree { .. }
            | Strategy::Cluster => Ok(()),
        }
    }
}

/// More calls a round would overflow counts of calls at 10¹⁸ nodes after 2⁶⁴ rounds only; it is a bound on nonsense.
const FANOUT_MAX: u32 = 1 << 16;

impl HeavyTail {
    /// Powers of two as they are drawn.
    #[must_use]
    pub const fn new(beta: f64) -> Self {
        Self { beta, cap: Cap::None, budget: None }
    }

    fn check(&self) -> Result<(), KernelError> {
        let parameter = |what, value, range| Err(KernelError::Parameter { what, value, range });
        // NaN is out of range as well.
        if !(1.1..=10.0).contains(&self.beta) {
            return parameter("beta", self.beta, "an exponent from 1.1 to 10");
        }
        match self.budget {
            Some(budget) if !(1.0..=1e6).contains(&budget) => {
                return parameter("budget", budget, "from 1 to 1000000 calls per node and round");
            }
            Some(_) if self.beta <= 2.0 && self.cap == Cap::None => {
                return parameter("beta", self.beta, "above 2, or with a cap: else there is no mean to rescale");
            }
            _ => {}
        }
        if self.cap == Cap::At(0) { parameter("cap", 0.0, "at least one call a round") } else { Ok(()) }
    }

    /// r: how much rarer a fan-out twice as large is.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        libm::exp2(1.0 - self.beta)
    }

    /// The greatest fan-out in a cluster of `nodes`, before rescaling.
    #[must_use]
    pub fn cap(&self, nodes: u64) -> u64 {
        match self.cap {
            Cap::None => 1 << CLASS_LAST,
            Cap::Natural => (libm::pow(nodes as f64, 1.0 / (self.beta - 1.0)) as u64).clamp(1, 1 << CLASS_LAST),
            Cap::At(most) => most.min(1 << CLASS_LAST),
        }
    }

    /// The probability of each class j and its fan-out before rescaling. The last class takes what is left.
    #[must_use]
    pub fn classes(&self, nodes: u64) -> Vec<(f64, u64)> {
        let (ratio, cap) = (self.ratio(), self.cap(nodes));
        let mut classes = Vec::with_capacity(CLASS_LAST as usize + 1);
        let mut tail = 1.0;
        for class in 0..=CLASS_LAST {
            if 1 << class >= cap || class == CLASS_LAST {
                classes.push((tail, cap.min(1 << class)));
                break;
            }
            classes.push((tail * (1.0 - ratio), 1 << class));
            tail *= ratio;
        }
        classes
    }

    /// What fan-outs are multiplied by to meet the budget.
    #[must_use]
    pub fn scale(&self, nodes: u64) -> f64 {
        let Some(budget) = self.budget else { return 1.0 };
        let mean: f64 = self.classes(nodes).iter().map(|&(probability, fanout)| probability * fanout as f64).sum();
        budget / mean
    }
}

/// The last of the 62 classes: 2⁶¹ calls are more than 10¹⁸ nodes.
const CLASS_LAST: u32 = 61;

/// k(N) = ⌈(N^(1/log₂ log₂ N) − 1)/2⌉, the fan-out with which push-pull could inform all in log₂ log₂ N rounds: growth 1 + 2k
/// must be N^(1/log₂ log₂ N). For N ≤ 4 the formula has no meaning, and 1 is taken.
#[must_use]
pub fn grown_fanout(nodes: u64) -> u32 {
    if nodes <= 4 {
        return 1;
    }
    let log = libm::log2(nodes as f64);
    let growth = libm::exp2(log / libm::log2(log));
    (libm::ceil((growth - 1.0) / 2.0) as u32).max(1)
}

/// The calls of an informed node in round `age`, the first of which is 0: 2^age, at most √N and 64, and 1 again after twice the rounds in
/// which growth by 1 + 2k informs all.
#[must_use]
pub fn aged_fanout(nodes: u64, age: u64) -> u32 {
    let most = u32::try_from(nodes.isqrt().min(64)).expect("at most 64").max(1);
    let at = |age: u64| if age < 6 { (1 << age).min(most) } else { most };
    let (mut informed, mut rounds) = (1_u128, 0);
    while informed < nodes.into() {
        informed *= u128::from(1 + 2 * at(rounds));
        rounds += 1;
    }
    if age < 2 * rounds { at(age) } else { 1 }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Push { fanout } => write!(f, "push, k={fanout}"),
            Self::Pull { fanout } => write!(f, "pull, k={fanout}"),
            Self::PushPull { fanout } => write!(f, "push-pull, k={fanout}"),
            Self::PushPullGrow => f.write_str("push-pull, growing k"),
            Self::PushPullAging => f.write_str("push-pull, aging k"),
            Self::HeavyTail(tail) => {
                write!(f, "heavy tail, β={}", tail.beta)?;
                match tail.cap {
                    Cap::None => {}
                    Cap::Natural => f.write_str(", capped")?,
                    Cap::At(most) => write!(f, ", at most {most}")?,
                }
                tail.budget.map_or(Ok(()), |budget| write!(f, ", mean {budget}"))
            }
            Self::MedianCounter => f.write_str("median counter"),
            Self::OneAnswer => f.write_str("push-pull, one answer"),
            Self::Poisson => f.write_str("push-pull, Poisson clocks"),
            Self::SqrtTree { split_max, repair } => {
                f.write_str("√-tree")?;
                split_max.map_or(Ok(()), |split| write!(f, ", smax={split}"))?;
                if *repair { f.write_str(" + push-pull") } else { Ok(()) }
            }
            Self::Cluster => f.write_str("Haeupler-Malkhi clusters"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand from the formula, at the sizes that the literature's orders are read at.
    #[test]
    fn the_growing_fanout_is_that_of_the_formula() {
        for (nodes, fanout) in [(2, 1), (64, 2), (256, 3), (512, 4), (1024, 4), (10_000, 6), (1_000_000, 12)] {
            assert_eq!(grown_fanout(nodes), fanout, "{nodes} nodes");
        }
        assert_eq!(grown_fanout(1_000_000_000_000_000_000), 561);
    }

    #[test]
    fn the_aging_fanout_doubles_up_to_its_bounds() {
        let of = |nodes| (0..11).map(|age| aged_fanout(nodes, age)).collect::<Vec<_>>();
        assert_eq!(of(2), [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
        assert_eq!(of(1_000), [1, 2, 4, 8, 16, 31, 31, 31, 1, 1, 1]);
        assert_eq!(of(10_000), [1, 2, 4, 8, 16, 32, 64, 64, 64, 64, 1]);
        // 3·5·9·17·33·65 is 4.9·10⁶, and 129⁶ times that 2.3·10¹⁹.
        assert_eq!([23, 24].map(|age| aged_fanout(1_000_000_000_000_000_000, age)), [64, 1]);
    }

    #[test]
    fn classes_of_a_heavy_tail_are_a_probability_law_up_to_the_cap() {
        for cap in [Cap::None, Cap::Natural, Cap::At(64), Cap::At(100), Cap::At(1)] {
            let tail = HeavyTail { beta: 2.5, cap, budget: None };
            let classes = tail.classes(1_000_000);
            let sum: f64 = classes.iter().map(|&(probability, _)| probability).sum();
            assert!((sum - 1.0).abs() < 1e-12, "{sum}");
            assert!(classes.iter().all(|&(_, fanout)| fanout <= tail.cap(1_000_000)));
            assert!(classes.windows(2).all(|pair| pair[0].1 < pair[1].1));
        }
        assert_eq!(HeavyTail { beta: 2.5, cap: Cap::Natural, budget: None }.cap(1_000_000), 9_999);
        assert_eq!(HeavyTail::new(2.5).classes(10).len(), 62);
    }

    #[test]
    fn a_budget_scales_the_mean_to_it() {
        let tail = HeavyTail { beta: 2.5, cap: Cap::Natural, budget: Some(3.0) };
        let mean: f64 = tail.classes(1000).iter().map(|&(p, c)| p * c as f64).sum();
        assert!((mean * tail.scale(1000) - 3.0).abs() < 1e-12);
    }

    #[test]
    fn nonsense_is_refused_in_words() {
        let spec = Spec { strategy: Strategy::Push { fanout: 1 }, nodes: 10, loss: 0.0, seed: 1 };
        let refused = |spec: Spec| spec.check().expect_err("nonsense").to_string();
        assert!(refused(Spec { loss: 1.0, ..spec }).contains("loss = 1 is not"));
        assert!(refused(Spec { loss: f64::NAN, ..spec }).contains("loss"));
        assert!(refused(Spec { nodes: 1, ..spec }).contains("at least 2"));
        assert!(refused(Spec { strategy: Strategy::Pull { fanout: 0 }, ..spec }).contains("at least one call"));
        let tail = |beta, budget| Strategy::HeavyTail(HeavyTail { beta, cap: Cap::None, budget });
        assert!(refused(Spec { strategy: tail(1.0, None), ..spec }).contains("beta"));
        assert!(refused(Spec { strategy: tail(2.0, Some(3.0)), ..spec }).contains("no mean"));
        assert_eq!(spec.check(), Ok(()));
    }
}
