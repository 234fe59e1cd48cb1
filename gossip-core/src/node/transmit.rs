//! What goes into a datagram, decided when the driver pulls it.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::LazyCell;

use super::Node;
use super::sync::DIGESTS_LEN_MAX;
use crate::address::Address;
use crate::backlog::{Offer, SKIPS_MAX};
use crate::io::Transmit;
use crate::member::{Claim, MemberState, Metadata};
use crate::members::{Members, Slot};
use crate::rumors::EventId;
use crate::rumors::strategies::{Branch, Situation};
use crate::suspicion::Suspicion;
use crate::sync;
use crate::time::Instant;
use crate::wire::{Encoder, Item, Message, Part, Response, SYMBOL_LEN, Update};
#[cfg(feature = "keyring")]
use crate::wire::{SEALED_HEADER_LEN, TAG_LEN};

/// A message that waits to be pulled. Only what cannot be looked up later is kept.
#[derive(Debug, Clone)]
pub(super) enum Outgoing<A> {
    Ping {
        to: A,
        seq: u32,
    },
    Ack {
        to: A,
        seq: u32,
    },
    PingReq {
        to: A,
        seq: u32,
        target: A,
    },
    Nack {
        to: A,
        seq: u32,
    },
    Gossip {
        to: A,
        answer: bool,
    },
    Answer {
        to: A,
    },
    /// An event for the head of a branch.
    Branch {
        to: A,
        id: EventId<A>,
        seq: u32,
        branch: Branch,
    },
    BranchAck {
        to: A,
        seq: u32,
    },
    Join {
        to: A,
    },
    Leave {
        to: A,
    },
    SyncOpen {
        to: A,
    },
    /// A list that may take several datagrams.
    Page {
        to: A,
        list: List,
        cursor: Cursor,
    },
    Sketch {
        to: A,
        row: Box<Row>,
    },
    More {
        to: A,
        bits: u8,
        buckets: u64,
        first: u32,
        datagrams: u8,
    },
    /// What the receiver lacks, and the identities of what this node lacks: as many datagrams as it takes.
    Exchange {
        to: A,
        news: Box<News>,
    },
    /// To the origin of a query: the answer, or that it was received.
    Response {
        to: A,
        sequence: u64,
        answer: Option<Arc<[u8]>>,
    },
    /// To who was asked: the answer, or the receipt, is noted.
    Noted {
        to: A,
        sequence: u64,
        answer: bool,
    },
    App {
        to: A,
        payload: Arc<[u8]>,
    },
}

/// Symbols of a sketch, in one datagram or several.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) bits: u8,
    pub(super) buckets: u64,
    /// The number of the next one.
    pub(super) first: u32,
    /// In each of so many datagrams.
    pub(super) symbols: u32,
    pub(super) datagrams: u8,
    /// The bytes of those that are still to go, once they are made.
    pub(super) made: Vec<u8>,
}

/// What is left to send of an exchange.
#[derive(Debug, Clone)]
pub(super) struct News {
    pub(super) wanted: Vec<u32>,
    pub(super) members: Vec<Slot>,
    pub(super) events: Vec<u32>,
}

/// What a list holds.
#[derive(Debug, Clone, Copy)]
pub(super) enum List {
    /// All members, for a newcomer.
    Members,
    /// What this node has in these buckets; see [`Message::SyncList`].
    Buckets { bits: u8, want: bool, buckets: u64 },
}

/// How far a list that takes several datagrams has come: the next slot of the members, then of the events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cursor {
    member: Slot,
    event: u32,
}

impl Cursor {
    pub(super) const START: Self = Self { member: 0, event: 0 };
    const MEMBERS_DONE: Slot = Slot::MAX;
}

/// Most identities in one datagram.
const WANTED_MAX: usize = 256;

/// Less than the shortest item: a datagram with less room is full.
const ITEM_MIN: usize = 4;

