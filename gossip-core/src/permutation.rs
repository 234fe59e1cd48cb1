//! A random order over 0..n in constant memory.
//!
//! SWIM §4.3 probes the members round-robin in a random order, so that every member is probed within two cycles. A stored
//! shuffled list costs memory for each member at each node. A keyed permutation of the index range costs none: a Feistel
//! network over the next power of four, walked until the value falls into the range (cycle walking, Black and Rogaway,
//! CT-RSA 2002; at most four steps on average).

use crate::rng::Rng;

/// A permutation of 0..len.
#[derive(Debug, Clone)]
pub(crate) struct Permutation {
    len: u32,
    half_bits: u32,
    keys: [u32; 4],
}

impl Permutation {
    /// A permutation drawn from `rng`.
    pub(crate) fn new(len: u32, rng: &mut Rng) -> Self {
        let bits = 32 - len.saturating_sub(1).leading_zeros();
        let half_bits = bits.div_ceil(2).max(1);
        let (a, b) = (rng.next_u64(), rng.next_u64());
        Self { len, half_bits, keys: [a as u32, (a >> 32) as u32, b as u32, (b >> 32) as u32] }
    }

    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    /// The image of `position`, which must be below the length.
    pub(crate) fn at(&self, position: u32) -> u32 {
        debug_assert!(position < self.len, "position {position} of {}", self.len);
        let mut value = self.encrypt(position);
        while value >= self.len {
            value = self.encrypt(value);
        }
        value
    }

    fn encrypt(&self, value: u32) -> u32 {
        let mask = ((1_u64 << self.half_bits) - 1) as u32;
        let (mut left, mut right) = ((value >> self.half_bits) & mask, value & mask);
        for key in self.keys {
            (left, right) = (right, left ^ (mix(right ^ key) & mask));
        }
        ((u64::from(left) << self.half_bits) | u64::from(right)) as u32
    }
}

/// The finaliser of MurmurHash3: every bit of the result depends on every bit of the value.
fn mix(value: u32) -> u32 {
    let mut h = value;
    h = (h ^ (h >> 16)).wrapping_mul(0x85eb_ca6b);
    h = (h ^ (h >> 13)).wrapping_mul(0xc2b2_ae35);
    h ^ (h >> 16)
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn every_index_comes_exactly_once() {
        let mut rng = Rng::new(1);
        for len in [1, 2, 3, 4, 5, 16, 17, 63, 64, 65, 1000, 4097] {
            let permutation = Permutation::new(len, &mut rng);
            let mut seen = vec![false; len as usize];
            for position in 0..len {
                let image = permutation.at(position) as usize;
                assert!(!seen[image], "{image} twice among {len}");
                seen[image] = true;
            }
        }
    }

    #[test]
    fn the_first_place_is_uniform_over_keys() {
        let mut rng = Rng::new(2);
        let mut counts = [0_u32; 5];
        for _ in 0..50_000 {
            counts[Permutation::new(5, &mut rng).at(0) as usize] += 1;
        }
        assert!(counts.iter().all(|&c| (9_000..=11_000).contains(&c)), "{counts:?}");
    }
}
