//! Events on the wire.

use super::{Reader, Writer};
use crate::address::Address;
use crate::options::Priority;

/// An event, as it travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rumor<'a, A> {
    /// Who started it.
    pub origin: A,
    /// Its number among the events of the origin.
    pub sequence: u64,
    /// How long ago it was started, milliseconds, as far as the nodes on the way could tell.
    pub age_ms: u32,
    /// Hops from the origin to the receiver of this datagram.
    pub hops: u8,
    /// What its origin asked for it.
    pub terms: Terms,
    /// How far its teller has come with it, under [`Strategy::MedianCounter`](crate::Strategy::MedianCounter): 0 where it was learnt in
    /// this very round, m in state B-m, [`COUNTER_C`] from C on. Absent under other strategies, which pass over it.
    pub counter: Option<u8>,
    /// The application's bytes.
    pub payload: &'a [u8],
}

/// What the origin of an event asked for it. The default has the shortest form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Terms {
    /// Which of several events goes first.
    pub priority: Priority,
    /// For how long it is told from its start on, milliseconds, not 0. Absent: for as long as the receiver keeps any event.
    pub lifetime_ms: Option<u32>,
    /// What it is.
    pub kind: RumorKind,
}

/// What an event is, beside its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RumorKind {
    /// Delivered as it comes.
    #[default]
    Event,
    /// Delivered in the order of its origin.
    Ordered {
        /// How much less than this one's sequence that of the last ordered event before it is; 0: there is none that was
        /// still alive when this one started. Not more than the sequence.
        distance: u64,
    },
    /// Its origin waits for answers, for as long as it lives.
    Query {
        /// And wants to be told by whoever it reaches.
        receipts: bool,
    },
}

/// The counter of a teller in state C of the median counter, or beyond: more than that of any B.
pub const COUNTER_C: u8 = u8::MAX;

/// The high bits of the tag of a rumor. The others, from the lowest: two of the priority, whether a query wants receipts, whether
/// there is a lifetime, whether it is ordered, whether it is a query. Only queries want receipts and no query is ordered: in an event
/// the bit for receipts, and in a query that for order, says that there is a counter.
pub(super) const TAG_RUMOR: u8 = 0b1000_0000;
const HAS_LIFETIME: u8 = 0b1000;
const RECEIPTS: u8 = 0b100;
const ORDERED: u8 = 0b1_0000;
const QUERY: u8 = 0b10_0000;

/// The longest payload that a datagram can hold; what is longer cannot have come in one.
const PAYLOAD_MAX: usize = 65_535;

impl<'a, A: Address> Rumor<'a, A> {
    /// Reads what follows the tag.
    pub(super) fn read(tag: u8, reader: &mut Reader<'a>) -> Option<Self> {
        let (origin, sequence) = (reader.address()?, reader.varint()?);
        let age_ms = reader.varint32()?;
        let hops = u8::try_from(reader.varint()?).ok()?;
        let lifetime_ms =
            if tag & HAS_LIFETIME == 0 { None } else { Some(reader.varint32().filter(|&lifetime| lifetime > 0)?) };
        let (kind, counted) = if tag & QUERY != 0 {
            (RumorKind::Query { receipts: tag & RECEIPTS != 0 }, tag & ORDERED != 0)
        } else if tag & ORDERED != 0 {
            let distance = reader.varint().filter(|&distance| distance <= sequence)?;
            (RumorKind::Ordered { distance }, tag & RECEIPTS != 0)
        } else {
            (RumorKind::Event, tag & RECEIPTS != 0)
        };
        let counter = if counted { Some(reader.u8()?) } else { None };
        let terms = Terms { priority: Priority::from_bits(tag), lifetime_ms, kind };
        Some(Self { origin, sequence, age_ms, hops, terms, counter, payload: reader.string(PAYLOAD_MAX)? })
    }

    /// Writes it with its tag. `None` when it does not fit.
    pub(super) fn write(&self, writer: &mut Writer<'_>) -> Option<()> {
        let Terms { priority, lifetime_ms, kind } = self.terms;
        let kind_bits = match kind {
            RumorKind::Event => 0,
            RumorKind::Ordered { .. } => ORDERED,
            RumorKind::Query { receipts: false } => QUERY,
            RumorKind::Query { receipts: true } => QUERY | RECEIPTS,
        };
        let counter_bit = match (self.counter, kind) {
            (None, _) => 0,
            (Some(_), RumorKind::Query { .. }) => ORDERED,
            (Some(_), RumorKind::Event | RumorKind::Ordered { .. }) => RECEIPTS,
        };
        let lifetime_bit = if lifetime_ms.is_some() { HAS_LIFETIME } else { 0 };
        writer.u8(TAG_RUMOR | priority.bits() | kind_bits | counter_bit | lifetime_bit)?;
        writer.address(&self.origin)?;
        writer.varint(self.sequence)?;
        writer.varint(u64::from(self.age_ms))?;
        writer.varint(u64::from(self.hops))?;
        if let Some(lifetime) = lifetime_ms {
            writer.varint(u64::from(lifetime))?;
        }
        if let RumorKind::Ordered { distance } = kind {
            writer.varint(distance)?;
        }
        if let Some(counter) = self.counter {
            writer.u8(counter)?;
        }
        writer.string(self.payload)
    }
}