impl<A: Address> Node<A> {
    pub(super) fn encode_next(&mut self, now: Instant, buffer: &mut [u8]) -> Option<Transmit<A>> {
        let len = buffer.len().min(self.config.datagram_max);
        let rate = self.config.datagrams_per_second_max;
        while let Some(outgoing) = self.outgoing.pop(now, rate) {
            let to = outgoing.to();
            #[cfg(feature = "keyring")]
            if self.sealing.is_used_up() {
                self.counters.add(1, |cold| &mut cold.transmits_unsealed);
                continue;
            }
            let encoded = match outgoing {
                #[cfg(feature = "keyring")]
                _ if self.sealing.seals() => self.encode_sealed(now, &mut buffer[..len], &outgoing),
                _ => self.encode(now, &mut buffer[..len], &outgoing),
            };
            if let Some(len) = encoded {
                self.outgoing.pay(now, rate);
                return Some(Transmit { to, len });
            }
            self.counters.add(1, |cold| &mut cold.transmits_unencodable);
        }
        None
    }

    pub(super) fn encode(&mut self, now: Instant, buffer: &mut [u8], outgoing: &Outgoing<A>) -> Option<usize> {
        match *outgoing {
            Outgoing::Ping { to, seq } => self.encode_plain(now, buffer, to, &Message::Ping { seq }),
            Outgoing::Ack { to, seq } => self.encode_plain(now, buffer, to, &Message::Ack { seq }),
            Outgoing::Nack { to, seq } => self.encode_plain(now, buffer, to, &Message::Nack { seq }),
            Outgoing::PingReq { to, seq, target } => {
                self.encode_plain(now, buffer, to, &Message::PingReq { seq, target })
            }
            Outgoing::Gossip { to, answer } => self.encode_plain(now, buffer, to, &Message::Gossip { answer }),
            Outgoing::Answer { to } => self.encode_plain(now, buffer, to, &Message::Answer),
            Outgoing::Branch { to, id, seq, branch } => self.encode_branch(now, buffer, to, id, seq, branch),
            Outgoing::BranchAck { to, seq } => self.encode_plain(now, buffer, to, &Message::BranchAck { seq }),
            Outgoing::Join { to } => self.encode_plain(now, buffer, to, &Message::Join),
            Outgoing::Leave { to } => self.encode_plain(now, buffer, to, &Message::Leave),
            Outgoing::App { to, ref payload } => self.encode_plain(now, buffer, to, &Message::App { payload }),
            Outgoing::Response { to, sequence, ref answer } => {
                let part = answer.as_ref().map_or(Part::Received, |payload| Part::Answer(payload));
                self.encode_plain(now, buffer, to, &Message::Response(Response { sequence, part }))
            }
            Outgoing::Noted { to, sequence, answer } => {
                let part = Part::Noted { answer };
                self.encode_plain(now, buffer, to, &Message::Response(Response { sequence, part }))
            }
            Outgoing::SyncOpen { to } => {
                let bits = self.sync_bits();
                let mut digests = [0; DIGESTS_LEN_MAX];
                for (number, place) in digests.as_chunks_mut().0.iter_mut().take(1 << bits).enumerate() {
                    *place = self.bucket_digest(number, bits).to_be_bytes();
                }
                self.encode_plain(now, buffer, to, &Message::SyncOpen { bits, digests: &digests[..4 << bits] })
            }
            Outgoing::Sketch { to, ref row } => {
                let Row { bits, buckets, first, symbols, datagrams, .. } = **row;
                // All at once: each is made by a look at all that is known. What is learnt before the last one goes shows in its header.
                let made = if row.made.is_empty() {
                    &self.symbols(bits, buckets, first, symbols.saturating_mul(datagrams.into()))
                } else {
                    &row.made
                };
                // The buffer may be shorter than the configuration says, or that have changed since the sketch was asked for.
                let symbols = symbols.min(self.symbols_in(buffer.len() + self.seal_len()));
                let (now_sent, later) = made.split_at(made.len().min(symbols as usize * SYMBOL_LEN));
                if datagrams > 1 && !now_sent.is_empty() {
                    let first = first + (now_sent.len() / SYMBOL_LEN) as u32;
                    let (datagrams, made) = (datagrams - 1, later.to_vec());
                    let row = Box::new(Row { bits, buckets, first, symbols, datagrams, made });
                    self.outgoing.push_front(Outgoing::Sketch { to, row });
                }
                self.encode_plain(now, buffer, to, &Message::SyncSketch { bits, buckets, first, symbols: now_sent })
            }
            Outgoing::More { to, bits, buckets, first, datagrams } => {
                self.encode_plain(now, buffer, to, &Message::SyncMore { bits, buckets, first, datagrams })
            }
            Outgoing::Exchange { to, ref news } => self.encode_exchange(now, buffer, to, news),
            Outgoing::Page { to, list, cursor } => self.encode_page(now, buffer, to, list, cursor),
        }
    }

