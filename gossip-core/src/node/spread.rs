//! Spreading: gossip rounds, joining and saying goodbye.

use super::receive::hand_over;
use super::transmit::Outgoing;
use super::{Node, Phase, next_beat};
use crate::address::Address;
use crate::io::Event;
use crate::member::{Claim, MemberState, next_incarnation};
use crate::members::SELF;
use crate::rumors::Evicted;
use crate::rumors::strategies::{Limits, Situation, Targets};
use crate::time::Instant;
use crate::timer::Timer;
use crate::wire::Sender;

/// Rounds in which a goodbye is repeated.
const LEAVE_ROUNDS: u8 = 3;

/// Members that hear a goodbye in each of its rounds, at least.
const LEAVE_FANOUT: u32 = 3;

/// And at most.
const LEAVE_FANOUT_MAX: u32 = 64;

impl<A: Address> Node<A> {
    /// In how many parts this node makes its rounds.
    pub(super) fn parts(&self, now: Instant) -> u32 {
        let situation = Situation::new(&self.config, &self.members, false).with_ages(self.rumors.told_ages(now));
        if matches!(self.phase, Phase::Leaving(_)) { 1 } else { situation.parts(self.config.strategy.fanout()) }
    }

    /// A round, or one of its parts.
    pub(super) fn on_gossip_round(&mut self, now: Instant, parts: u32) {
        self.part += 1;
        if self.part >= parts {
            self.part = 0;
            self.sync.on_gossip_round();
            self.forwards = 0;
            if self.config.strategy.counts() {
                self.rumors.end_round(now, &Limits::new(self.members.live_count(), self.config.gossip_interval));
            }
            if let Phase::Leaving(rounds) = self.phase {
                self.on_leave_round(rounds);
                return;
            }
            self.retry_branches(now);
            self.call_acquaintances();
        }
        let situation =
            Situation::new(&self.config, &self.members, self.has_news()).with_ages(self.rumors.told_ages(now));
        let mut targets = Targets { rng: &mut self.rng, slots: &mut self.drawn };
        let answer = self.config.strategy.round(&situation, &mut targets);
        self.withhold_calls();
        for i in 0..self.drawn.len() {
            let to = self.members.entry(self.drawn[i]).addr();
            self.enqueue(Outgoing::Gossip { to, answer });
        }
    }

    /// Ends the rounds of a node for which they would do nothing, until [`beat`](Self::beat) begins them anew: an idle node is not to
    /// be woken several times a second.
    pub(super) fn rest(&mut self) {
        let calls = self.has_news() || self.config.strategy.calls_when_idle(&self.config);
        // Who is alone calls those it once knew; who suspects others, or waits for an answer, is to notice early when it is stalled itself.
        let watches = self.members.peers().is_empty()
            || !self.suspicions.is_empty()
            || self.watch.unread_since().is_some()
            || self.waits_long_for_probe();
        let waits = self.part > 0
            || self.forwards > 0
            || self.sync.grants()
            || self.branches.as_ref().is_some_and(|branches| branches.wait());
        if self.phase == Phase::Member && !calls && !watches && !waits {
            self.timers.clear(&self.deadlines, Timer::Gossip);
        }
    }

    /// Makes rounds, if it rested, at the times at which it would have made them without a rest.
    #[inline]
    pub(super) fn beat(&mut self, now: Instant) {
        if !self.timers.is_set(Timer::Gossip) && self.phase != Phase::Left {
            self.resume_rounds(now);
        }
    }

    #[cold]
    fn resume_rounds(&mut self, now: Instant) {
        let interval = self.config.gossip_interval / self.parts(now);
        let next = next_beat(now, self.deadlines.last(Timer::Gossip), interval);
        self.timers.set(&mut self.deadlines, Timer::Gossip, next);
        self.align(now);
    }

