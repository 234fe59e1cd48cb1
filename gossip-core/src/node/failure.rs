//! Failure detection: probing, suspicion, declaring dead (SWIM §3, §4.2; Lifeguard).

use core::cmp::Reverse;
use core::time::Duration;

use super::transmit::Outgoing;
use super::{Node, Phase};
use crate::address::Address;
use crate::config::Config;
use crate::io::Event;
use crate::member::{Claim, MemberState, next_incarnation};
use crate::members::{Entry, SELF, Slot};
use crate::probe::{Patience, Probe, SEQUENCES};
use crate::time::Instant;
use crate::timer::Timer;

/// One protocol period in so many also calls a member that is held for dead, or a seed that is no member: after a
/// partition both sides have declared each other dead, and nobody else would ever call across.
const RECONNECT_ODDS: u32 = 8;

impl<A: Address> Node<A> {
    /// A protocol period begins.
    pub(super) fn on_probe_period(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Leaving(_)) {
            return;
        }
        if self.members.peers().is_empty() {
            self.call_seeds();
        } else {
            self.look_for_acquaintances();
        }
        self.maybe_reconnect();
        self.call_former(now);
        let Some(target) = self.members.next_probe(&mut self.rng) else { return };
        let addr = self.members.entry(target).addr();
        let (seq, patience) = (self.next_ping, self.patience(target));
        self.next_ping = (seq + 1) % SEQUENCES;
        self.probe = Some(Probe::new(target, addr, seq, now, patience));
        self.counters.probes += 1;
        self.timers.set(&mut self.deadlines, Timer::ProbeTimeout, now + patience.help);
        if self.config.probe_pings > 1 {
            self.timers.set(&mut self.deadlines, Timer::ProbeRetry, now + patience.first);
        }
        self.enqueue(Outgoing::Ping { to: addr, seq });
        self.watch_for_stalls(now);
    }

    /// Whether a probe is unanswered of which no Ping would wake this node as often as a round.
    pub(super) fn waits_long_for_probe(&self) -> bool {
        self.probe.as_ref().filter(|probe| !probe.acked).is_some_and(|probe| {
            let Patience { first, repeat, .. } = probe.patience;
            self.config.probe_pings == 1 || first.max(repeat) > self.config.gossip_interval
        })
    }

    /// Rounds go on while an answer is waited for, unless Pings do: who was stalled meanwhile is to see it by a timer that it served late.
    fn watch_for_stalls(&mut self, now: Instant) {
        if self.waits_long_for_probe() {
            self.beat(now);
        }
    }

    /// How long to wait for this member.
    fn patience(&self, target: Slot) -> Patience {
        let Config { probe_timeout, probe_timeout_min, probe_pings, .. } = *self.config;
        let overdue = if probe_timeout_min < probe_timeout {
            self.round_trips.overdue_after(target, probe_timeout_min / u32::from(probe_pings))
        } else {
            None
        };
        let overdue = overdue.map(|overdue| self.awareness.scale(overdue));
        Patience::new(self.awareness.scale(probe_timeout), probe_pings, overdue)
    }

    /// The probe has no answer yet: ping again.
    pub(super) fn on_probe_retry(&mut self, now: Instant) {
        let Some(probe) = self.probe.as_mut().filter(|probe| !probe.acked) else { return };
        let Some(seq) = probe.repeat(now) else { return };
        let to = probe.addr;
        self.next_ping = (seq + 1) % SEQUENCES;
        self.timers.set(&mut self.deadlines, Timer::ProbeRetry, now + probe.patience.repeat);
        self.counters.probes_retried += 1;
        self.enqueue(Outgoing::Ping { to, seq });
    }

    /// The direct answer did not come in time: ask others.
    pub(super) fn on_probe_timeout(&mut self, now: Instant, deadline: Instant) {
        let Some(probe) = self.probe.as_mut().filter(|probe| !probe.acked) else { return };
        let configured = Patience::new(self.awareness.scale(self.config.probe_timeout), self.config.probe_pings, None);
        let waited_for_a_quick_one = core::mem::replace(&mut probe.patience, configured).help < configured.help;
        // Served late: the answer may lie unread, as it would not with the time that was configured.
        if waited_for_a_quick_one && now.since(deadline) >= configured.repeat {
            self.timers.set(&mut self.deadlines, Timer::ProbeTimeout, (probe.sent() + configured.help).max(now));
            self.watch_for_stalls(now);
            return;
        }
        let (target, seq, addr) = (probe.target, probe.seq, probe.addr);
        self.counters.probes_indirect += 1;
        self.unanswered |= !self.suspicions.contains_key(&target);
        let count = usize::from(self.config.indirect_probes);
        self.members.random_peers(count, Some(target), &mut self.rng, &mut self.drawn);
        for i in 0..self.drawn.len() {
            if let Some(probe) = &mut self.probe {
                probe.ask(self.drawn[i]);
            }
            let to = self.members.entry(self.drawn[i]).addr();
            self.enqueue(Outgoing::PingReq { to, seq, target: addr });
        }
        self.watch_for_stalls(now);
    }

    pub(super) fn clear_probe_timers(&mut self) {
        self.timers.clear(&self.deadlines, Timer::ProbeTimeout);
        self.timers.clear(&self.deadlines, Timer::ProbeRetry);
    }

    /// A protocol period ends.
    pub(super) fn finish_probe(&mut self, now: Instant) {
        self.clear_probe_timers();
        let Some(probe) = self.probe.take().filter(|probe| !probe.acked) else { return };
        self.counters.probes_failed += 1;
        let (helpers, silent) = (probe.helpers(), probe.silent_helpers());
        self.awareness.on_probe_failure(helpers, silent, self.config.awareness_max);
        self.events.push_back(Event::ProbeFailed { addr: probe.addr, helpers, nacks: helpers - silent });
        // Unless the slot was given to another meanwhile.
        if self.members.get(probe.target).is_some_and(|entry| entry.addr() == probe.addr) {
            // Whatever was measured says nothing about when it will answer again.
            self.round_trips.forget(probe.target);
            self.suspect(now, probe.target);
        }
    }

    /// This node itself suspects a member.
    fn suspect(&mut self, now: Instant, slot: Slot) {
        let entry = self.members.entry(slot);
        let (state, incarnation, local) = (entry.state, entry.incarnation, self.local());
        match state {
            MemberState::Alive => {
                self.counters.suspicions += 1;
                let claim = Claim { incarnation, state: MemberState::Suspect };
                self.apply(now, slot, claim, None, None, local);
            }
            MemberState::Suspect => {
                self.confirm_suspicion(slot, local, None);
            }
            MemberState::Dead | MemberState::Left => {}
        }
    }

    /// `accuser` suspects a suspect as well. True when that is news.
    pub(super) fn confirm_suspicion(&mut self, slot: Slot, accuser: A, told_by: Option<A>) -> bool {
        let Some(suspicion) = self.suspicions.get_mut(&slot) else { return false };
        if !suspicion.confirm(accuser) {
            return false;
        }
        let (deadline, confirmations) = (suspicion.deadline(), suspicion.confirmations());
        let addr = self.members.entry(slot).addr();
        self.events.push_back(Event::SuspicionConfirmed { addr, accuser, confirmations, told_by });
        self.watch_suspicion(deadline, slot);
        self.updates.insert(slot);
        true
    }

    pub(super) fn watch_suspicion(&mut self, deadline: Instant, slot: Slot) {
        self.watch.suspicion_deadlines.push(Reverse((deadline, slot)));
        // Refuted and repeated suspicions leave outdated entries behind; anew from those that hold, for a constant cost each.
        if self.watch.suspicion_deadlines.len() > 2 * self.suspicions.len() + 16 {
            let deadlines = self.suspicions.iter().map(|(&slot, suspicion)| Reverse((suspicion.deadline(), slot)));
            self.watch.suspicion_deadlines.clear();
            self.watch.suspicion_deadlines.extend(deadlines);
        }
    }

    pub(super) fn expire_suspicions(&mut self, now: Instant) {
        // Each entry once: at the end of all time one that is put back is due at once.
        for _ in 0..self.watch.suspicion_deadlines.len() {
            let Some(&Reverse((_, slot))) = self.watch.suspicion_deadlines.peek().filter(|Reverse((at, _))| *at <= now)
            else {
                return;
            };
            self.watch.suspicion_deadlines.pop();
            let Some(suspicion) = self.suspicions.get_mut(&slot) else { continue };
            if suspicion.deadline() > now {
                // Extended meanwhile. An entry for an earlier deadline stands elsewhere in the heap or was served.
                self.watch.suspicion_deadlines.push(Reverse((suspicion.deadline(), slot)));
                continue;
            }
            if self.is_deaf(now) {
                self.counters.add(1, |cold| &mut cold.suspicions_extended);
                if let Some(suspicion) = self.suspicions.get_mut(&slot) {
                    // From now on, however late it is: or each period that was missed would be served one by one.
                    suspicion.postpone(now + self.config.probe_interval);
                    self.watch.suspicion_deadlines.push(Reverse((suspicion.deadline(), slot)));
                }
                continue;
            }
            self.counters.suspicions_confirmed += 1;
            let incarnation = self.members.entry(slot).incarnation;
            let local = self.local();
            self.apply(now, slot, Claim { incarnation, state: MemberState::Dead }, None, None, local);
        }
    }

    /// Whether this node hears nobody, not even a member that it asked and does not suspect: then the fault is likely its own,
    /// and a suspect could not refute. That only suspects are silent is no sign of it: where most members crashed, the
    /// others hear little for a while. (Not in the papers.)
    fn is_deaf(&self, now: Instant) -> bool {
        self.config.self_doubt
            && self.unanswered
            && now.since(self.heard) > self.config.probe_interval.saturating_mul(2)
            && self.members.peers().len() > self.suspicions.len()
    }

    /// Whoever hears again after a silence may have been the one who was cut off: what it told of its suspicions was told to
    /// nobody, and the suspects could not answer. The time does not count, and the suspicions are told anew.
    pub(super) fn notice_silence(&mut self, now: Instant) {
        let unanswered = core::mem::take(&mut self.unanswered);
        let silence = now.since(core::mem::replace(&mut self.heard, now));
        if !self.config.self_doubt || !unanswered || silence <= self.config.probe_interval.saturating_mul(2) {
            return;
        }
        self.extend_suspicions(now, silence);
        self.suspicions.keys().for_each(|&slot| self.updates.insert(slot));
    }

    pub(super) fn extend_suspicions(&mut self, now: Instant, span: Duration) {
        self.suspicions.values_mut().for_each(|suspicion| suspicion.extend(now, span));
    }

    /// A driver that serves a timer far too late was stalled (starved, suspended, swapped out). Answers may have come in
    /// time and lie unread: nobody is to be blamed for that time. (Not in the papers.)
    pub(super) fn notice_stall(&mut self, now: Instant) {
        let late = self.timers.next().map_or(Duration::ZERO, |deadline| now.since(deadline));
        if !self.config.self_doubt || late <= self.config.probe_timeout {
            return;
        }
        self.counters.add(1, |cold| &mut cold.stalls);
        self.awareness.on_stall(self.config.awareness_max);
        self.probe = None;
        self.clear_probe_timers();
        if let Some(watch) = self.watch.get_mut() {
            watch.relays.clear();
        }
        self.extend_suspicions(now, late);
    }

    /// A driver that comes back after a long time brings what was sent meanwhile, before or after it serves the timers. How old
    /// that is nobody knows: from when the timers were due until one is served in time, all of it may be.
    pub(super) fn notice_lateness(&mut self, now: Instant, timeout: bool) {
        let Some(deadline) = self.timers.next().filter(|deadline| *deadline <= now) else { return };
        if now.since(deadline) > self.config.probe_timeout {
            self.watch.lies_unread_since(deadline, now);
            self.beat(now);
        } else if let Some(watch) = self.watch.get_mut().filter(|_| timeout) {
            watch.is_read(now);
        }
    }

    pub(super) fn on_ack(&mut self, now: Instant, from: A, seq: u32) {
        let watched = self.waits_long_for_probe();
        let Self { probe, members, .. } = self;
        let believed = |probe: &&mut Probe<A>| {
            probe.expects(seq) && (probe.addr == from || members.find(&from).is_some_and(|helper| probe.asked(helper)))
        };
        if let Some(probe) = probe.as_mut().filter(believed) {
            if !core::mem::replace(&mut probe.acked, true) {
                self.awareness.on_probe_success();
            }
            if probe.addr == from
                && let Some(rtt) = probe.measure(seq, now)
            {
                let target = probe.target;
                self.on_round_trip(target, from, rtt);
            }
            // Nothing is waited for any more.
            self.clear_probe_timers();
            if watched {
                self.rest();
            }
            return;
        }
        self.on_relayed_ack(from, seq);
    }

    fn on_round_trip(&mut self, slot: Slot, addr: A, rtt: Duration) {
        self.former.on_answer(addr);
        // The slot may have been given to another while the answer was on its way.
        let same = self.members.get(slot).is_some_and(|entry| entry.addr() == addr);
        if same && self.config.probe_timeout_min < self.config.probe_timeout {
            self.round_trips.sample(slot, rtt, self.members.len());
        }
        if let Some(coordinates) = &mut self.coordinates {
            coordinates.on_round_trip(&addr, rtt, &mut self.rng);
        }
        self.events.push_back(Event::Rtt { addr, rtt });
    }

    pub(super) fn on_nack(&mut self, from: A, seq: u32) {
        let Some(helper) = self.members.find(&from) else { return };
        if let Some(probe) = self.probe.as_mut().filter(|probe| probe.seq == seq) {
            probe.on_nack(helper);
        }
    }

    /// This node is said to be something else than alive: raise its incarnation above the claim. Or it is said to be alive in a
    /// higher incarnation: then that is its own.
    pub(super) fn refute(&mut self, claim: Claim, told_by: A) {
        let known = self.members.entry(SELF).claim();
        let incarnation = next_incarnation(claim.incarnation);
        if matches!(self.phase, Phase::Leaving(_) | Phase::Left)
            || !claim.supersedes(known)
            || incarnation == known.incarnation
        {
            return;
        }
        if claim.state == MemberState::Alive {
            // A former life of this node, or another node with its address. It is alive, so there is nothing to refute; to go
            // above the claim would make two nodes with one address outdo each other for ever.
            self.counters.add(1, |cold| &mut cold.incarnations_adopted);
            self.members.set(SELF, claim, None);
            return;
        }
        if claim.incarnation == known.incarnation {
            self.awareness.on_refute(self.config.awareness_max);
        }
        self.counters.add(1, |cold| &mut cold.refutations);
        self.members.set(SELF, Claim { incarnation, state: MemberState::Alive }, None);
        self.updates.insert(SELF);
        self.events.push_back(Event::Refuted { claim, told_by, incarnation });
    }

    fn maybe_reconnect(&mut self) {
        if (self.watch.tombstones.is_empty() && self.seeds.is_empty()) || self.rng.below(RECONNECT_ODDS) != 0 {
            return;
        }
        let count = (self.watch.tombstones.len() + self.seeds.len()) as u32;
        let pick = self.rng.below(count) as usize;
        let lost = match self.watch.tombstones.get(pick) {
            Some(&(_, slot, incarnation)) => self
                .members
                .get(slot)
                .filter(|entry| entry.state == MemberState::Dead && entry.incarnation == incarnation)
                .map(Entry::addr),
            None => {
                Some(self.seeds[pick - self.watch.tombstones.len()]).filter(|seed| self.members.find(seed).is_none())
            }
        };
        if let Some(to) = lost {
            self.enqueue(Outgoing::Gossip { to, answer: true });
        }
    }
}
