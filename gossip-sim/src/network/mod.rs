//! What is between the hosts: latency, loss, duplicates, disorder, the longest datagram, cut links.
//!
//! This is the weather. The faults that an experiment orders at a node are [`netem`]'s, one instance for each impaired host.
//!
//! # Draws
//! A draw is a hash of the master seed, its purpose, the directed link, the time, and how many datagrams the sender has sent at
//! that very instant. So each link and purpose has a stream of its own without any memory (10^5 hosts have 10^10 links), a
//! datagram more on one link does not move another link, and what nothing asks for draws nothing.

mod blocks;
mod flights;
pub mod latency;

use std::time::Duration;

pub(crate) use blocks::Blocks;
pub(crate) use flights::Flights;
pub use latency::Latency;

use crate::addresses::NodeId;

/// How the network behaves between any two hosts.
#[derive(Debug, Clone)]
pub struct Network {
    /// How long a datagram is under way.
    pub latency: Latency,
    /// Probability that it is lost.
    pub loss: f64,
    /// Probability that it comes twice; each copy takes its own time.
    pub duplicate: f64,
    /// Each copy is late by a uniform time up to this, so that later ones overtake it.
    pub reorder: Duration,
    /// Longer datagrams do not pass, bytes.
    pub mtu: usize,
    /// Probability that some bits of it are flipped on the way; all copies of one alike.
    pub corrupt: f64,
    /// Probability that it is cut short on the way.
    pub truncate: f64,
}

impl Default for Network {
    /// One millisecond for each, nothing else.
    fn default() -> Self {
        let latency = Latency::Constant(Duration::from_millis(1));
        Self {
            latency,
            loss: 0.0,
            duplicate: 0.0,
            reorder: Duration::ZERO,
            mtu: usize::MAX,
            corrupt: 0.0,
            truncate: 0.0,
        }
    }
}

impl Network {
    /// One with this latency.
    #[must_use]
    pub fn with_latency(latency: Latency) -> Self {
        Self { latency, ..Self::default() }
    }
}

/// What became of a datagram when it was sent. `T` is how times are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate<T = Duration> {
    /// It is under way, once.
    Sent {
        /// For how long.
        delay: T,
    },
    /// It is under way twice.
    Twice {
        /// For how long each.
        delays: [T; 2],
    },
    /// It waits at a host that cannot send: see [`block_process`](crate::Cluster::block_process).
    Waits,
    /// It will not arrive.
    Dropped(Cause),
}

impl<T> Fate<T> {
    /// The same with other times.
    #[inline]
    pub(crate) fn map<U>(self, time: impl Fn(T) -> U) -> Fate<U> {
        match self {
            Self::Sent { delay } => Fate::Sent { delay: time(delay) },
            Self::Twice { delays } => Fate::Twice { delays: delays.map(time) },
            Self::Waits => Fate::Waits,
            Self::Dropped(cause) => Fate::Dropped(cause),
        }
    }
}

/// Why a datagram does not arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Cause {
    /// The fault models of the sender or the receiver: asleep.
    Asleep,
    /// The fault models: partitioned.
    Partitioned,
    /// The fault models: drop the next.
    DropNext,
    /// The fault models: loss.
    Loss,
    /// The network lost it: [`Network::loss`].
    Lost,
    /// The link is cut: [`block`](crate::Cluster::block).
    Blocked,
    /// Sender or receiver is deaf: [`deafen`](crate::Cluster::deafen).
    Deaf,
    /// Longer than [`Network::mtu`].
    TooLong,
    /// Nobody is at that address, or no longer.
    Nobody,
    /// Too many wait at the receiver already.
    InboxFull,
    /// Too many wait at the sender already.
    OutboxFull,
}

impl Cause {
    /// How many there are.
    pub const COUNT: usize = Self::OutboxFull as usize + 1;
}

impl From<netem::Cause> for Cause {
    fn from(cause: netem::Cause) -> Self {
        match cause {
            netem::Cause::Asleep => Self::Asleep,
            netem::Cause::Partitioned => Self::Partitioned,
            netem::Cause::DropNext => Self::DropNext,
            netem::Cause::Loss => Self::Loss,
        }
    }
}

