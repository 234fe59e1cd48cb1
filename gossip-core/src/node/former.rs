//! Whom a node once knew: so that one that lost everybody finds back, and two sides of a partition meet again when both have
//! forgotten each other.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::ops::Range;
use core::time::Duration;

use super::Node;
use super::transmit::Outgoing;
use crate::address::Address;
use crate::sparse::push_tight;
use crate::time::Instant;

/// How many of either kind are kept.
const FORMER_MAX: usize = 16;

/// The longest encoded address that is kept.
const ENCODED_MAX: usize = 128;

/// For how long the dead are called (Serf's default).
const LOST_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// Protocol periods between two calls to the dead.
const LOST_PERIODS: u8 = 64;

/// Who died, in the order of dying, and until when to call them.
type Lost<A> = VecDeque<(Instant, <A as Address>::Stored)>;

/// Addresses, a fixed number of them.
#[derive(Debug)]
pub(super) struct Former<A: Address> {
    /// The last that answered a probe of this node: they were there. One encoded address after the other, for their room is more
    /// than they need.
    answered: Vec<u8>,
    count: u8,
    /// The one of them to be replaced next, when they are all.
    oldest: u8,
    /// The last that were declared dead, and until when to call them.
    lost: Option<Box<Lost<A>>>,
    /// Whose turn it is to be called.
    turn: u8,
    periods: u8,
}

impl<A: Address> Default for Former<A> {
    fn default() -> Self {
        Self { answered: Vec::new(), count: 0, oldest: 0, lost: None, turn: 0, periods: 0 }
    }
}

impl<A: Address> Former<A> {
    pub(super) fn on_answer(&mut self, addr: A) {
        let mut buffer = [0; ENCODED_MAX];
        // One that is longer is not remembered.
        let Some(len) = addr.encode(&mut buffer) else { return };
        let encoded = &buffer[..len];
        if self.places().any(|place| self.answered[place] == *encoded) {
            return;
        }
        if usize::from(self.count) < FORMER_MAX {
            // Room for all of them at once: they come one by one while the node is otherwise settled.
            let places = if self.count == 0 { FORMER_MAX } else { 1 };
            self.answered.reserve_exact(places * len);
            self.answered.extend_from_slice(encoded);
            self.count += 1;
            return;
        }
        let oldest = self.places().nth(self.oldest.into());
        if let Some(place) = oldest {
            self.answered.splice(place, encoded.iter().copied());
            self.oldest = (self.oldest + 1) % FORMER_MAX as u8;
        }
    }

    /// Where each of those that answered stands.
    fn places(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        let mut start = 0;
        core::iter::from_fn(move || {
            let (_, len) = A::decode(&self.answered[start..])?;
            start += len;
            Some(start - len..start)
        })
    }

    fn answered(&self, number: usize) -> Option<A> {
        let place = self.places().nth(number)?;
        A::decode(&self.answered[place]).map(|(addr, _)| addr)
    }

    pub(super) fn on_death(&mut self, now: Instant, addr: A) {
        let addr = A::Stored::from(addr);
        let lost = self.lost.get_or_insert_default();
        lost.retain(|(_, other)| *other != addr);
        if lost.len() >= FORMER_MAX {
            lost.pop_front();
        }
        push_tight(lost, (now + LOST_LIFETIME, addr));
    }

    /// The next of all in turn.
    fn any(&mut self) -> Option<A> {
        let answered = usize::from(self.count);
        let place = usize::from(self.turn).checked_rem(answered + self.lost.as_ref().map_or(0, |lost| lost.len()))?;
        self.turn = place as u8 + 1;
        match place.checked_sub(answered) {
            None => self.answered(place),
            Some(place) => Some(self.lost.as_ref()?.get(place)?.1.into()),
        }
    }

    /// The next of the dead in turn, once in so many periods.
    fn lost(&mut self, now: Instant) -> Option<A> {
        self.periods = (self.periods + 1) % LOST_PERIODS;
        if self.periods != 0 {
            return None;
        }
        let lost = self.lost.as_mut()?;
        lost.retain(|(until, _)| *until > now);
        let (until, addr) = lost.pop_front()?;
        lost.push_back((until, addr));
        Some(addr.into())
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
        let mut former = Former::<u16>::default();
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
