//! Random streams: one per directed link and model.
//!
//! The stream of a model on a link is seeded by `child(seed, "link/<from>/<to>/<out|in>/<model>")`. `out` or `in` is
//! the side that judges: both ends of a link may run fault models of their own from the same master seed, and must not
//! then repeat each other's draws. Streams are made when they are first drawn from, so a link that nothing impairs
//! costs nothing.

use std::collections::BTreeMap;

use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::fate::Endpoint;
use crate::seed;
use crate::spec::Direction;

/// The links of one node and model that get a stream of their own; further links share one stream per direction. The
/// bound is far above the largest cluster of an experiment: it exists so that forged sender addresses cannot grow the
/// table (65,536 streams of 32 bytes are about 4 MiB with the table around them). Draws on the shared stream are still
/// independent of each other, but one more on one of its links shifts those of the others.
pub const LINKS_MAX: usize = 65_536;

/// The streams of one model at one node.
#[derive(Debug, Clone)]
pub(crate) struct Streams {
    seed: u64,
    local: Endpoint,
    model: &'static str,
    links_max: usize,
    links: BTreeMap<(Endpoint, Direction), Xoshiro256PlusPlus>,
    /// Outgoing, incoming.
    shared: [Xoshiro256PlusPlus; 2],
}

impl Streams {
    /// The streams of `model` at the node `local` of the experiment seeded with `seed`.
    pub(crate) fn new(seed: u64, local: Endpoint, model: &'static str) -> Self {
        Self::bounded(seed, local, model, LINKS_MAX)
    }

    fn bounded(seed: u64, local: Endpoint, model: &'static str, links_max: usize) -> Self {
        let Endpoint(node) = local;
        let shared = |side| stream(seed, &format!("shared/{node}/{side}/{model}"));
        Self { seed, local, model, links_max, links: BTreeMap::new(), shared: [shared("out"), shared("in")] }
    }

    /// The stream of the link between this node and `peer` in this direction.
    pub(crate) fn of(&mut self, peer: Endpoint, direction: Direction) -> &mut Xoshiro256PlusPlus {
        let key = (peer, direction);
        if self.links.len() >= self.links_max && !self.links.contains_key(&key) {
            return match direction {
                Direction::Out => &mut self.shared[0],
                Direction::In => &mut self.shared[1],
            };
        }
        let (seed, Endpoint(local), Endpoint(peer), model) = (self.seed, self.local, peer, self.model);
        self.links.entry(key).or_insert_with(|| {
            let label = match direction {
                Direction::Out => format!("link/{local}/{peer}/out/{model}"),
                Direction::In => format!("link/{peer}/{local}/in/{model}"),
            };
            stream(seed, &label)
        })
    }
}

fn stream(seed: u64, label: &str) -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(seed::child(seed, label))
}

/// A number on 0 ≤ u < 1: a multiple of 2⁻⁵³, exact on every machine.
pub(crate) fn unit(rng: &mut impl Rng) -> f64 {
    const STEP: f64 = 1.0 / (1_u64 << 53) as f64;
    (rng.next_u64() >> 11) as f64 * STEP
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(streams: &mut Streams, peer: u64, direction: Direction) -> u64 {
        streams.of(Endpoint(peer), direction).next_u64()
    }

    #[test]
    fn streams_differ_by_peer_by_direction_by_model_and_by_seed() {
        let one = |seed, model, peer, direction| first(&mut Streams::new(seed, Endpoint(1), model), peer, direction);
        let words = [
            one(7, "loss", 2, Direction::Out),
            one(7, "loss", 3, Direction::Out),
            one(7, "loss", 2, Direction::In),
            one(7, "delay", 2, Direction::Out),
            one(8, "loss", 2, Direction::Out),
        ];
        for (i, word) in words.iter().enumerate() {
            assert!(!words[i + 1..].contains(word), "stream {i} is repeated");
        }
    }

    #[test]
    fn the_two_ends_of_a_link_do_not_repeat_each_other() {
        let sender = first(&mut Streams::new(7, Endpoint(1), "loss"), 2, Direction::Out);
        let receiver = first(&mut Streams::new(7, Endpoint(2), "loss"), 1, Direction::In);
        assert_ne!(sender, receiver);
    }

    #[test]
    fn beyond_the_bound_links_share_a_stream_and_the_earlier_ones_keep_theirs() {
        let mut bounded = Streams::bounded(7, Endpoint(0), "loss", 2);
        let mut free = Streams::new(7, Endpoint(0), "loss");
        for peer in 1..=2 {
            assert_eq!(first(&mut bounded, peer, Direction::Out), first(&mut free, peer, Direction::Out));
        }
        let (third, fourth) = (first(&mut bounded, 3, Direction::Out), first(&mut bounded, 4, Direction::Out));
        let mut shared = stream(7, "shared/0/out/loss");
        assert_eq!([third, fourth], [shared.next_u64(), shared.next_u64()]);
        assert_eq!(first(&mut bounded, 1, Direction::Out), first(&mut free, 1, Direction::Out));
        assert_eq!(bounded.links.len(), 2);
    }

    #[test]
    fn unit_covers_its_interval_and_never_reaches_one() {
        struct Constant(u64);
        impl rand_core::TryRng for Constant {
            type Error = core::convert::Infallible;
            fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
                Ok((self.0 >> 32) as u32)
            }
            fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
                Ok(self.0)
            }
            fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Self::Error> {
                dst.fill(self.0 as u8);
                Ok(())
            }
        }
        assert_eq!(unit(&mut Constant(0)), 0.0);
        assert_eq!(unit(&mut Constant(1 << 63)), 0.5);
        assert_eq!(unit(&mut Constant(u64::MAX)), 1.0 - f64::EPSILON / 2.0);
    }
}