/// Whom a draw is for: a directed link, at a time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Occasion {
    pub(crate) from: NodeId,
    pub(crate) to: NodeId,
    pub(crate) at: u64,
    /// Of how many datagrams that the sender sends at this instant this is the last.
    pub(crate) number: u32,
}

impl Occasion {
    /// Sixty-four random bits for a purpose; `seed` is the purpose's.
    #[inline]
    pub(crate) fn word(&self, seed: u64) -> u64 {
        let link = u64::from(self.from) << 32 | u64::from(self.to);
        mix(mix(mix(seed ^ link).wrapping_add(self.at)).wrapping_add(u64::from(self.number)))
    }
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014, fig. 11).
#[inline]
pub(crate) fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A number on 0 ≤ u < 1: a multiple of 2⁻⁵³, exact on every machine.
#[inline]
pub(crate) fn unit(word: u64) -> f64 {
    const STEP: f64 = 1.0 / (1_u64 << 53) as f64;
    (word >> 11) as f64 * STEP
}

/// The seeds of the network's purposes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seeds {
    pub(crate) loss: u64,
    pub(crate) duplicate: u64,
    pub(crate) latency: [u64; 2],
    pub(crate) reorder: [u64; 2],
    pub(crate) corrupt: u64,
    pub(crate) truncate: u64,
}

impl Seeds {
    pub(crate) fn new(master: u64) -> Self {
        let child = |label: &str| netem::seed::child(master, label);
        Self {
            loss: child("network/loss"),
            duplicate: child("network/duplicate"),
            latency: [child("network/latency"), child("network/latency/copy")],
            reorder: [child("network/reorder"), child("network/reorder/copy")],
            corrupt: child("network/corrupt"),
            truncate: child("network/truncate"),
        }
    }
}

impl Network {
    /// What the network does to a datagram, blocks apart. Times are in nanoseconds.
    #[inline]
    pub(crate) fn judge(&self, seeds: &Seeds, occasion: Occasion, len: usize) -> Fate<u64> {
        if len > self.mtu {
            return Fate::Dropped(Cause::TooLong);
        }
        if self.loss > 0.0 && unit(occasion.word(seeds.loss)) < self.loss {
            return Fate::Dropped(Cause::Lost);
        }
        let delay = self.delay(seeds, occasion, 0);
        if self.duplicate > 0.0 && unit(occasion.word(seeds.duplicate)) < self.duplicate {
            return self.twice(seeds, occasion, delay);
        }
        Fate::Sent { delay }
    }

    /// How long one of the copies is under way.
    #[inline(always)]
    fn delay(&self, seeds: &Seeds, occasion: Occasion, copy: usize) -> u64 {
        let latency = self.latency.draw(occasion.from, occasion.to, || occasion.word(seeds.latency[copy]));
        if self.reorder.is_zero() {
            return latency;
        }
        latency.saturating_add(latency::share(self.reorder, unit(occasion.word(seeds.reorder[copy]))))
    }

    #[cold]
    fn twice(&self, seeds: &Seeds, occasion: Occasion, delay: u64) -> Fate<u64> {
        Fate::Twice { delays: [delay, self.delay(seeds, occasion, 1)] }
    }

