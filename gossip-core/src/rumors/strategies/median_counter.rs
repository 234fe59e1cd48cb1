//! Median counter: push-pull that falls silent by what others say of themselves (Karp, Schindelhauer, Shenker, Vöcking, FOCS 2000, §3).
//!
//! A node is in one of four states about a rumor. In A it does not know it. In B-m it counts: m is how far it has come, and is told
//! with each copy. In C it tells it for a few more rounds, and in D it is silent.
//!
//! ```text
//!            hears B              more contacts with m or above, or C,     m > m_max
//!        A ----------> B-1 ... B-m ------------------------> B-(m+1) ... ----------> C --- m_max rounds ---> D
//!        +------------------------------ hears C ----------------------------------> C
//! ```
//!
//! Rounds are the node's own, and changes wait for their end: who learns a rumor is still A for the others until its next round begins,
//! and tells it with the counter 0. m_max = ⌈ln ln N⌉, and nobody counts beyond an age of 4·⌈ln N⌉ rounds, by the age that copies carry.
//!
//! *What is a contact.* A copy heard in a call or in the answer to one. The paper's two nodes of a call tell each other where they are;
//! here the call tells its caller's counters, and the called answers if it tells one of those rumors itself, even when the
//! digests agree. A caller learns so that it told an uninformed node: that one answers with 0, less than any m. Nothing is heard of a
//! lost datagram, of a silent node, and of a caller who brings no copy: it may be in A or in D, and does not say. The paper counts those
//! in A against. Without them a node hears of them in its own calls alone, which go to A as often as calls come from there: 10.3 copies per
//! node in place of 10.6 at 1,000 nodes, and no more of them missed (500 runs each, with 0 and 5 % loss).
//!
//! A copy without a counter comes from a node under another strategy, which knows the rumor: it counts as one that is as far. What
//! anti-entropy brings is no contact, but who learns of a rumor that its teller is done with is in C. So is who learns it beyond the
//! greatest age: on its side of a healed partition it may be the first.

use core::time::Duration;

use crate::wire::COUNTER_C;

/// How far this node has come with a rumor, and what it heard in this round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count {
    state: State,
    /// Contacts in this round that were as far as this node, less those that were not.
    votes: i8,
    /// Whether somebody in C, or beyond, told it in this round.
    heard_c: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Learnt in this round: A for the others until its end.
    Learnt,
    /// B-m.
    Counting(u8),
    /// C, for so many rounds.
    Spreading(u8),
    /// D.
    Silent,
}

/// The bounds for a cluster of some size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// m_max: the greatest counter, and the rounds of C.
    rounds: u8,
    /// The age from which on nobody counts.
    age: Duration,
}

impl Limits {
    pub(crate) fn new(members: u32, gossip_interval: Duration) -> Self {
        let ln = libm::log(f64::from(members.max(2)));
        // 4 at 2³² members.
        let rounds = libm::ceil(libm::log(ln.max(1.0))) as u8;
        Self { rounds: rounds.max(1), age: gossip_interval * (4 * libm::ceil(ln) as u32) }
    }
}

impl Count {
    pub(crate) const LEARNT: Self = Self { state: State::Learnt, votes: 0, heard_c: false };

    /// Of a rumor that is kept and not told.
    pub(crate) const SILENT: Self = Self { state: State::Silent, ..Self::LEARNT };

    /// What a copy says of its teller.
    pub(crate) const fn told(self) -> u8 {
        match self.state {
            State::Learnt => 0,
            State::Counting(counter) => counter,
            State::Spreading(_) | State::Silent => COUNTER_C,
        }
    }

    /// Somebody told the rumor, with this counter if it counts; true when this node has something to say in return.
    pub(crate) fn hear(&mut self, counter: Option<u8>, contact: bool) -> bool {
        self.heard_c |= counter == Some(COUNTER_C);
        if let State::Counting(mine) = self.state
            && contact
        {
            let vote = if counter.is_none_or(|theirs| theirs >= mine) { 1 } else { -1 };
            self.votes = self.votes.saturating_add(vote);
        }
        self.state != State::Silent
    }

