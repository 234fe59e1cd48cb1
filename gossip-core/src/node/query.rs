//! Queries and their answers: what the node does with them; see [`crate::queries`] for what it remembers of them.

use core::time::Duration;

use super::transmit::Outgoing;
use super::{Node, stored};
use crate::address::Address;
use crate::io::{CommandError, Event};
use crate::members::SELF;
use crate::options::QueryOptions;
use crate::queries::{Draw, Due, Noted};
use crate::rumors::{Delivery, EventId};
use crate::time::Instant;
use crate::wire::{Part, Response, RumorKind, Terms};

impl<A: Address> Node<A> {
    pub(super) fn start_query(
        &mut self,
        now: Instant,
        payload: &[u8],
        deadline: Duration,
        options: &QueryOptions,
    ) -> Result<EventId<A>, CommandError> {
        self.check_lifetime(deadline)?;
        if self.queries.as_ref().is_some_and(|queries| queries.open() >= self.config.queries_max) {
            return Err(CommandError::TooManyQueries { max: self.config.queries_max });
        }
        self.check_room(payload, options.priority)?;
        let id = self.next_event_id();
        let terms = Terms {
            priority: options.priority,
            lifetime_ms: Some(u32::try_from(deadline.as_millis()).unwrap_or(u32::MAX)),
            kind: RumorKind::Query { receipts: options.receipts },
        };
        self.counters.add(1, |cold| &mut cold.queries_started);
        self.queries.get_or_insert_default().start(id, now + deadline, self.members.live_count() - 1);
        self.start_rumor(now, id, terms, payload);
        Ok(id)
    }

    /// Somebody asks.
    pub(super) fn on_query(&mut self, now: Instant, delivery: Delivery<A>, receipts: bool, respond_within: Duration) {
        let Delivery { id, payload, hops, from, via } = delivery;
        if id.origin == self.local() {
            // Of a former life, or a lie: there is nobody to answer.
            self.counters.add(1, |cold| &mut cold.queries_dropped);
            return;
        }
        let mut draw = Draw::new(&mut self.rng, self.members.live_count(), &self.config);
        let deadline = now + respond_within;
        let queries = self.queries.get_or_insert_default();
        let dropped = queries.ask(now, id, deadline, receipts, &self.config, &mut draw);
        self.counters.add(dropped, |cold| &mut cold.queries_dropped);
        self.events.push_back(Event::Query { id, payload, hops, from, via, respond_within });
    }

    pub(super) fn respond(&mut self, now: Instant, id: EventId<A>, payload: &[u8]) -> Result<(), CommandError> {
        self.check_payload(payload)?;
        let id = EventId { origin: stored(id.origin), ..id };
        let mut draw = Draw::new(&mut self.rng, self.members.live_count(), &self.config);
        if !self.queries.as_mut().is_some_and(|queries| queries.respond(now, id, payload, &mut draw)) {
            return Err(CommandError::NoSuchQuery);
        }
        self.serve_queries(now);
        Ok(())
    }

    pub(super) fn on_response(&mut self, now: Instant, from: A, response: &Response<'_>, sender_is_live: bool) {
        let &Response { sequence, part } = response;
        let payload = match part {
            Part::Noted { answer } => {
                if let Some(queries) = &mut self.queries {
                    queries.noted(EventId { origin: from, sequence }, answer);
                }
                return;
            }
            Part::Received => None,
            Part::Answer(payload) => Some(payload),
        };
        let noted = match (self.members.find(&from).filter(|_| sender_is_live), &mut self.queries) {
            (Some(slot), Some(queries)) => queries.note(now, sequence, slot, payload.is_some()),
            _ => Noted::Unknown,
        };
        match noted {
            Noted::Fresh => {
                if let Some(payload) = payload {
                    self.counters.add(1, |cold| &mut cold.answers_received);
                    let id = EventId { origin: self.local(), sequence };
                    self.events.push_back(Event::QueryAnswer { id, from, payload: payload.into() });
                }
            }
            Noted::Duplicate => self.counters.add(1, |cold| &mut cold.answers_duplicate),
            Noted::Unknown => {
                self.counters.add(1, |cold| &mut cold.answers_refused);
                return;
            }
        }
        // Again for a duplicate: what said so before was lost.
        self.enqueue(Outgoing::Noted { to: from, sequence, answer: payload.is_some() });
    }

    /// Sends the responses that are due, and closes the queries whose time is over.
    pub(super) fn serve_queries(&mut self, now: Instant) {
        while let Some(queries) =
            self.queries.as_mut().filter(|queries| queries.next_wake().is_some_and(|wake| wake <= now))
        {
            let local = self.members.local();
            let mut draw = Draw::new(&mut self.rng, self.members.live_count(), &self.config);
            let Some(due) = queries.take_due(local, now, &mut draw) else { return };
            match due {
                Due::Closed { id, received, answered, members } => {
                    self.events.push_back(Event::QueryClosed { id, received, answered, members });
                }
                Due::Respond { id, answer, again } => {
                    // Only to a member: a query must not make this node send to anybody in the world.
                    let origin = self.members.find(&id.origin).filter(|&slot| slot != SELF);
                    if origin.is_some_and(|slot| self.members.entry(slot).state.is_live()) {
                        self.counters.add(u64::from(again), |cold| &mut cold.responses_repeated);
                        self.enqueue(Outgoing::Response { to: id.origin, sequence: id.sequence, answer });
                    }
                }
                Due::GivenUp => self.counters.add(1, |cold| &mut cold.responses_given_up),
                Due::Over => {}
            }
        }
        self.queries.take_if(|queries| queries.is_empty());
    }
}
