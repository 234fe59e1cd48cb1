//! What this node holds to be true of the members, and what follows from a change of it.

use super::Node;
use crate::address::Address;
use crate::backlog::LIMIT_MAX;
use crate::io::Event;
use crate::member::{Claim, MemberState, Metadata};
use crate::members::{Entry, Slot};
use crate::name::split_name;
use crate::suspicion::Suspicion;
use crate::time::Instant;

/// Decimal digits of the largest cluster in which whom a list for newcomers names is told no more than once.
const DIGITS_MAX: u8 = 7;

impl<A: Address> Node<A> {
    /// Records a claim as the truth about a member that is in the table, with all that follows from it.
    pub(super) fn apply(
        &mut self,
        now: Instant,
        slot: Slot,
        claim: Claim,
        metadata: Option<Metadata<'_>>,
        told_by: Option<A>,
        accuser: A,
    ) {
        let old = self.members.entry(slot).claim();
        let held = self.members.metadata(slot);
        let newer = metadata.filter(|told| *told > held);
        let changed = newer.is_some_and(|told| told.bytes != held.bytes);
        self.members.set(slot, claim, newer);
        self.after_change(now, slot, Some(old), told_by, accuser);
        if changed && old.state == claim.state {
            self.events.push_back(Event::MetadataChanged { addr: self.members.entry(slot).addr() });
        }
        if changed || !old.state.is_live() {
            self.check_name(slot);
        }
    }

    /// Adds a member, unless the table is full.
    pub(super) fn admit(
        &mut self,
        now: Instant,
        addr: A,
        claim: Claim,
        metadata: Option<Metadata<'_>>,
        told_by: Option<A>,
        accuser: A,
    ) -> Option<Slot> {
        if self.members.len() >= self.config.members_max {
            self.counters.add(1, |cold| &mut cold.members_refused);
            return None;
        }
        let slot = self.members.insert(addr, claim, metadata);
        self.round_trips.forget(slot);
        self.after_change(now, slot, None, told_by, accuser);
        self.check_name(slot);
        Some(slot)
    }

    fn after_change(&mut self, now: Instant, slot: Slot, old: Option<Claim>, told_by: Option<A>, accuser: A) {
        let entry = self.members.entry(slot);
        let (addr, claim) = (entry.addr(), entry.claim());
        self.counters.updates_applied += 1;
        let told = if self.listed && old.is_none() && claim.state == MemberState::Alive {
            // Those who let this node in know whom they listed: it is told once, after all else, should there be others.
            self.config.retransmit_multiplier.saturating_mul(DIGITS_MAX).min(LIMIT_MAX) - 1
        } else {
            0
        };
        self.updates.insert_told(slot, told);
        let suspicion = self.suspicions.remove(&slot);
        if claim.state == MemberState::Suspect {
            let suspicion = Suspicion::new(now, accuser, self.members.live_count(), &self.config);
            let deadline = suspicion.deadline();
            self.suspicions.insert(slot, suspicion);
            self.watch_suspicion(deadline, slot);
            self.second(slot);
        }
        if !claim.state.is_live() {
            self.bury(now, slot, claim.incarnation);
            if claim.state == MemberState::Dead {
                self.former.on_death(now, addr);
            }
            if self.probe.as_ref().is_some_and(|probe| probe.target == slot) {
                self.probe = None;
                self.clear_probe_timers();
            }
        }
        if old.map(|old| old.state) != Some(claim.state) {
            self.events.push_back(Event::MemberChanged {
                addr,
                state: claim.state,
                incarnation: claim.incarnation,
                told_by,
                accuser: match claim.state {
                    MemberState::Suspect => Some(accuser),
                    MemberState::Dead => suspicion.as_ref().map(Suspicion::first_accuser),
                    MemberState::Alive | MemberState::Left => None,
                },
                confirmations: match claim.state {
                    MemberState::Dead => suspicion.as_ref().map_or(0, Suspicion::confirmations),
                    MemberState::Alive | MemberState::Suspect | MemberState::Left => 0,
                },
            });
        }
    }

    /// Remembers when to forget who died or departed.
    fn bury(&mut self, now: Instant, slot: Slot, incarnation: u32) {
        self.watch.tombstones.push_back((now + self.config.tombstone_lifetime, slot, incarnation));
        // A member that dies again and again leaves outdated ones behind. At most half of them are, for a constant cost each.
        self.sweep_tombstones();
    }

    pub(super) fn sweep_tombstones(&mut self) {
        if self.watch.tombstones.len() > 2 * self.members.len() + 16 {
            let members = &self.members;
            self.watch.tombstones.retain(|&(_, slot, incarnation)| {
                members.get(slot).is_some_and(|entry| !entry.state.is_live() && entry.incarnation == incarnation)
            });
        }
    }

    pub(super) fn forget_tombstones(&mut self, now: Instant) {
        while self.watch.tombstones.front().is_some_and(|(forget, ..)| *forget <= now) {
            self.forget_tombstone();
        }
    }

    /// Forgets who died or departed first; false when there is nobody.
    pub(super) fn forget_tombstone(&mut self) -> bool {
        while let Some((_, slot, incarnation)) = self.watch.get_mut().and_then(|watch| watch.tombstones.pop_front()) {
            let gone =
                self.members.get(slot).filter(|entry| !entry.state.is_live() && entry.incarnation == incarnation);
            if let Some(addr) = gone.map(Entry::addr) {
                self.updates.remove(slot);
                self.members.remove(slot);
                self.events.push_back(Event::MemberForgotten { addr });
                return true;
            }
        }
        false
    }

    /// Tells of another live member that has the name of this one.
    pub(super) fn check_name(&mut self, slot: Slot) {
        let is_live = |slot| self.members.entry(slot).state.is_live();
        let Some((name, _)) = split_name(self.members.metadata(slot).bytes).filter(|_| is_live(slot)) else { return };
        if let Some(other) = self.members.named(name).find(|&other| other != slot && is_live(other)) {
            let [addr, other] = [slot, other].map(|slot| self.members.entry(slot).addr());
            self.events.push_back(Event::NameConflict { addr, other });
        }
    }
}
