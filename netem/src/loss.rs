//! Bernoulli loss: each datagram is lost with the same probability, independently of all others.
//!
//! Deliberately not here: losses in bursts (Gilbert-Elliott), which would need a state per link.

use rand_core::Rng;

use crate::spec::Probability;
use crate::streams::unit;

/// The probability that at least one of several independent losses strikes: 1 − ∏(1 − pᵢ).
pub(crate) fn combined(probabilities: impl IntoIterator<Item = Probability>) -> f64 {
    probabilities.into_iter().fold(0.0, |p, another| p + (1.0 - p) * another.value())
}

/// One trial. It always takes one draw, so the n-th trial on a link uses the n-th draw whatever the probability is.
pub(crate) fn strikes(probability: f64, rng: &mut impl Rng) -> bool {
    unit(rng) < probability
}

#[cfg(test)]
mod tests {
    use rand_core::SeedableRng;
    use rand_xoshiro::Xoshiro256PlusPlus;

    use super::*;

    fn p(values: &[f64]) -> f64 {
        combined(values.iter().map(|&value| Probability::new(value).expect("a probability")))
    }

    #[test]
    fn independent_losses_combine() {
        for (values, expected) in [
            (&[][..], 0.0),
            (&[0.1], 0.1),
            (&[0.5, 0.5], 0.75),
            (&[0.1, 0.2], 0.28),
            (&[0.5, 0.5, 0.5], 0.875),
            (&[0.0, 0.25], 0.25),
            (&[1.0, 0.3], 1.0),
            (&[0.3, 1.0], 1.0),
        ] {
            assert!((p(values) - expected).abs() < 1e-15, "{values:?} gave {}", p(values));
        }
    }

    #[test]
    fn certain_loss_strikes_always_and_none_never() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        assert!((0..10_000).all(|_| strikes(1.0, &mut rng)));
        assert!(!(0..10_000).any(|_| strikes(0.0, &mut rng)));
    }
}
