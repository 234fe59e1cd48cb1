//! Anti-entropy: finding out what two nodes do not both know.
//!
//! Every message carries the digests of the sender's live members and of its events: each the exclusive or of one
//! fingerprint per item, kept up to date at a constant cost per change. Nodes that agree find out from these eight bytes.
//! Nodes that do not agree compare the digests of up to 64 buckets (an item's bucket is the top bits of the hash of its
//! identity) and then exchange the buckets that differ. The dead and the departed are not in the digests: they are
//! forgotten at different times, and a node that still holds them for alive differs by just that.
//!
//! The hash is part of the protocol, so it is FNV-1a with a fixed finaliser, the same in every version and on every machine.

use crate::address::Address;
use crate::member::Metadata;

/// Bits of the greatest number of buckets.
pub(crate) const BUCKET_BITS_MAX: u8 = 6;

/// The greatest number of buckets.
pub(crate) const BUCKETS_MAX: usize = 1 << BUCKET_BITS_MAX;

/// Digests of a set, by bucket.
#[derive(Debug, Clone)]
pub(crate) struct Digests {
    buckets: [u32; BUCKETS_MAX],
    total: u32,
}

impl Default for Digests {
    fn default() -> Self {
        Self { buckets: [0; BUCKETS_MAX], total: 0 }
    }
}

impl Digests {
    /// Adds an item to the set, or takes it out again. An item is the hash of its identity and its fingerprint.
    pub(crate) fn toggle(&mut self, item: Option<(u32, u32)>) {
        if let Some((identity, fingerprint)) = item {
            self.buckets[usize::from(bucket(identity, BUCKET_BITS_MAX))] ^= fingerprint;
            self.total ^= fingerprint;
        }
    }

    /// The digest of the whole set.
    pub(crate) fn total(&self) -> u32 {
        self.total
    }

    /// The digest of bucket `number` of 2^`bits`.
    pub(crate) fn bucket(&self, number: usize, bits: u8) -> u32 {
        let width = BUCKETS_MAX >> bits;
        self.buckets[number * width..(number + 1) * width].iter().fold(0, |digest, &part| digest ^ part)
    }

    /// A bit for each of 2^`bits` buckets, set where `theirs` differs.
    pub(crate) fn differing(&self, bits: u8, theirs: impl Iterator<Item = u32>) -> u64 {
        theirs.take(1 << bits).enumerate().fold(0, |mask, (number, digest)| {
            if self.bucket(number, bits) == digest { mask } else { mask | 1 << number }
        })
    }
}

/// The bucket of an identity among 2^`bits`.
pub(crate) fn bucket(identity: u32, bits: u8) -> u8 {
    if bits == 0 { 0 } else { (identity >> (32 - u32::from(bits))) as u8 }
}

/// Buckets for a set of `items`: about four items each.
pub(crate) fn bucket_bits(items: usize) -> u8 {
    let buckets = (items / 4).clamp(1, BUCKETS_MAX);
    (usize::BITS - 1 - buckets.leading_zeros()) as u8
}

/// Identity hash and fingerprint of a live member.
pub(crate) fn member_fingerprint<A: Address>(addr: &A, incarnation: u32, metadata: Metadata<'_>) -> (u32, u32) {
    let identity = hash_address(addr);
    let mut state = identity.bytes(&incarnation.to_be_bytes());
    if metadata.version > 0 {
        state = state.bytes(&metadata.version.to_be_bytes()).bytes(metadata.bytes);
    }
    (identity.finish(), state.finish())
}

/// Identity hash and fingerprint of an event, which never changes.
pub(crate) fn event_fingerprint<A: Address>(origin: &A, sequence: u64) -> (u32, u32) {
    let hash = hash_address(origin).bytes(&sequence.to_be_bytes());
    (hash.finish(), hash.bytes(&[1]).finish())
}

/// Identity hash of a member.
pub(crate) fn member_identity<A: Address>(addr: &A) -> u32 {
    hash_address(addr).finish()
}

fn hash_address<A: Address>(addr: &A) -> Fnv {
    let mut buffer = [0; 64];
    // An address that does not fit is hashed as nothing: its digests are then less sharp, not wrong.
    let len = addr.encode(&mut buffer).unwrap_or(0);
    Fnv::NEW.bytes(&buffer[..len])
}

/// FNV-1a, 64 bit, finished as SplitMix64.
#[derive(Clone, Copy)]
struct Fnv(u64);

impl Fnv {
    const NEW: Self = Self(0xcbf2_9ce4_8422_2325);

    fn bytes(self, bytes: &[u8]) -> Self {
        Self(bytes.iter().fold(self.0, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)))
    }

    fn finish(self) -> u32 {
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coarse_buckets_are_the_sum_of_fine_ones_and_differences_show_where_they_are() {
        let mut one = Digests::default();
        let mut other = Digests::default();
        for sequence in 0..500 {
            one.toggle(Some(event_fingerprint(&7_u16, sequence)));
            other.toggle(Some(event_fingerprint(&7_u16, sequence)));
        }
        let extra = event_fingerprint(&9_u16, 0);
        other.toggle(Some(extra));
        for bits in 0..=BUCKET_BITS_MAX {
            let theirs = (0..1 << bits).map(|number| other.bucket(number, bits));
            assert_eq!(one.differing(bits, theirs), 1 << bucket(extra.0, bits));
        }
        other.toggle(Some(extra));
        assert_eq!(one.total(), other.total());
    }

    #[test]
    fn the_number_of_buckets_follows_the_items() {
        assert_eq!([0, 3, 8, 16, 255, 256, 100_000].map(bucket_bits), [0, 0, 1, 2, 5, 6, 6]);
    }
}
