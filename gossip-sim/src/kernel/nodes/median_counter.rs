//! Push-pull that falls silent by counters: the median-counter algorithm (Karp, Schindelhauer, Shenker, Vöcking, FOCS 2000, §3).
//!
//! A node is uninformed (A), counts (B-1 to B-ctr_max), spreads for a few more rounds (C), or is silent (D). Whoever is not
//! silent calls one other a round, and is told that one's state in return. An A that hears of a B becomes B-1. An A or B that
//! hears of a C becomes C. A B-m goes to B-(m+1) when, of those it heard of in a round, more had a counter of m or above than
//! had a smaller one or were uninformed; beyond ctr_max it is a C. A C falls silent after c_rounds, and everybody does at an
//! age of 4·⌈ln n⌉. ctr_max = c_rounds = ⌈ln ln n⌉.
//!
//! Twelve bits per node: four of state, eight for what is heard in a round.

use std::ops::Range;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

use super::Protocol;
use super::uniform::sent;
use super::world::{Done, World};
use crate::kernel::random::Stream;

/// The states of all nodes.
pub(super) struct MedianCounter {
    /// Sixteen states of four bits per word.
    states: Vec<AtomicU64>,
    /// What each node heard in this round.
    heard: Vec<AtomicU8>,
    rounds_max: u8,
    age_max: u64,
    /// Nodes in B or C.
    active: u64,
    age: u64,
}

/// A state in four bits: 0 is A, 1 to 7 are B-1 to B-7, 8 to 14 are the rounds of C, 15 is D.
type State = u8;
const A: State = 0;
const C: State = 8;
const D: State = 15;

/// What was heard: two flags, and the votes for going on less those against, from 32 up. A node would have to be called by 31
/// others in one round to overflow it: at 10⁹ nodes once in 10²⁴ rounds.
const HEARD_C: u8 = 0x80;
const HEARD_B: u8 = 0x40;
const VOTES: u8 = 0x3f;
const VOTES_NONE: u8 = 0x20;

impl MedianCounter {
    pub(super) fn new(nodes: u64) -> Self {
        let ln = libm::log(nodes as f64);
        let this = Self {
            states: (0..nodes.div_ceil(16)).map(|_| AtomicU64::new(0)).collect(),
            heard: (0..nodes).map(|_| AtomicU8::new(VOTES_NONE)).collect(),
            rounds_max: (libm::ceil(libm::log(ln.max(1.0))) as u8).clamp(1, 7),
            age_max: 4 * libm::ceil(ln) as u64,
            active: 1,
            age: 0,
        };
        this.states[0].store(1, Relaxed);
        this
    }

    #[inline]
    fn state(&self, node: u64) -> State {
        (self.states[(node >> 4) as usize].load(Relaxed) >> ((node & 15) * 4) & 15) as State
    }

    /// `node`, in this state, is told that another is in state `other`.
    #[inline]
    fn hears(&self, node: u64, state: State, other: State) {
        let heard = &self.heard[node as usize];
        match (state, other) {
            (D | C.., _) | (A, A) => {}
            (_, C..) => {
                heard.fetch_or(HEARD_C, Relaxed);
            }
            (A, _) => {
                heard.fetch_or(HEARD_B, Relaxed);
            }
            (mine, theirs) if theirs >= mine => {
                heard.fetch_add(1, Relaxed);
            }
            _ => {
                heard.fetch_sub(1, Relaxed);
            }
        }
    }

    fn calls(&self, world: &World, words: Range<u64>, mut stream: Stream) -> Done {
        let (mut rumor, mut datagrams) = (0, 0);
        for node in words.start * 64..(words.end * 64).min(world.nodes) {
            let mine = self.state(node);
            if mine == D {
                continue;
            }
            let called = stream.other(node, world.nodes);
            datagrams += 1;
            rumor += u64::from(mine != A);
            if !world.arrives(&mut stream) {
                continue;
            }
            world.arrived(called);
            let theirs = self.state(called);
            // Two who know nothing have nothing to tell, and the silent are silent.
            if theirs == D || (mine == A && theirs == A) {
                continue;
            }
            self.hears(called, theirs, mine);
            world.answered(called);
            datagrams += 1;
            rumor += u64::from(theirs != A);
            if world.arrives(&mut stream) {
                world.arrived(node);
                self.hears(node, mine, theirs);
            }
        }
        Done { traffic: sent(rumor, datagrams, 1), learnt: 0 }
    }

