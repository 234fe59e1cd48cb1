//! Which sealed datagrams came already: per sender the session and a sliding window of counters, after RFC 4303 §3.4.3 with the
//! ring of blocks of RFC 6479, which moves without shifting.
//!
//! A counter counts what a node sends to everybody, so what comes to one receiver has gaps. The window is wide enough for a
//! long burst that the network shuffles: whatever is at most 192 datagrams of its sender late is still accepted.

use alloc::vec::Vec;
use core::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use crate::address::Address;

const BLOCKS: u64 = 4;

/// How far behind the highest counter one is always accepted, if it did not come yet.
#[cfg(test)]
const WINDOW_MIN: u64 = (BLOCKS - 1) * 64;

/// Senders at which the search for one to forget looks, for one datagram.
const LOOKS_MAX: usize = 16;

/// The counters of one session that came.
#[derive(Debug, Clone)]
struct Window {
    highest: u64,
    /// A ring: the bit of a counter is in the block of its number divided by 64, modulo the blocks.
    seen: [u64; BLOCKS as usize],
}

impl Window {
    const fn new(first: u64) -> Self {
        let mut window = Self { highest: first, seen: [0; BLOCKS as usize] };
        window.seen[(first / 64 % BLOCKS) as usize] = 1 << (first % 64);
        window
    }

    const fn is_fresh(&self, counter: u64) -> bool {
        if counter > self.highest {
            return true;
        }
        let too_old = self.highest / 64 - counter / 64 >= BLOCKS;
        !too_old && self.seen[(counter / 64 % BLOCKS) as usize] >> (counter % 64) & 1 == 0
    }

    fn mark(&mut self, counter: u64) {
        if counter > self.highest {
            let blocks = (counter / 64 - self.highest / 64).min(BLOCKS);
            for block in 1..=blocks {
                self.seen[((self.highest / 64 + block) % BLOCKS) as usize] = 0;
            }
            self.highest = counter;
        }
        self.seen[(counter / 64 % BLOCKS) as usize] |= 1 << (counter % 64);
    }
}

#[derive(Debug, Clone)]
struct Sender<A: Address> {
    addr: A::Stored,
    session: u64,
    window: Window,
}

/// What became of a new datagram's counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Noted {
    Yes,
    /// Yes, and another sender was forgotten for it.
    Evicted,
    /// No: there is no room for another sender.
    Full,
}

/// The senders of sealed datagrams: only who knows a key gets in here.
#[derive(Debug, Clone)]
pub(crate) struct Senders<A: Address> {
    senders: Vec<Sender<A>>,
    index: HashTable<u32>,
    hasher: FixedState,
    /// Where the search for a sender to forget goes on.
    hand: usize,
}

impl<A: Address> Senders<A> {
    pub(crate) fn new(hash_seed: u64) -> Self {
        Self { senders: Vec::new(), index: HashTable::new(), hasher: FixedState::with_seed(hash_seed), hand: 0 }
    }

    /// Whether a datagram came before, as far as it can be told: one that is too old counts as such, and so does one of a former
    /// life of its sender.
    pub(crate) fn is_replay(&self, addr: &A, session: u64, counter: u64) -> bool {
        self.find(addr).is_some_and(|at| {
            let sender = &self.senders[at];
            session < sender.session || session == sender.session && !sender.window.is_fresh(counter)
        })
    }

    /// Notes a datagram that is no replay and that opened. At `max` senders one that is `forgettable` gives its place, if the
    /// search comes upon one soon.
    pub(crate) fn note(
        &mut self,
        addr: &A,
        session: u64,
        counter: u64,
        max: usize,
        forgettable: impl Fn(&A) -> bool,
    ) -> Noted {
        if let Some(at) = self.find(addr) {
            let sender = &mut self.senders[at];
            if session > sender.session {
                sender.session = session;
                sender.window = Window::new(counter);
            } else {
                sender.window.mark(counter);
            }
            return Noted::Yes;
        }
        let sender = Sender { addr: A::Stored::from(*addr), session, window: Window::new(counter) };
        let (at, noted) = if self.senders.len() < max {
            self.senders.push(sender);
            (self.senders.len() - 1, Noted::Yes)
        } else if let Some(at) = self.forget_one(forgettable) {
            self.senders[at] = sender;
            (at, Noted::Evicted)
        } else {
            return Noted::Full;
        };
        let Self { senders, index, hasher, .. } = self;
        let hash = hash::<A>(hasher, senders[at].addr);
        index.insert_unique(hash, at as u32, |&other| hash_at(hasher, senders, other));
        noted
    }

