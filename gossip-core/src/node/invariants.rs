//! What holds of a node at all times, for tests, fuzzing and simulators (feature `check`).

use alloc::vec::Vec;
use core::cmp::Reverse;

use super::{Node, Phase, SEEDS_MAX};
use crate::address::Address;
use crate::member::MemberState;
use crate::members::{SELF, Slot};
use crate::probe::RELAYS_MAX;
use crate::timer::Timer;

impl<A: Address> Node<A> {
    /// Checks the whole state; its cost grows with everything that is kept.
    ///
    /// # Panics
    /// When an invariant is broken.
    #[doc(hidden)]
    pub fn check_invariants(&self) {
        self.members.check();
        self.rumors.check(&self.config);
        self.check_bounds();
        self.check_failure_detection();
        for (slot, _) in self.updates.check() {
            assert!(self.members.get(slot).is_some(), "slot {slot} is to be told and free");
        }
        let own = self.members.entry(SELF);
        let leaving = matches!(self.phase, Phase::Leaving(_) | Phase::Left);
        assert_eq!(own.state, if leaving { MemberState::Left } else { MemberState::Alive });
        assert_eq!(self.timers.next().is_none(), self.phase == Phase::Left, "timers run until the node has left");
        self.timers.check(&self.deadlines);
        self.outgoing.check();
        assert!(self.fresh.is_empty(), "what a datagram brought is told on before the next one comes");
        self.check_rest();
    }

    /// Who makes no rounds has nothing to do in them.
    fn check_rest(&self) {
        if self.timers.is_set(Timer::Gossip) || self.phase == Phase::Left {
            return;
        }
        assert_eq!(self.phase, Phase::Member, "it rests");
        assert!(!self.has_news() && !self.config.strategy.calls_when_idle(&self.config), "it rests and has to call");
        assert!(!self.members.peers().is_empty(), "it rests, alone");
        assert!(self.suspicions.is_empty(), "it rests, suspects somebody and would not see a stall");
        assert!(!self.waits_long_for_probe(), "it rests, waits for an answer and would not see a stall");
        assert!(self.watch.unread_since().is_none(), "it rests and would not see that what it reads is new");
        assert!(self.part == 0 && self.forwards == 0 && !self.sync.grants(), "a round would make these anew");
        assert!(!self.branches.as_ref().is_some_and(|branches| branches.wait()), "it rests and branches wait");
    }

    fn check_bounds(&self) {
        let config = &self.config;
        assert!(self.members.len() <= config.members_max, "{} members", self.members.len());
        assert!(self.outgoing.len() <= config.transmits_max, "{} messages wait", self.outgoing.len());
        assert!(self.watch.relays.len() <= RELAYS_MAX && self.seeds.len() <= SEEDS_MAX);
        assert!(self.forwards <= config.forwards_max);
        assert!(self.awareness.score() <= config.awareness_max);
        // Swept when they are more than twice what holds and 16; what holds can shrink until the next sweep.
        assert!(
            self.watch.tombstones.len() <= 2 * config.members_max + 17,
            "{} tombstones",
            self.watch.tombstones.len()
        );
        let deadlines = self.watch.suspicion_deadlines.len();
        assert!(deadlines <= 2 * config.members_max + 17, "{deadlines} deadlines of suspicions");
    }

    fn check_failure_detection(&self) {
        for slot in self.members.slots_from(SELF).filter(|&slot| slot != SELF) {
            let entry = self.members.entry(slot);
            let buried = self.watch.tombstones.iter().any(|&(_, grave, inc)| (grave, inc) == (slot, entry.incarnation));
            assert!(entry.state.is_live() || buried, "{entry:?} would be remembered for ever");
        }
        assert!(self.watch.tombstones.iter().is_sorted_by_key(|&(forget, ..)| forget), "they go in order");
        let suspects: Vec<Slot> = self
            .members
            .slots_from(SELF)
            .filter(|&slot| self.members.entry(slot).state == MemberState::Suspect)
            .collect();
        assert!(self.suspicions.keys().eq(&suspects), "a suspicion for each suspect");
        for (slot, suspicion) in &self.suspicions {
            let watched = self
                .watch
                .suspicion_deadlines
                .iter()
                .any(|Reverse((at, of))| of == slot && *at <= suspicion.deadline());
            assert!(watched, "nobody looks at the suspicion of slot {slot} when it is due");
        }
        if let Some(probe) = &self.probe {
            let target = self.members.get(probe.target).expect("who is probed is in the table");
            assert!(target.addr() == probe.addr && target.state.is_live(), "{target:?} is probed");
        }
    }
}
