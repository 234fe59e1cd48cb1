//! Set reconciliation: two nodes find out what only one of them has by bytes in proportion to that, however much both have.
//!
//! A rateless invertible Bloom lookup table (Yang, Gilad, Alizadeh, *Practical Rateless Set Reconciliation*, SIGCOMM 2024, §4). A set
//! is written as an endless row of symbols. Each item is added to symbol 0 and then to ever rarer ones, to symbol i with
//! probability 1 / (1 + i/2). The receiver takes its own items out of the symbols; what remains is the row of the difference. A
//! symbol that then holds a single item gives it away (its check fits), which takes it out of the other symbols, and so on.
//! About 1.4 to 1.7 symbols per item of the difference are enough, and who needs more asks for more of the same row.
//!
//! The mapping is part of the protocol; it is computed in integers, so that all machines agree.

use alloc::vec::Vec;

/// What nodes compare: the hash of an item's identity (upper half), and its fingerprint.
pub(crate) type Item = u64;

/// Most symbols of one sketch: a difference of more than some 1,400 items is told by lists.
pub(crate) const SYMBOLS_MAX: u32 = 2048;

/// The identity of an item.
pub(crate) fn identity(item: Item) -> u32 {
    (item >> 32) as u32
}

/// The sum of some items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Symbol {
    /// Exclusive or of the items.
    sum: u64,
    /// Exclusive or of their checks.
    check: u32,
    /// Items added less items taken out, modulo 256: enough to tell one item from none, since the check has to fit as well.
    count: u8,
}

impl Symbol {
    /// Bytes of a symbol on the wire: sum, check, count.
    pub(crate) const LEN: usize = 13;

    pub(crate) fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..8].copy_from_slice(&self.sum.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.check.to_be_bytes());
        bytes[12] = self.count;
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8; Self::LEN]) -> Self {
        let [s0, s1, s2, s3, s4, s5, s6, s7, c0, c1, c2, c3, count] = *bytes;
        let sum = u64::from_be_bytes([s0, s1, s2, s3, s4, s5, s6, s7]);
        Self { sum, check: u32::from_be_bytes([c0, c1, c2, c3]), count }
    }

    /// Adds the items of another symbol of the same number.
    pub(crate) fn add(&mut self, other: Self) {
        self.sum ^= other.sum;
        self.check ^= other.check;
        self.count = self.count.wrapping_add(other.count);
    }

    /// Takes the items of another symbol of the same number out.
    pub(crate) fn take(&mut self, other: Self) {
        self.add(Self { count: other.count.wrapping_neg(), ..other });
    }

    /// The sum of a single item.
    fn of(item: Item, count: u8) -> Self {
        Self { sum: item, check: check(item), count }
    }

    /// The only item, and whether it was added (1) or taken out (255).
    fn single(self) -> Option<(Item, u8)> {
        (matches!(self.count, ADDED | TAKEN) && self.check == check(self.sum)).then_some((self.sum, self.count))
    }
}

const ADDED: u8 = 1;
const TAKEN: u8 = 255;

/// What two sets do not share.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Difference {
    /// Items that were added only.
    pub(crate) added: Vec<Item>,
    /// Items that were taken out only.
    pub(crate) taken: Vec<Item>,
}

/// Adds an item to the symbols from number `first` on.
pub(crate) fn add(symbols: &mut [Symbol], first: u32, item: Item) {
    toggle(symbols, first, item, ADDED);
}

/// Takes an item out of the symbols from number `first` on.
pub(crate) fn take(symbols: &mut [Symbol], first: u32, item: Item) {
    toggle(symbols, first, item, TAKEN);
}

fn toggle(symbols: &mut [Symbol], first: u32, item: Item, change: u8) {
    let end = u64::from(first) + symbols.len() as u64;
    let (mut places, change) = (Places::new(item), Symbol::of(item, change));
    while places.at < end {
        if let Some(symbol) = places.at.checked_sub(first.into()).and_then(|at| symbols.get_mut(at as usize)) {
            symbol.add(change);
        }
        places.advance();
    }
}

/// The difference that these symbols, the first of the row, hold; `None` when they are too few (or none of a row at all).
pub(crate) fn peel(mut rest: Vec<Symbol>) -> Option<Difference> {
    let mut difference = Difference::default();
    let mut ready: Vec<usize> = (0..rest.len()).filter(|&at| rest[at].single().is_some()).collect();
    while let Some(at) = ready.pop() {
        let Some((item, count)) = rest[at].single() else { continue };
        // Forged symbols might give items away for ever.
        if difference.added.len() + difference.taken.len() == rest.len() {
            return None;
        }
        if count == ADDED { &mut difference.added } else { &mut difference.taken }.push(item);
        let (mut places, undone) = (Places::new(item), Symbol::of(item, count.wrapping_neg()));
        while let Some(symbol) = rest.get_mut(places.at as usize) {
            symbol.add(undone);
            if symbol.single().is_some() {
                ready.push(places.at as usize);
            }
            places.advance();
        }
    }
    rest.iter().all(|symbol| *symbol == Symbol::default()).then_some(difference)
}

/// The numbers of the symbols that hold an item, in order.
struct Places {
    state: u64,
    at: u64,
}

impl Places {
    fn new(item: Item) -> Self {
        Self { state: item, at: 0 }
    }

    /// The next place is the first j > i for which a draw says so, found in one step by inverting the probability that none
    /// comes before: the gap is ⌈(i + 3/2) · (2³² / √(r + 1) − 1)⌉ for a random r of 64 bits (§4.2 of the paper).
    fn advance(&mut self) {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let root = root(mix(self.state)) + 1;
        let gap = ((2 * self.at + 3) * ((1 << 32) - root)).div_ceil(2 * root);
        self.at += gap.max(1);
    }
}