    /// Bytes that a seal takes of each datagram, if they are sealed.
    fn seal_len(&self) -> usize {
        #[cfg(feature = "keyring")]
        if self.sealing.seals() {
            return SEALED_HEADER_LEN + TAG_LEN;
        }
        0
    }

    /// Begins a datagram, or what is to be sealed of it.
    fn encoder<'b>(&self, buffer: &'b mut [u8], message: &Message<'_, A>) -> Option<Encoder<'b>> {
        #[cfg(feature = "keyring")]
        if self.sealing.seals() {
            return Encoder::body(buffer, self.sender(), message);
        }
        Encoder::new(buffer, self.config.cluster, self.sender(), message)
    }

    /// A message with as much gossip on its back as fits.
    fn encode_plain(&mut self, now: Instant, buffer: &mut [u8], to: A, message: &Message<'_, A>) -> Option<usize> {
        let mut encoder = self.encoder(buffer, message)?;
        self.push_about_receiver(&mut encoder, to);
        if matches!(message, Message::Ping { .. } | Message::Ack { .. }) {
            self.push_coordinate(&mut encoder);
        }
        if !matches!(message, Message::Join) {
            self.push_news(now, &mut encoder, self.config.strategy.carries(message), None);
        }
        if matches!(message, Message::Answer) && self.config.strategy.repeats() {
            // The caller lacks something, nobody knows what: likely one of the youngest. Anti-entropy finds the others.
            let mut skips = 0;
            for rumor in self.rumors.recent(now, now - self.config.sync_interval) {
                if encoder.room() < ITEM_MIN || skips > SKIPS_MAX {
                    break;
                }
                skips += u8::from(!encoder.push(&Item::Rumor(rumor)));
            }
        }
        Some(encoder.finish())
    }

    /// Where this node is, for the round trip that is being measured. Apart, since what it looks at lies apart.
    #[inline(never)]
    fn push_coordinate(&self, encoder: &mut Encoder<'_>) {
        if let Some(coordinates) = &self.coordinates {
            encoder.push(&Item::<A>::Coordinate(coordinates.own()));
        }
    }

    /// An event with the range of members that its head is to tell. Nothing when it was forgotten meanwhile.
    fn encode_branch(
        &mut self,
        now: Instant,
        buffer: &mut [u8],
        to: A,
        id: EventId<A>,
        seq: u32,
        branch: Branch,
    ) -> Option<usize> {
        let mut encoder = self.encoder(buffer, &Message::Branch { seq, start: branch.start, end: branch.end })?;
        if !encoder.push(&Item::Rumor(self.rumors.find(now, &id)?)) {
            return None;
        }
        self.push_about_receiver(&mut encoder, to);
        self.push_news(now, &mut encoder, true, Some(id));
        Some(encoder.finish())
    }

    /// The first to learn that a member is suspected or declared dead is that member (Lifeguard's Buddy System), on
    /// whatever is sent to it.
    fn push_about_receiver(&self, encoder: &mut Encoder<'_>, to: A) {
        // As nearly always: a search is saved.
        if self.members.all_alive() {
            return;
        }
        let Some(slot) = self.members.find(&to) else { return };
        let state = self.members.entry(slot).state;
        // A suspect learns it by chance without the Buddy System; the dead and the departed do in any case, to come back.
        if state != MemberState::Alive && (self.config.buddy_system || state != MemberState::Suspect) {
            encoder.push(&Item::Update(told(&self.members, slot, self.suspicions.get(&slot))));
        }
    }

