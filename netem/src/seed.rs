//! Child seeds derived from labels.
//!
//! One master seed drives a whole experiment. Every node, every directed link and the workload draws from a generator of
//! its own, seeded by `child(master, label)`, so that one more draw somewhere never shifts the randomness elsewhere.

/// The seed of the stream called `label` below `master`.
///
/// The label is hashed with FNV-1a (64 bit), the sum is mixed with the finaliser of SplitMix64 (Steele, Lea, Flood,
/// OOPSLA 2014, fig. 11). The result depends on nothing else: same master and label, same seed, on every machine.
#[must_use]
pub fn child(master: u64, label: &str) -> u64 {
    const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;
    let hash = label.bytes().fold(FNV_OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME));
    mix(mix(master).wrapping_add(hash))
}

fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_output_of_splitmix64_for_seed_0_is_the_published_one() {
        assert_eq!(mix(0), 0xe220_a839_7b1d_cdaf);
    }

    #[test]
    fn labels_and_masters_give_unrelated_seeds() {
        let seeds = [child(1, "link/a/b"), child(1, "link/b/a"), child(2, "link/a/b"), child(1, "")];
        for (i, a) in seeds.iter().enumerate() {
            for b in &seeds[i + 1..] {
                assert!((a ^ b).count_ones() > 10, "{a:x} and {b:x} are too alike");
            }
        }
    }
}