    /// Takes a sender out of the index; its place is free then.
    fn forget_one(&mut self, forgettable: impl Fn(&A) -> bool) -> Option<usize> {
        for _ in 0..LOOKS_MAX.min(self.senders.len()) {
            let at = self.hand % self.senders.len();
            self.hand = at + 1;
            let addr = self.senders[at].addr;
            if forgettable(&addr.into()) {
                let hash = hash::<A>(&self.hasher, addr);
                if let Ok(entry) = self.index.find_entry(hash, |&other| other as usize == at) {
                    entry.remove();
                }
                return Some(at);
            }
        }
        None
    }

    fn find(&self, addr: &A) -> Option<usize> {
        let addr = A::Stored::from(*addr);
        let hash = hash::<A>(&self.hasher, addr);
        self.index.find(hash, |&at| self.senders[at as usize].addr == addr).map(|&at| at as usize)
    }
}

fn hash<A: Address>(hasher: &FixedState, addr: A::Stored) -> u64 {
    let addr: A = addr.into();
    hasher.hash_one(addr)
}

fn hash_at<A: Address>(hasher: &FixedState, senders: &[Sender<A>], at: u32) -> u64 {
    hash::<A>(hasher, senders[at as usize].addr)
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use proptest::prelude::{any, prop, proptest};

    use super::*;

    const ANY: fn(&u16) -> bool = |_| true;

    #[test]
    fn a_window_takes_each_counter_once_and_none_that_is_too_old() {
        let mut window = Window::new(1_000);
        assert!(!window.is_fresh(1_000) && window.is_fresh(999) && window.is_fresh(1_001));
        window.mark(999);
        assert!(!window.is_fresh(999) && window.is_fresh(998));
        // 1,000 is in block 15: 12 is the oldest that the ring holds.
        assert!(window.is_fresh(12 * 64) && !window.is_fresh(12 * 64 - 1));
        window.mark(16 * 64);
        assert!(window.is_fresh(13 * 64) && !window.is_fresh(13 * 64 - 1), "moved on by a block");
        assert!(!window.is_fresh(1_000) && !window.is_fresh(999) && window.is_fresh(998), "what came is still known");
        window.mark(1_000_000);
        assert!(window.is_fresh(1_000_000 - WINDOW_MIN) && !window.is_fresh(16 * 64));
    }

    #[test]
    fn a_new_session_takes_the_place_of_the_old_and_the_old_does_not_come_back() {
        let mut senders = Senders::new(1);
        senders.note(&7_u16, 5, 100, 10, ANY);
        assert!(senders.is_replay(&7, 5, 100) && !senders.is_replay(&7, 5, 101));
        assert!(senders.is_replay(&7, 4, 1_000_000) && !senders.is_replay(&7, 6, 0));
        senders.note(&7, 6, 0, 10, ANY);
        assert!(senders.is_replay(&7, 5, 1_000_000) && senders.is_replay(&7, 6, 0) && !senders.is_replay(&7, 6, 1));
        assert!(!senders.is_replay(&8, 5, 100), "of another sender nothing is known");
    }

    #[test]
    fn at_the_bound_only_who_may_be_forgotten_gives_way() {
        let mut senders = Senders::new(1);
        for addr in 0..100_u16 {
            assert_eq!(senders.note(&addr, 1, 0, 100, |_| false), Noted::Yes);
        }
        assert_eq!(senders.note(&100, 1, 0, 100, |_| false), Noted::Full);
        assert!(!senders.is_replay(&100, 1, 0), "not noted");
        let odd = |addr: &u16| addr % 2 == 1;
        for addr in 100..150 {
            assert_eq!(senders.note(&addr, 1, 0, 100, odd), Noted::Evicted);
            assert!(senders.is_replay(&addr, 1, 0));
        }
        assert!((0..100).step_by(2).all(|addr| senders.is_replay(&addr, 1, 0)), "none of the others was forgotten");
        assert_eq!(senders.senders.len(), 100);
        assert_eq!(senders.index.len(), 100);
    }

    proptest! {
        /// Against the plain definition: a set of everything that came.
        #[test]
        fn a_window_agrees_with_a_set(steps in prop::collection::vec((0_u64..400, any::<bool>()), 1..300)) {
            let mut window = Window::new(1_000);
            let mut came = BTreeSet::from([1_000]);
            let mut highest: u64 = 1_000;
            for (distance, ahead) in steps {
                let counter = if ahead { highest + distance / 4 } else { highest - distance.min(highest) };
                if window.is_fresh(counter) {
                    assert!(came.insert(counter), "{counter} came twice");
                    assert!(counter + BLOCKS * 64 > highest);
                    window.mark(counter);
                } else {
                    assert!(came.contains(&counter) || counter + WINDOW_MIN < highest, "{counter} refused at {highest}");
                }
                highest = highest.max(counter);
            }
        }
    }
}