/// ⌊√n⌋. The processor's square root is within one of it, for it is wrong by 2⁻⁵³ of 2³² at most; in integers it would take half of the
/// time of a sketch.
fn root(n: u64) -> u64 {
    let mut root = (libm::sqrt(n as f64) as u64).min(u32::MAX.into());
    root -= u64::from(root * root > n);
    root + u64::from(root < u32::MAX.into() && (root + 1) * (root + 1) <= n)
}

fn check(item: Item) -> u32 {
    (mix(item ^ 0x6865_6172_7361_7921) >> 32) as u32
}

/// The finaliser of SplitMix64.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use core::iter;

    use rand_core::{Rng as _, SeedableRng};
    use rand_xoshiro::SplitMix64;

    use super::*;

    /// The symbols of a difference of `added` and `taken` items beside `common` ones.
    fn row(count: usize, added: &[Item], taken: &[Item], common: &[Item]) -> Vec<Symbol> {
        let mut symbols = vec![Symbol::default(); count];
        for &item in added.iter().chain(common) {
            add(&mut symbols, 0, item);
        }
        for &item in taken.iter().chain(common) {
            take(&mut symbols, 0, item);
        }
        symbols
    }

    fn items(seed: u64, count: usize) -> Vec<Item> {
        let mut rng = SplitMix64::seed_from_u64(seed);
        iter::repeat_with(|| rng.next_u64()).take(count).collect()
    }

    #[test]
    fn the_difference_comes_out_and_what_both_have_does_not() {
        let all = items(1, 1_000);
        let symbols = row(40, &all[..7], &all[7..12], &all[12..]);
        let mut difference = peel(symbols).unwrap();
        difference.added.sort_unstable();
        difference.taken.sort_unstable();
        let sorted = |slice: &[Item]| {
            let mut sorted = slice.to_vec();
            sorted.sort_unstable();
            sorted
        };
        assert_eq!(difference, Difference { added: sorted(&all[..7]), taken: sorted(&all[7..12]) });
        assert_eq!(peel(row(3, &[], &[], &all)), Some(Difference::default()), "equal sets need no symbols");
    }

    #[test]
    fn symbols_needed_per_item_are_those_of_the_paper() {
        // Figure 5 of the paper: 1.72 at most for small differences, 1.35 in the limit.
        for (d, limit) in [(1, 1.8), (10, 1.85), (100, 1.6), (1_000, 1.45)] {
            let runs = if d == 1_000 { 10 } else { 60 };
            let mut total = 0;
            for seed in 0..runs {
                let all = items(seed, d);
                let (added, taken) = all.split_at(d / 2);
                let full = row(3 * d + 300, added, taken, &[]);
                let needed = (1..=full.len()).step_by(d.div_ceil(100)).find(|&n| peel(full[..n].to_vec()).is_some());
                total += needed.unwrap_or_else(|| panic!("d = {d}, seed {seed}"));
            }
            let per_item = total as f64 / runs as f64 / d as f64;
            assert!(per_item < limit && per_item >= 1.0, "{per_item} symbols per item at d = {d}");
        }
    }

    #[test]
    fn a_row_can_be_made_in_parts() {
        let all = items(9, 300);
        let whole = row(100, &all, &[], &[]);
        let mut parts = Vec::new();
        for len in [37, 24, 39] {
            let mut part = vec![Symbol::default(); len];
            all.iter().for_each(|&item| add(&mut part, parts.len() as u32, item));
            parts.extend(part);
        }
        assert!(parts == whole);
    }

    /// The mapping is part of the protocol: these places may never change.
    #[test]
    fn golden_places() {
        let places = |item| {
            let mut places = Places::new(item);
            let mut all = vec![places.at];
            for _ in 0..7 {
                places.advance();
                all.push(places.at);
            }
            all
        };
        assert_eq!(places(0), [0, 1, 3, 27, 28, 89, 157, 379]);
        assert_eq!(places(0xdead_beef_0bad_cafe), [0, 2, 4, 6, 7, 10, 84, 130]);
        assert_eq!(check(1), 0xc07c_d200);
    }

    #[test]
    fn roots_are_those_of_the_integers() {
        let mut rng = SplitMix64::seed_from_u64(5);
        let squares = (0..20_000_u64).map(|n| (u64::from(u32::MAX) - n * n * 7) & u64::from(u32::MAX)).map(|n| n * n);
        let edges =
            squares.flat_map(|n| [n.saturating_sub(1), n, n.saturating_add(1)]).chain(u64::MAX - 999..=u64::MAX);
        let drawn = iter::repeat_with(|| rng.next_u64()).take(100_000);
        for n in edges.chain(0..10_000).chain(drawn) {
            assert_eq!(root(n), n.isqrt(), "of {n}");
        }
    }

    #[test]
    fn forged_symbols_end() {
        let mut rng = SplitMix64::seed_from_u64(3);
        for _ in 0..200 {
            // Each claims to hold one item, which is true of none together.
            let forged: Vec<Symbol> = iter::repeat_with(|| {
                let sum = rng.next_u64();
                Symbol { sum, check: check(sum), count: ADDED }
            })
            .take(50)
            .collect();
            let _ = peel(forged);
        }
        let one = Symbol { sum: 5, check: check(5), count: ADDED };
        let _ = peel(vec![one; 100]);
        assert_eq!(Symbol::from_bytes(&one.to_bytes()), one);
    }
}