    /// Tells the events on that were just learnt, if the strategy wants it, but not to `teller`. What a call tells is the
    /// backlog's business.
    pub(super) fn forward(&mut self, now: Instant, teller: Option<A>) {
        let except = teller.and_then(|teller| self.members.find(&teller));
        let situation = Situation::new(&self.config, &self.members, true);
        self.drawn.clear();
        let mut targets = Targets { rng: &mut self.rng, slots: &mut self.drawn };
        for rumor in self.fresh.drain(..).filter_map(|slot| self.rumors.told(now, slot)) {
            self.config.strategy.forward(&situation, &rumor, except, &mut targets);
        }
        let allowed = usize::from(self.config.forwards_max.saturating_sub(self.forwards));
        if self.drawn.len() > allowed {
            self.drawn.truncate(allowed);
            self.counters.add(1, |cold| &mut cold.events_not_forwarded);
        }
        self.withhold_calls();
        for i in 0..self.drawn.len() {
            let to = self.members.entry(self.drawn[i]).addr();
            self.forwards += 1;
            self.counters.events_forwarded += 1;
            self.enqueue(Outgoing::Gossip { to, answer: false });
        }
    }

    /// While the limit on datagrams holds others back, calls are not made: what they would tell goes with the next.
    fn withhold_calls(&mut self) {
        if self.config.datagrams_per_second_max > 0 && self.outgoing.len() > 0 {
            self.counters.add(self.drawn.len() as u64, |cold| &mut cold.calls_withheld);
            self.drawn.clear();
        }
    }

    pub(super) fn has_news(&self) -> bool {
        !self.updates.is_empty() || self.rumors.has_news()
    }

    /// Asks the seeds to let this node in.
    pub(super) fn call_seeds(&mut self) {
        for i in 0..self.seeds.len() {
            self.enqueue(Outgoing::Join { to: self.seeds[i] });
        }
    }

    pub(super) fn begin_leave(&mut self) {
        let incarnation = self.members.incarnation();
        self.members.set(SELF, Claim { incarnation, state: MemberState::Left }, None);
        self.updates.insert(SELF);
        self.probe = None;
        self.phase = Phase::Leaving(LEAVE_ROUNDS);
        self.on_leave_round(LEAVE_ROUNDS);
    }

    fn on_leave_round(&mut self, rounds: u8) {
        if rounds == 0 || self.members.peers().is_empty() {
            self.phase = Phase::Left;
            self.timers.clear_all();
            self.deliver_overdue(Instant::from_nanos(u64::MAX));
            self.serve_queries(Instant::from_nanos(u64::MAX));
            self.events.push_back(Event::Left);
            return;
        }
        self.phase = Phase::Leaving(rounds - 1);
        let situation = Situation::new(&self.config, &self.members, true);
        let count = situation.calls(self.config.strategy.fanout()).clamp(LEAVE_FANOUT, LEAVE_FANOUT_MAX);
        self.members.random_peers(count as usize, None, &mut self.rng, &mut self.drawn);
        for i in 0..self.drawn.len() {
            let to = self.members.entry(self.drawn[i]).addr();
            self.enqueue(Outgoing::Leave { to });
        }
    }

    /// A node that left joins again.
    pub(super) fn come_back(&mut self, now: Instant) {
        let incarnation = next_incarnation(self.members.incarnation());
        self.members.set(SELF, Claim { incarnation, state: MemberState::Alive }, None);
        self.updates.insert(SELF);
        self.phase = Phase::Alone;
        // The suspects of its former membership could not refute while it did not listen.
        self.extend_suspicions(now, now.since(self.heard));
        self.heard = now;
        self.arm(now);
    }

    /// What a datagram tells of its sender.
    pub(super) fn sender(&self) -> Sender {
        Sender { incarnation: self.members.incarnation(), digest: self.digest() }
    }

    /// Delivers the ordered events that waited for others until now.
    pub(super) fn deliver_overdue(&mut self, now: Instant) {
        let Self { rumors, events, counters, .. } = self;
        rumors.deliver_overdue(now, |delivery, order| hand_over(events, counters, delivery, order));
    }

    pub(super) fn count_evicted(&mut self, evicted: Evicted) {
        self.counters.add(evicted.events, |cold| &mut cold.events_evicted);
        self.counters.add(evicted.seen, |cold| &mut cold.seen_evicted);
    }
}
