//! Probing for others (SWIM §3.1): the Ping that a `PingReq` asks for, the Nack (Lifeguard, LHA-Probe), and the second opinion.
//!
//! A helper does what the asker does: it pings again and again for a protocol period. If the target does not answer, that is as
//! good a reason to suspect it as a failed probe of its own, so the helper confirms the suspicion as soon as it hears of
//! it. In a dead member's case the asker's helpers so bring the confirmations for which LHA-Suspicion would otherwise wait
//! a protocol period each. A wrong suspicion because of the asker's own trouble they do not confirm: they have reached the
//! target. (Not in the papers.)

use super::Node;
use super::transmit::Outgoing;
use crate::address::Address;
use crate::member::MemberState;
use crate::members::Slot;
use crate::probe::{RELAYS_MAX, Relay, retry_after};
use crate::time::Instant;

impl<A: Address> Node<A> {
    /// Somebody asks this node to probe for it.
    pub(super) fn on_ping_req(&mut self, now: Instant, asker: A, asker_seq: u32, target: A) {
        if target == self.local() {
            self.enqueue(Outgoing::Ack { to: asker, seq: asker_seq });
            return;
        }
        // Only members are probed: a request must not make this node send to anybody in the world.
        if self.watch.relays.len() >= RELAYS_MAX || self.members.find(&target).is_none() {
            self.counters.add(1, |cold| &mut cold.relays_refused);
            return;
        }
        let seq = self.next_relay();
        self.watch.relays.push(Relay::new(now, seq, target, asker, asker_seq, &self.config));
        self.enqueue(Outgoing::Ping { to: target, seq });
    }

    pub(super) fn on_relayed_ack(&mut self, from: A, seq: u32) {
        if let Some(i) = self.watch.relays.iter().position(|relay| relay.seq == seq && relay.target == from) {
            let relay = self.watch.relays.swap_remove(i);
            self.enqueue(Outgoing::Ack { to: relay.asker, seq: relay.asker_seq });
        }
    }

    pub(super) fn serve_relays(&mut self, now: Instant) {
        for i in 0..self.watch.relays.len() {
            let Relay { seq, target, asker, asker_seq, retry, nack, verdict, .. } = self.watch.relays[i];
            if nack.is_some_and(|due| due <= now) {
                self.watch.relays[i].nack = None;
                self.enqueue(Outgoing::Nack { to: asker, seq: asker_seq });
            }
            if verdict.is_some_and(|due| due <= now) {
                self.watch.relays[i].verdict = None;
                self.watch.relays[i].retry = None;
                if let Some(slot) = self.members.find(&target) {
                    self.second(slot);
                }
            } else if retry.is_some_and(|due| due <= now) {
                self.watch.relays[i].retry = Some(now + retry_after(&self.config));
                self.enqueue(Outgoing::Ping { to: target, seq });
            }
        }
        if let Some(watch) = self.watch.get_mut() {
            watch.relays.retain(|relay| relay.expires > now);
        }
    }

    /// Confirms the suspicion of a member that this node has pinged in vain for somebody else. A node in doubtful health does
    /// not: its silence may be its own.
    pub(super) fn second(&mut self, slot: Slot) {
        let entry = self.members.entry(slot);
        let addr = entry.addr();
        if entry.state == MemberState::Suspect
            && self.awareness.score() == 0
            && self.watch.relays.iter().any(|relay| relay.target == addr && relay.failed(&self.config))
        {
            let local = self.local();
            self.counters.suspicions_seconded += u64::from(self.confirm_suspicion(slot, local, None));
        }
    }
}
