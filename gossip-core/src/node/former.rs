//! Whom a node once knew: so that one that lost everybody finds back, and two sides of a partition meet again when both have
//! forgotten each other.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use super::Node;
use super::transmit::Outgoing;
use crate::address::Address;
use crate::time::Instant;

/// How many of either kind are kept.
const FORMER_MAX: usize = 16;

/// For how long the dead are called (Serf's default).
const LOST_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// Protocol periods between two calls to the dead.
const LOST_PERIODS: u32 = 64;

/// Addresses, a fixed number of them.
#[derive(Debug)]
pub(super) struct Former<A> {
    /// The last that answered a probe of this node: they were there.
    answered: Vec<A>,
    /// The one of them to be replaced next, when they are all.
    oldest: usize,
    /// The last that were declared dead, and until when to call them.
    lost: VecDeque<(Instant, A)>,
    /// Whose turn it is to be called.
    turn: usize,
    periods: u32,
}

impl<A> Default for Former<A> {
    fn default() -> Self {
        Self { answered: Vec::new(), oldest: 0, lost: VecDeque::new(), turn: 0, periods: 0 }
    }
}

impl<A: Copy + Eq> Former<A> {
    pub(super) fn on_answer(&mut self, addr: A) {
        if self.answered.contains(&addr) {
            return;
        }
        if self.answered.len() < FORMER_MAX {
            self.answered.reserve_exact(FORMER_MAX - self.answered.len());
            self.answered.push(addr);
        } else {
            self.answered[self.oldest] = addr;
            self.oldest = (self.oldest + 1) % FORMER_MAX;
        }
    }

    pub(super) fn on_death(&mut self, now: Instant, addr: A) {
        self.lost.retain(|(_, other)| *other != addr);
        if self.lost.len() >= FORMER_MAX {
            self.lost.pop_front();
        }
        self.lost.push_back((now + LOST_LIFETIME, addr));
    }

    /// The next of all in turn.
    fn any(&mut self) -> Option<A> {
        let count = self.answered.len() + self.lost.len();
        let place = self.turn.checked_rem(count)?;
        self.turn = place + 1;
        Some(self.answered.get(place).copied().unwrap_or_else(|| self.lost[place - self.answered.len()].1))
    }

    /// The next of the dead in turn, once in so many periods.
    fn lost(&mut self, now: Instant) -> Option<A> {
        self.periods = (self.periods + 1) % LOST_PERIODS;
        if self.periods != 0 {
            return None;
        }
        self.lost.retain(|(until, _)| *until > now);
        let (until, addr) = self.lost.pop_front()?;
        self.lost.push_back((until, addr));
        Some(addr)
    }
}

impl<A: Address> Node<A> {
    /// Once per period: a node that knows nobody asks one of those it once knew to let it in; one that knows others calls one of
    /// the dead now and then.
    pub(super) fn call_former(&mut self, now: Instant) {
        if self.members.peers().is_empty() {
            if let Some(to) = self.former.any() {
                self.enqueue(Outgoing::Join { to });
            }
        } else if let Some(to) = self.former.lost(now)
            && self.members.find(&to).is_none_or(|slot| !self.members.entry(slot).state.is_live())
        {
            self.enqueue(Outgoing::Gossip { to, answer: true });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_sixteen_of_either_kind_are_kept_and_called_in_turn() {
        let mut former = Former::default();
        assert_eq!(former.any(), None);
        (0..20_u16).for_each(|addr| former.on_answer(addr));
        former.on_answer(19);
        let now = Instant::ZERO;
        (100..120).for_each(|addr| former.on_death(now, addr));
        former.on_death(now, 110);
        let mut called: Vec<_> = (0..32).filter_map(|_| former.any()).collect();
        called.sort_unstable();
        assert_eq!(called, (4..20).chain(104..120).collect::<Vec<_>>());
        let dead: Vec<_> = (0..64 * 16).filter_map(|_| former.lost(now)).collect();
        assert_eq!((dead.len(), dead[0], dead[15]), (16, 104, 110));
        assert!((0..64).all(|_| former.lost(now + LOST_LIFETIME).is_none()), "not for ever");
    }
}