    /// What is to be told, as much as fits. In a crowd newcomers are told λ times in place of λ·⌈log10(N + 1)⌉: the others know of
    /// most of them by then, and the digest finds out who does not. Accusations, and what refutes them, are told as often as ever.
    ///
    /// Rumors first, so that events are quick; they get at most half of the room while updates wait, so that a flood of
    /// events does not stop failure detection. One of them may be `there` already.
    fn push_news(&mut self, now: Instant, encoder: &mut Encoder<'_>, with_rumors: bool, there: Option<EventId<A>>) {
        let crowded = self.is_crowded();
        let Self { config, updates, rumors, members, suspicions, .. } = self;
        // Only if there is anything to tell.
        let situation = LazyCell::new(|| Situation::new(config, members, true));
        if with_rumors {
            let reserved = if updates.is_empty() { 0 } else { encoder.room() / 2 };
            rumors.offer(now, |rumor, told| {
                if encoder.room() < reserved + ITEM_MIN {
                    return Offer::Full;
                }
                if there.is_some_and(|there| (there.origin, there.sequence) == (rumor.origin, rumor.sequence)) {
                    return Offer::Skip;
                }
                let last = !config.strategy.tells_again(&situation, &rumor, told);
                if encoder.push(&Item::Rumor(rumor)) { Offer::Sent { last } } else { Offer::Skip }
            });
        }
        updates.offer(|slot, times| {
            if encoder.room() < ITEM_MIN {
                return Offer::Full;
            }
            let mut suspicion = suspicions.get_mut(&slot);
            if !encoder.push(&Item::Update(told(members, slot, suspicion.as_deref()))) {
                return Offer::Skip;
            }
            if let Some(suspicion) = &mut suspicion {
                suspicion.on_told();
            }
            let newcomer = Claim { incarnation: 0, state: MemberState::Alive };
            // What changed since is no newcomer's, neither its incarnation nor its metadata.
            let few = crowded && members.entry(slot).claim() == newcomer && members.metadata(slot).version <= 1;
            let most = if few { config.retransmit_multiplier } else { u8::MAX };
            Offer::Sent { last: times >= situation.transmissions.min(most) }
        });
    }

    /// One datagram of a list; the rest goes back to the front of the queue.
    fn encode_page(&mut self, now: Instant, buffer: &mut [u8], to: A, list: List, mut cursor: Cursor) -> Option<usize> {
        let (message, bits, members, events, rest) = match list {
            List::Members => (Message::<A>::Members, 0, u64::MAX, 0, list),
            List::Buckets { bits, want, buckets } => {
                let rest = List::Buckets { bits, want: false, buckets };
                (Message::SyncList { bits, want, buckets }, bits, buckets, buckets, rest)
            }
        };
        let mut encoder = self.encoder(buffer, &message)?;
        self.push_about_receiver(&mut encoder, to);
        let before = encoder.room();
        let more = self.push_page(now, &mut encoder, bits, members, events, &mut cursor);
        // A buffer that holds not even one item must not be tried for ever.
        if more && encoder.room() < before {
            self.outgoing.push_front(Outgoing::Page { to, list: rest, cursor });
        }
        Some(encoder.finish())
    }