    /// What the network makes of the bytes of a datagram that is under way; how many are left.
    pub(crate) fn damage(&self, seeds: &Seeds, occasion: Occasion, bytes: &mut [u8]) -> usize {
        let len = bytes.len();
        if len == 0 {
            return len;
        }
        let word = occasion.word(seeds.corrupt);
        if self.corrupt > 0.0 && unit(word) < self.corrupt {
            // One to four bits, each anywhere.
            for flip in 0..=word % 4 {
                let word = mix(word.wrapping_add(flip + 1));
                bytes[(word >> 3) as usize % len] ^= 1 << (word % 8);
            }
        }
        let word = occasion.word(seeds.truncate);
        if self.truncate > 0.0 && unit(word) < self.truncate { mix(word) as usize % len } else { len }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn occasion(from: u32, to: u32, at: u64, number: u32) -> Occasion {
        Occasion { from, to, at, number }
    }

    #[test]
    fn draws_differ_by_link_by_time_by_number_and_by_purpose() {
        let seeds = Seeds::new(7);
        let words = [
            occasion(1, 2, 5, 0).word(seeds.loss),
            occasion(2, 1, 5, 0).word(seeds.loss),
            occasion(1, 3, 5, 0).word(seeds.loss),
            occasion(1, 2, 6, 0).word(seeds.loss),
            occasion(1, 2, 5, 1).word(seeds.loss),
            occasion(1, 2, 5, 0).word(seeds.latency[0]),
            occasion(1, 2, 5, 0).word(Seeds::new(8).loss),
        ];
        for (i, a) in words.iter().enumerate() {
            for b in &words[i + 1..] {
                assert!((a ^ b).count_ones() > 10, "{a:x} and {b:x} are too alike");
            }
        }
    }

    #[test]
    fn loss_and_duplicates_strike_as_often_as_they_are_asked_to() {
        let network = Network { loss: 0.2, duplicate: 0.1, ..Network::default() };
        let seeds = Seeds::new(3);
        let fates = (0..100_000).map(|n| network.judge(&seeds, occasion(n % 7, n % 11, u64::from(n) / 3, n % 3), 100));
        let (mut lost, mut twice) = (0, 0);
        for fate in fates {
            lost += u32::from(fate == Fate::Dropped(Cause::Lost));
            twice += u32::from(matches!(fate, Fate::Twice { .. }));
        }
        // Four standard deviations: 4·√(10⁵·0.2·0.8) = 506; of the 80,000 others 4·√(80,000·0.1·0.9) = 340.
        assert!(lost.abs_diff(20_000) < 506, "{lost}");
        assert!(twice.abs_diff(8_000) < 340 + 51, "{twice}");
    }

    #[test]
    fn what_is_too_long_does_not_pass_and_what_just_fits_does() {
        let network = Network { mtu: 100, ..Network::default() };
        let seeds = Seeds::new(3);
        assert_eq!(network.judge(&seeds, occasion(1, 2, 3, 0), 101), Fate::Dropped(Cause::TooLong));
        let delay = 1_000_000;
        assert_eq!(network.judge(&seeds, occasion(1, 2, 3, 0), 100), Fate::Sent { delay });
    }

    #[test]
    fn damage_flips_some_bits_or_cuts_and_only_as_often_as_it_is_asked_to() {
        let seeds = Seeds::new(3);
        let damaged = |network: &Network| -> Vec<(usize, u32)> {
            let damage = |n: u64| {
                let mut bytes = [0; 64];
                let left = network.damage(&seeds, occasion(1, 2, n, 0), &mut bytes);
                (left, bytes.iter().map(|byte| byte.count_ones()).sum())
            };
            (0..10_000).map(damage).collect()
        };
        assert!(damaged(&Network::default()).iter().all(|&what| what == (64, 0)));
        let flipped = damaged(&Network { corrupt: 0.3, ..Network::default() });
        let count = flipped.iter().filter(|(_, bits)| *bits > 0).count();
        // Four standard deviations are 183; two flips of one bit undo each other about once in 1,000.
        assert!(count.abs_diff(3_000) < 200 && flipped.iter().all(|&(len, bits)| len == 64 && bits <= 4), "{count}");
        let cut = damaged(&Network { truncate: 0.3, ..Network::default() });
        let count = cut.iter().filter(|(len, _)| *len < 64).count();
        assert!(count.abs_diff(3_000) < 200 && cut.iter().all(|&(_, bits)| bits == 0), "{count}");
    }

    #[test]
    fn disorder_lets_later_ones_overtake() {
        let network = Network { reorder: Duration::from_millis(10), ..Network::default() };
        let seeds = Seeds::new(3);
        let delays: Vec<Duration> = (0..1_000)
            .map(|n| match network.judge(&seeds, occasion(1, 2, n * 1_000_000, 0), 100) {
                Fate::Sent { delay } => Duration::from_nanos(delay),
                other => panic!("{other:?}"),
            })
            .collect();
        assert!(delays.iter().all(|delay| (1..=11).contains(&delay.as_millis())));
        let overtaken = delays.windows(2).filter(|pair| pair[1] + Duration::from_millis(1) < pair[0]).count();
        // Two uniform times up to 10 ms differ by more than 1 ms in this order with probability 0.9²/2 = 0.405.
        assert!(overtaken.abs_diff(405) < 80, "{overtaken}");
    }
}
