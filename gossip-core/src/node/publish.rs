//! What an application gives to the others: events and messages.

use core::time::Duration;

use super::transmit::Outgoing;
use super::{Node, stored};
use crate::address::Address;
use crate::config::event_payload_max;
use crate::io::CommandError;
use crate::members::SELF;
use crate::options::{EventOptions, Priority};
use crate::rumors::EventId;
use crate::rumors::strategies::Branch;
use crate::time::Instant;
use crate::wire::Terms;

impl<A: Address> Node<A> {
    pub(super) fn start_event(
        &mut self,
        now: Instant,
        payload: &[u8],
        options: &EventOptions,
    ) -> Result<EventId<A>, CommandError> {
        options.lifetime.map_or(Ok(()), |lifetime| self.check_lifetime(lifetime))?;
        self.check_room(payload, options.priority)?;
        let id = self.next_event_id();
        let terms = self.rumors.terms(now, id.sequence, options, &self.config);
        self.counters.add(1, |cold| &mut cold.events_started);
        self.start_rumor(now, id, terms, payload);
        Ok(id)
    }

    pub(super) fn check_lifetime(&self, lifetime: Duration) -> Result<(), CommandError> {
        let max = self.config.event_lifetime;
        if lifetime < Duration::from_millis(1) || lifetime > max {
            return Err(CommandError::Lifetime { max });
        }
        Ok(())
    }

    /// Whether the payload fits into a datagram, and finds room among events of higher priority.
    pub(super) fn check_room(&self, payload: &[u8], priority: Priority) -> Result<(), CommandError> {
        self.check_payload(payload)?;
        if !self.rumors.has_room(payload.len(), priority, &self.config) {
            return Err(CommandError::NoRoom);
        }
        Ok(())
    }

    pub(super) fn start_rumor(&mut self, now: Instant, id: EventId<A>, terms: Terms, payload: &[u8]) {
        let (kept, evicted) = self.rumors.start(now, id, terms, payload, &self.config);
        self.count_evicted(evicted);
        self.fresh.extend(kept);
        self.forward(now, None);
        if kept.is_some() {
            self.serve_branch(now, id, Branch::ALL);
        }
    }

    /// Numbers that were heard under this node's name, from a former life or forged, are passed over: under them the event
    /// would be an old one. Each is passed over once, so what this costs is bounded by what was heard.
    pub(super) fn next_event_id(&mut self) -> EventId<A> {
        let origin = self.local();
        loop {
            let id = EventId { origin, sequence: self.next_sequence };
            self.next_sequence = self.next_sequence.wrapping_add(1);
            if !self.rumors.remembers(&id) {
                return id;
            }
        }
    }

    pub(super) fn send_message(&mut self, to: A, payload: &[u8]) -> Result<(), CommandError> {
        self.check_payload(payload)?;
        let to = stored(to);
        let live = self.members.find_entry(&to).is_some_and(|(slot, entry)| slot != SELF && entry.state.is_live());
        if !live {
            return Err(CommandError::NotAMember);
        }
        if self.outgoing.len() >= self.config.transmits_max {
            return Err(CommandError::Busy);
        }
        self.enqueue(Outgoing::App { to, payload: payload.into() });
        Ok(())
    }

    pub(super) fn check_payload(&self, payload: &[u8]) -> Result<(), CommandError> {
        let max = event_payload_max::<A>(&self.config);
        if payload.len() > max { Err(CommandError::PayloadTooLong { len: payload.len(), max }) } else { Ok(()) }
    }
}