    /// A round is over, at which the rumor is of this age; true when it is still to be told.
    pub(crate) fn end_round(&mut self, age: Duration, limits: &Limits) -> bool {
        let old = age >= limits.age;
        let state = match self.state {
            State::Learnt if self.heard_c || old => State::Spreading(0),
            State::Learnt => State::Counting(1),
            State::Counting(_) if old => State::Silent,
            State::Counting(_) if self.heard_c => State::Spreading(0),
            State::Counting(counter) if self.votes <= 0 => State::Counting(counter),
            State::Counting(counter) if counter >= limits.rounds => State::Spreading(0),
            State::Counting(counter) => State::Counting(counter + 1),
            State::Spreading(rounds) if rounds + 1 < limits.rounds => State::Spreading(rounds + 1),
            State::Spreading(_) | State::Silent => State::Silent,
        };
        *self = Self { state, ..Self::LEARNT };
        state != State::Silent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUND: Duration = Duration::from_millis(200);
    const C: Option<u8> = Some(COUNTER_C);

    fn at(state: State) -> Count {
        Count { state, ..Count::LEARNT }
    }

    #[test]
    fn the_bounds_are_those_of_the_paper() {
        // ln ln N: 1.34 at 45, 1.93 at 1,000, 2.22 at 10,000, 2.81 at 16,777,216. ln N: 3.81, 6.91, 9.21, 16.6.
        for (members, rounds, age) in
            [(0, 1, 4), (2, 1, 4), (15, 1, 12), (16, 2, 12), (45, 2, 16), (1_000, 2, 28), (10_000, 3, 40)]
                .into_iter()
                .chain([(1 << 24, 3, 68), (u32::MAX, 4, 92)])
        {
            assert_eq!(Limits::new(members, ROUND), Limits { rounds, age: ROUND * age }, "{members} members");
        }
    }

    /// State, what is heard of it in calls and answers, the state after the round, with m_max = 2.
    #[test]
    fn states_follow_the_rules_of_the_paper() {
        use State::{Counting, Learnt, Silent, Spreading};
        let limits = Limits::new(1_000, ROUND);
        let table: [(State, &[Option<u8>], State); 20] = [
            (Learnt, &[], Counting(1)),
            (Learnt, &[Some(0), Some(2), None], Counting(1)),
            (Learnt, &[Some(1), C], Spreading(0)),
            (Counting(1), &[], Counting(1)),
            (Counting(1), &[Some(1)], Counting(2)),
            (Counting(1), &[Some(2)], Counting(2)),
            (Counting(1), &[None], Counting(2)),
            (Counting(1), &[Some(0)], Counting(1)),
            (Counting(1), &[Some(0), Some(1)], Counting(1)),
            (Counting(1), &[Some(0), Some(1), Some(7)], Counting(2)),
            (Counting(2), &[Some(1), Some(2)], Counting(2)),
            (Counting(2), &[Some(2), Some(1), Some(2)], Spreading(0)),
            (Counting(1), &[C], Spreading(0)),
            (Counting(1), &[Some(0), Some(0), C], Spreading(0)),
            // The cluster has shrunk since it counted so far.
            (Counting(4), &[Some(5)], Spreading(0)),
            (Spreading(0), &[Some(0), Some(0)], Spreading(1)),
            (Spreading(1), &[C], Silent),
            (Spreading(3), &[], Silent),
            (Silent, &[C, None], Silent),
            (Silent, &[], Silent),
        ];
        for (state, heard, after) in table {
            let mut count = at(state);
            for counter in heard {
                assert_eq!(count.hear(*counter, true), state != Silent);
            }
            assert_eq!(count.end_round(ROUND, &limits), after != Silent);
            assert_eq!(count, at(after), "{state:?} having heard {heard:?}");
        }
    }

    #[test]
    fn what_is_no_contact_does_not_count_but_for_c() {
        let limits = Limits::new(1_000, ROUND);
        let mut count = at(State::Counting(1));
        count.hear(Some(2), false);
        count.hear(None, false);
        assert!(count.end_round(ROUND, &limits));
        assert_eq!(count, at(State::Counting(1)));
        count.hear(C, false);
        assert!(count.end_round(ROUND, &limits));
        assert_eq!(count, at(State::Spreading(0)));
    }

    #[test]
    fn nobody_counts_beyond_the_greatest_age_and_who_learns_then_tells_for_the_rounds_of_c() {
        let limits = Limits::new(1_000, ROUND);
        let (young, old) = (ROUND * 28 - Duration::from_millis(1), ROUND * 28);
        let mut count = at(State::Counting(1));
        assert!(count.end_round(young, &limits));
        assert!(!count.end_round(old, &limits));
        let mut late = Count::LEARNT;
        assert_eq!([late.end_round(old, &limits), late.end_round(old, &limits)], [true, true]);
        assert!(!late.end_round(old, &limits));
    }

    #[test]
    fn a_flood_of_contacts_is_counted_to_the_bound_of_the_count() {
        let mut count = at(State::Counting(1));
        (0..1_000).for_each(|_| assert!(count.hear(Some(1), true)));
        assert_eq!(count.votes, i8::MAX);
        (0..1_000).for_each(|_| assert!(count.hear(Some(0), true)));
        assert_eq!(count.votes, i8::MIN);
    }

    #[test]
    fn each_state_tells_its_counter() {
        use State::{Counting, Learnt, Silent, Spreading};
        for (state, counter) in [(Learnt, 0), (Counting(3), 3), (Spreading(1), 255), (Silent, 255)] {
            assert_eq!(at(state).told(), counter);
        }
    }
}