    /// The state after a round.
    fn after(&self, state: State, heard: u8) -> State {
        let votes = heard & VOTES;
        match state {
            D => D,
            C.. if state - C + 1 >= self.rounds_max => D,
            C.. => state + 1,
            _ if heard & HEARD_C != 0 => C,
            A => State::from(heard & HEARD_B != 0),
            _ if votes <= VOTES_NONE => state,
            _ if state >= self.rounds_max => C,
            _ => state + 1,
        }
    }

    fn advance(&self, world: &World, words: Range<u64>) -> (u64, u64) {
        let (mut learnt, mut active) = (0, 0);
        for word in words.start * 4..(words.end * 4).min(world.nodes.div_ceil(16)) {
            let (old, mut new) = (self.states[word as usize].load(Relaxed), 0);
            for slot in 0..16.min(world.nodes - word * 16) {
                let node = word * 16 + slot;
                let before = (old >> (slot * 4) & 15) as State;
                let after = self.after(before, self.heard[node as usize].swap(VOTES_NONE, Relaxed));
                let after = if self.age >= self.age_max && after != A { D } else { after };
                learnt += u64::from(before == A && after != A && world.next.set(node));
                active += u64::from(after != A && after != D);
                new |= u64::from(after) << (slot * 4);
            }
            self.states[word as usize].store(new, Relaxed);
        }
        (learnt, active)
    }
}

impl Protocol for MedianCounter {
    fn round(&mut self, world: &World) -> Done {
        self.age += 1;
        let mut done = Done::sum(world.chunks(1, |words, stream| self.calls(world, words, stream)));
        let changes = world.chunks(2, |words, _| self.advance(world, words));
        (done.learnt, self.active) =
            changes.into_iter().fold((0, 0), |(learnt, active), (more, on)| (learnt + more, active + on));
        done
    }

    fn goes_on(&self) -> bool {
        true
    }

    fn silent(&self) -> bool {
        self.active == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rules, by hand, with ctr_max = c_rounds = 3.
    #[test]
    fn states_follow_the_rules_of_the_paper() {
        let counter = MedianCounter { rounds_max: 3, ..MedianCounter::new(2) };
        let (votes, against) = (VOTES_NONE + 1, VOTES_NONE - 1);
        let table = [
            (A, VOTES_NONE, A),
            (A, VOTES_NONE | HEARD_B, 1),
            (A, VOTES_NONE | HEARD_B | HEARD_C, C),
            (1, VOTES_NONE, 1),
            (1, against, 1),
            (1, votes, 2),
            (3, votes, C),
            (2, against | HEARD_C, C),
            (C, VOTES_NONE, C + 1),
            (C + 2, VOTES_NONE, D),
            (D, VOTES_NONE | HEARD_C, D),
        ];
        for (state, heard, after) in table {
            assert_eq!(counter.after(state, heard), after, "{state} having heard {heard:#x}");
        }
    }

    #[test]
    fn a_node_counts_those_who_are_as_far_as_itself_against_those_who_are_not() {
        let counter = MedianCounter::new(2);
        for (state, others, votes) in [(2, vec![2, 3, 1, A], 0), (2, vec![2, 5], 2), (3, vec![A, 1, 2], -3_i8)] {
            others.into_iter().for_each(|other| counter.hears(0, state, other));
            let heard = counter.heard[0].swap(VOTES_NONE, Relaxed);
            assert_eq!((heard & VOTES) as i8 - 32, votes);
        }
    }
}
