//! Anti-entropy: finding out what two nodes do not both know.
//!
//! Every message carries the digest of what the sender knows: the exclusive or of one fingerprint per live member and per kept
//! event, kept up to date at a constant cost per change. Nodes that agree find out from these four bytes. Nodes that do not
//! agree compare the digests of up to 64 buckets (an item's bucket is the top bits of the hash of its identity) and reconcile
//! the buckets that differ: by a [`sketch`], or by lists of all that is in them where that is shorter. The dead and the
//! departed are not in the digests: they are forgotten at different times, and a node that still holds them for alive differs
//! by just that.
//!
//! The hash is part of the protocol, so it is FNV-1a with a fixed finaliser, the same in every version and on every machine.

pub(crate) mod sketch;

use alloc::boxed::Box;

use sketch::Item;

use crate::address::Address;
use crate::member::Metadata;
use crate::suspicion::log2_fixed;

/// Bits of the greatest number of buckets.
pub(crate) const BUCKET_BITS_MAX: u8 = 6;

/// The greatest number of buckets.
pub(crate) const BUCKETS_MAX: usize = 1 << BUCKET_BITS_MAX;

/// Digests of a set, by bucket. Those of nothing take no room.
#[derive(Debug, Clone, Default)]
pub(crate) struct Digests {
    total: u32,
    buckets: Option<Box<[u32; BUCKETS_MAX]>>,
}

impl Digests {
    /// Adds an item to the set, or takes it out again. An item is the hash of its identity and its fingerprint.
    pub(crate) fn toggle(&mut self, item: Option<(u32, u32)>) {
        if let Some((identity, fingerprint)) = item {
            let buckets = self.buckets.get_or_insert_with(|| Box::new([0; BUCKETS_MAX]));
            buckets[usize::from(bucket(identity, BUCKET_BITS_MAX))] ^= fingerprint;
            self.total ^= fingerprint;
        }
    }

    /// Gives up the room of buckets that are all those of nothing.
    pub(crate) fn shrink(&mut self) {
        self.buckets.take_if(|buckets| buckets.iter().all(|&digest| digest == 0));
    }

    /// The digest of the whole set.
    pub(crate) fn total(&self) -> u32 {
        self.total
    }

    /// The digest of bucket `number` of 2^`bits`.
    pub(crate) fn bucket(&self, number: usize, bits: u8) -> u32 {
        let Some(buckets) = &self.buckets else { return 0 };
        let width = BUCKETS_MAX >> bits;
        buckets[number * width..(number + 1) * width].iter().fold(0, |digest, &part| digest ^ part)
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

/// What a sketch knows of a live member.
pub(crate) fn member_item((identity, fingerprint): (u32, u32)) -> Item {
    u64::from(identity) << 32 | u64::from(fingerprint)
}

/// What a sketch knows of an event. As in [`digest`], the fingerprint is turned against those of members.
pub(crate) fn event_item((identity, fingerprint): (u32, u32)) -> Item {
    u64::from(identity) << 32 | u64::from(fingerprint.rotate_left(16))
}

/// The digest of members and events together. Turned against each other, so that a member and an event with one fingerprint do
/// not cancel out.
pub(crate) fn digest(members: u32, events: u32) -> u32 {
    members ^ events.rotate_left(16)
}

/// Likely size of the difference of two sets of which `differing` of 2^`bits` buckets differ, or `None` when all do: B·ln(B/(B − x)),
/// since d items leave a share of about e^(−d/B) of the buckets alone.
pub(crate) fn estimate(bits: u8, differing: u32) -> Option<u32> {
    let buckets = 1_u32 << bits;
    let alike = buckets.checked_sub(differing).filter(|&alike| alike > 0)?;
    // ln 2 in units of 1/65536.
    const LN_2: u64 = 45_426;
    let log2 = log2_fixed(buckets) - log2_fixed(alike);
    Some((u64::from(buckets) * log2 * LN_2).div_ceil(1 << 32) as u32)
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
            let differing = (0..1 << bits).filter(|&number| one.bucket(number, bits) != other.bucket(number, bits));
            assert_eq!(differing.collect::<alloc::vec::Vec<_>>(), [usize::from(bucket(extra.0, bits))]);
        }
        other.toggle(Some(extra));
        assert_eq!(one.total(), other.total());
    }

    #[test]
    fn hand_worked_estimates() {
        // 64·ln(64/63) = 1.008, 64·ln 2 = 44.4, 64·ln 64 = 266.2, each rounded up.
        assert_eq!([0, 1, 32, 63].map(|differing| estimate(6, differing)), [Some(0), Some(2), Some(45), Some(267)]);
        assert_eq!((estimate(6, 64), estimate(0, 1)), (None, None));
    }

    #[test]
    fn the_number_of_buckets_follows_the_items() {
        assert_eq!([0, 3, 8, 16, 255, 256, 100_000].map(bucket_bits), [0, 0, 1, 2, 5, 6, 6]);
    }
}
