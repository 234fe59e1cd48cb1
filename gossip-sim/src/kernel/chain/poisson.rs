//! Push-pull with Poisson clocks: a pure birth chain in continuous time.
//!
//! With I of n informed the next node learns at rate g·I·(n−I)/(n−1), g = (1−p) + (1−p)²: informed clocks that push, uninformed ones
//! that pull. So the time to all is Σ (n−1)/(g·I·(n−I))·E_I with independent exponentials, of mean ((n−1)/n)·H(n−1) at p = 0.
//!
//! The first and the last [`DRAWN`] of them are drawn one by one. What is between is the sum of very many small ones: a normal
//! of its mean and variance, whose standard deviation (below 0.01 of a round) is under a hundredth of that of the whole.
//!
//! Datagrams are the expected ones given the times: they fluctuate by 1/√n.

use crate::kernel::outcome::Outcome;
use crate::kernel::random::Stream;
use crate::kernel::strategy::Spec;

/// Exponentials drawn at each end.
const DRAWN: u64 = 10_000;

/// One run. Time is in mean intervals of a clock.
pub(super) fn simulate(spec: &Spec, stream: &mut Stream) -> Outcome {
    let (mut outcome, nodes) = (Outcome::default(), spec.nodes);
    let n = nodes as f64;
    let arrive = 1.0 - spec.loss;
    let pace = (n - 1.0) / (arrive + arrive * arrive);
    let (mut time, mut pushes, mut informed) = (0.0, 0.0, 1_u64);
    outcome.reached.note(time, informed, nodes);
    // Shares are noted where they are reached: the middle is cut there.
    let shares = [50_u128, 90, 99].map(|percent| (u128::from(nodes) * percent).div_ceil(100) as u64);
    while informed < nodes {
        let to = if informed < DRAWN || nodes - informed <= DRAWN {
            let left = (nodes - informed) as f64;
            let wait = pace / (informed as f64 * left) * stream.exponential();
            (time, pushes) = (time + wait, pushes + wait * informed as f64);
            informed + 1
        } else {
            let cuts = shares.into_iter().chain([nodes - DRAWN]);
            let to = cuts.filter(|&cut| cut > informed).min().expect("the last cut is ahead");
            let (mean, variance, area) = stretch(n, informed as f64, to as f64);
            time += (pace * mean + pace * variance.sqrt() * stream.normal()).max(0.0);
            pushes += pace * area;
            to
        };
        informed = to;
        outcome.reached.note(time, informed, nodes);
    }
    let answers = (n - 1.0) / (1.0 + arrive);
    outcome.traffic.rumor = (pushes + answers).round() as u128;
    outcome.traffic.datagrams = (n * time + answers).round() as u128;
    outcome.traffic.out_max = 1;
    outcome
}

/// Sums over I from `from` to before `to` of 1/(I·(n−I)), of its square, and of 1/(n−I).
fn stretch(n: f64, from: f64, to: f64) -> (f64, f64, f64) {
    let early = harmonic(to - 1.0) - harmonic(from - 1.0);
    let late = harmonic(n - from) - harmonic(n - to);
    let squares = square_tail(from - 1.0) - square_tail(to - 1.0) + square_tail(n - to) - square_tail(n - from);
    let sum = (early + late) / n;
    (sum, (squares + 2.0 * sum) / (n * n), late)
}

/// H(m) less Euler's constant, for m in the thousands.
fn harmonic(m: f64) -> f64 {
    libm::log(m) + 0.5 / m - 1.0 / (12.0 * m * m)
}

/// Σ 1/j² over j > m, for m in the thousands.
fn square_tail(m: f64) -> f64 {
    1.0 / m - 0.5 / (m * m) + 1.0 / (6.0 * m * m * m)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_of_the_middle_is_the_sum_over_it() {
        let (n, from, to) = (100_000.0, 10_000_u32, 60_000_u32);
        let (sum, squares, late) = stretch(n, from.into(), to.into());
        let terms = || (from..to).map(|i| 1.0 / (f64::from(i) * (n - f64::from(i))));
        assert!((sum / terms().sum::<f64>() - 1.0).abs() < 1e-9);
        assert!((squares / terms().map(|term| term * term).sum::<f64>() - 1.0).abs() < 1e-6);
        assert!((late / (from..to).map(|i| 1.0 / (n - f64::from(i))).sum::<f64>() - 1.0).abs() < 1e-9);
    }
}
