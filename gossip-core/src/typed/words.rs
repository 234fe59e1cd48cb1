//! Events and outcomes in words that hold every field: what a recording keeps of what a node told, to be compared with what it
//! tells when it is replayed, and read by people.

use alloc::format;
use alloc::string::String;
use core::fmt;

use crate::address::Address;
use crate::io::{Event, InputError, Outcome};
use crate::rumors::EventId;

/// Bytes by their length and CRC-32.
struct Bytes<'a>(&'a [u8]);

impl fmt::Display for Bytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes ({:08x})", self.0.len(), crc32fast::hash(self.0))
    }
}

struct Id<'a, A>(&'a EventId<A>);

impl<A: Address> fmt::Display for Id<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}#{}", self.0.origin, self.0.sequence)
    }
}

/// An event of the node. A recording compares these words: a version that words an event otherwise shows a difference.
#[must_use]
pub fn event_in_words<A: Address>(event: &Event<A>) -> String {
    match event {
        Event::UserEvent { id, payload, hops, from, via, order } => {
            let (id, payload) = (Id(id), Bytes(payload));
            format!("event {id}, {payload}, {hops} hops, from {from:?}, {via:?}, {order:?}")
        }
        Event::Query { id, payload, hops, from, via, respond_within } => {
            let (id, payload) = (Id(id), Bytes(payload));
            format!("query {id}, {payload}, {hops} hops, from {from:?}, {via:?}, answer within {respond_within:?}")
        }
        Event::QueryAnswer { id, from, payload } => {
            format!("answer to query {} from {from:?}, {}", Id(id), Bytes(payload))
        }
        Event::QueryClosed { id, received, answered, members } => {
            format!("query {} closed: {received} received, {answered} answered of {members}", Id(id))
        }
        Event::Message { from, payload } => format!("message from {from:?}, {}", Bytes(payload)),
        // These hold no bytes: their debug form is short and whole.
        Event::MemberChanged { .. }
        | Event::SuspicionConfirmed { .. }
        | Event::ProbeFailed { .. }
        | Event::MetadataChanged { .. }
        | Event::NameConflict { .. }
        | Event::MemberForgotten { .. }
        | Event::Refuted { .. }
        | Event::Rtt { .. }
        | Event::Joined { .. }
        | Event::Left => format!("{event:?}"),
    }
}

/// What came of an input; `None` when it was simply taken in.
#[must_use]
pub fn result_in_words<A: Address>(result: &Result<Outcome<A>, InputError>) -> Option<String> {
    match result {
        Ok(Outcome::Done) => None,
        Ok(Outcome::Started(id)) => Some(format!("started {}", Id(id))),
        Err(error) => Some(format!("{error}")),
    }
}