    /// One datagram of an exchange; the rest goes back to the front of the queue.
    fn encode_exchange(&mut self, now: Instant, buffer: &mut [u8], to: A, news: &News) -> Option<usize> {
        let News { wanted, members, events } = news;
        let mut bytes = [0; WANTED_MAX * 4];
        let (now_wanted, later_wanted) = wanted.split_at(wanted.len().min(buffer.len() / 8).min(WANTED_MAX));
        for (place, identity) in bytes.as_chunks_mut().0.iter_mut().zip(now_wanted) {
            *place = identity.to_be_bytes();
        }
        let message: Message<'_, A> = Message::SyncWant { identities: &bytes[..4 * now_wanted.len()] };
        let mut encoder = self.encoder(buffer, &message)?;
        self.push_about_receiver(&mut encoder, to);
        let before = encoder.room();
        // What does not even fit into a datagram of its own is passed over: it must not be in the way of the others.
        let empty = if now_wanted.is_empty() { before } else { usize::MAX };
        let mut member = |&slot: &Slot| {
            // So is what was forgotten meanwhile.
            self.members.get(slot).is_none()
                || encoder.push(&Item::Update(told(&self.members, slot, self.suspicions.get(&slot))))
                || encoder.room() >= empty
        };
        let sent = members.iter().take_while(|slot| member(slot)).count();
        let members = &members[sent..];
        let mut event = |&slot: &u32| {
            let told = self.rumors.told(now, slot);
            told.is_none_or(|rumor| encoder.push(&Item::Rumor(rumor)) || encoder.room() >= empty)
        };
        let sent = if members.is_empty() { events.iter().take_while(|slot| event(slot)).count() } else { 0 };
        let events = &events[sent..];
        let rest = !(later_wanted.is_empty() && members.is_empty() && events.is_empty());
        // A buffer that holds not even one item must not be tried for ever.
        if rest && (encoder.room() < before || !now_wanted.is_empty()) {
            let rest = News { wanted: later_wanted.to_vec(), members: members.to_vec(), events: events.to_vec() };
            self.outgoing.push_front(Outgoing::Exchange { to, news: Box::new(rest) });
        }
        Some(encoder.finish())
    }

    /// True when something did not fit.
    fn push_page(
        &self,
        now: Instant,
        encoder: &mut Encoder<'_>,
        bits: u8,
        member_mask: u64,
        event_mask: u64,
        cursor: &mut Cursor,
    ) -> bool {
        if cursor.member != Cursor::MEMBERS_DONE {
            for slot in self.members.slots_from(cursor.member) {
                let identity = sync::member_identity(&self.members.entry(slot).addr());
                if member_mask >> sync::bucket(identity, bits) & 1 == 0 {
                    continue;
                }
                let mut update = told(&self.members, slot, self.suspicions.get(&slot));
                if update.claim.state.is_live() {
                    update.metadata = stated(&self.members, slot);
                }
                if !encoder.push(&Item::Update(update)) {
                    cursor.member = slot;
                    return true;
                }
            }
            cursor.member = Cursor::MEMBERS_DONE;
        }
        for (slot, rumor) in self.rumors.in_buckets(now, cursor.event, bits, event_mask) {
            if !encoder.push(&Item::Rumor(rumor)) {
                cursor.event = slot;
                return true;
            }
        }
        false
    }
}

impl<A> Outgoing<A> {
    /// Whether others would take this node, or this node others, for dead without it.
    pub(super) const fn detects_failure(&self) -> bool {
        matches!(self, Self::Ping { .. } | Self::Ack { .. } | Self::PingReq { .. } | Self::Nack { .. })
    }
}

impl<A: Copy> Outgoing<A> {
    pub(super) fn to(&self) -> A {
        match *self {
            Self::Ping { to, .. }
            | Self::Ack { to, .. }
            | Self::PingReq { to, .. }
            | Self::Nack { to, .. }
            | Self::Gossip { to, .. }
            | Self::Answer { to }
            | Self::Branch { to, .. }
            | Self::BranchAck { to, .. }
            | Self::Join { to }
            | Self::Leave { to }
            | Self::SyncOpen { to }
            | Self::Page { to, .. }
            | Self::Sketch { to, .. }
            | Self::More { to, .. }
            | Self::Exchange { to, .. }
            | Self::Response { to, .. }
            | Self::Noted { to, .. }
            | Self::App { to, .. } => to,
        }
    }
}

/// What this node tells of a member. A suspicion is to be short: metadata wait for its end, or for anti-entropy.
fn told<'a, A: Address>(members: &'a Members<A>, slot: Slot, suspicion: Option<&Suspicion<A>>) -> Update<'a, A> {
    let entry = members.entry(slot);
    Update {
        addr: entry.addr(),
        claim: entry.claim(),
        accuser: suspicion.map(Suspicion::accuser),
        metadata: stated(members, slot).filter(|_| entry.state == MemberState::Alive),
    }
}

/// The metadata of a member, if it ever stated any.
fn stated<A: Address>(members: &Members<A>, slot: Slot) -> Option<Metadata<'_>> {
    Some(members.metadata(slot)).filter(|metadata| metadata.version > 0)
}
