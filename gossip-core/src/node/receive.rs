//! What a datagram brings: first what its sender's header says, then the items that ride on it, then the message, and at
//! last whether sender and receiver know the same.

use alloc::vec::Vec;
use core::time::Duration;

use super::transmit::{Cursor, List, Outgoing};
use super::{Node, Phase, stored};
use crate::address::Address;
use crate::counters::Counts;
use crate::fifo::Fifo;
use crate::io::{Event, InputError, Via};
use crate::member::{Claim, MemberState, Metadata};
use crate::members::{Entry, SELF, Slot};
use crate::options::Order;
use crate::rumors::strategies::Branch;
use crate::rumors::{Delivery, EventId, Heard, lifetime};
use crate::time::Instant;
use crate::wire::{self, Datagram, DecodeError, Item, Message, Rumor, RumorKind, Sender, Update};

/// What the items of a datagram ask for.
#[derive(Debug, Default)]
struct Brought {
    /// The dead and departed that the sender holds for alive, where it is to be told.
    corrections: Vec<Slot>,
    /// Whether it told of an event of which this node has a counter to say in return.
    counted: bool,
}

impl<A: Address> Node<A> {
    pub(super) fn on_datagram(&mut self, now: Instant, from: A, bytes: &[u8]) -> Result<(), InputError> {
        #[cfg(feature = "keyring")]
        if self.sealing.opens() {
            return self.on_datagram_with_keyring(now, from, bytes);
        }
        self.on_plain_datagram(now, from, bytes)
    }

    pub(super) fn on_plain_datagram(&mut self, now: Instant, from: A, bytes: &[u8]) -> Result<(), InputError> {
        match wire::decode::<A>(bytes, self.config.cluster) {
            Ok(datagram) => {
                self.on_decoded(now, stored(from), datagram);
                Ok(())
            }
            Err(error) => self.refuse(error),
        }
    }

    /// Counts a datagram that has no effect.
    pub(super) fn refuse(&mut self, error: DecodeError) -> Result<(), InputError> {
        self.counters.add(1, |cold| match error {
            DecodeError::Foreign => &mut cold.datagrams_foreign,
            DecodeError::Version(_) => &mut cold.datagrams_other_version,
            DecodeError::Cluster(_) => &mut cold.datagrams_other_cluster,
            DecodeError::Checksum => &mut cold.datagrams_damaged,
            DecodeError::Malformed => &mut cold.datagrams_malformed,
            DecodeError::Sealed => &mut cold.datagrams_sealed,
            DecodeError::Plain => &mut cold.datagrams_plain,
            DecodeError::UnknownKey(_) => &mut cold.datagrams_unknown_key,
            DecodeError::Forged => &mut cold.datagrams_forged,
            DecodeError::Replayed => &mut cold.datagrams_replayed,
            DecodeError::SendersFull => &mut cold.senders_refused,
        });
        Err(error.into())
    }

    pub(super) fn on_decoded(&mut self, now: Instant, from: A, datagram: Datagram<'_, A>) {
        if from == self.local() || self.phase == Phase::Left {
            self.counters.add(1, |cold| &mut cold.datagrams_ignored);
            return;
        }
        let Datagram { version, sender, message, items } = datagram;
        self.accepted += 1;
        self.counters.add(u64::from(version > wire::VERSION), |cold| &mut cold.datagrams_newer_version);
        self.notice_silence(now);
        let leaves = matches!(message, Message::Leave);
        let sender_is_live = leaves || self.on_sender(now, from, sender.incarnation);
        if sender_is_live && !leaves && self.phase == Phase::Alone {
            self.phase = Phase::Member;
            self.events.push_back(Event::Joined { through: from });
        }
        let via = via(&message);
        // The dead and departed that the sender holds for alive are in no digest: an exchange tells of them like this.
        let corrects = matches!(message, Message::SyncWant { .. });
        let mut brought = Brought::default();
        let mut first_event = None;
        self.listed = matches!(message, Message::Members);
        for item in items {
            match item {
                Item::Update(update) => {
                    self.on_update(now, from, &update);
                    if corrects && update.claim.state.is_live() {
                        let gone = |slot: &Slot| !self.members.entry(*slot).state.is_live();
                        brought.corrections.extend(self.members.find(&update.addr).filter(gone));
                    }
                }
                Item::Rumor(rumor) => {
                    first_event.get_or_insert(EventId { origin: rumor.origin, sequence: rumor.sequence });
                    brought.counted |= self.on_rumor(now, from, via, &rumor);
                }
                Item::Coordinate(coordinate) => {
                    if let Some(coordinates) = self.coordinates.as_mut().filter(|_| sender_is_live) {
                        self.counters.add(u64::from(coordinates.on_told(from, coordinate)), |cold| {
                            &mut cold.coordinates_evicted
                        });
                    }
                }
            }
        }
        self.listed = false;
        // Without an event there is nothing in the list, which lies elsewhere.
        if first_event.is_some() && !self.fresh.is_empty() {
            self.forward(now, Some(from));
        }
        if let (Message::Branch { seq, start, end }, Some(id)) = (message, first_event.filter(|_| sender_is_live)) {
            self.on_branch(now, from, seq, Branch { start, end }, id);
        }
        self.on_message(now, from, &message, &sender, sender_is_live, brought);
        if via == Via::Sync {
            self.after_sync(now);
        }
    }

    /// What anti-entropy granted is counted by rounds. Apart, since what it looks at lies apart.
    #[inline(never)]
    fn after_sync(&mut self, now: Instant) {
        if self.sync.grants() {
            self.beat(now);
        }
    }

    /// A datagram shows that its sender is there. False when it cannot count as a member: it does not know yet that it was
    /// declared dead or departed in this incarnation, or the table is full.
    fn on_sender(&mut self, now: Instant, from: A, incarnation: u32) -> bool {
        let claim = Claim { incarnation, state: MemberState::Alive };
        let Some((slot, entry)) = self.members.find_entry(&from) else {
            return self.admit(now, from, claim, None, None, from).is_some();
        };
        if !claim.supersedes(entry.claim()) {
            return entry.state.is_live();
        }
        self.apply(now, slot, claim, None, None, from);
        self.members.entry(slot).state.is_live()
    }

    #[inline]
    fn on_update(&mut self, now: Instant, from: A, update: &Update<'_, A>) {
        let found = self.members.find_entry(&update.addr);
        // Most of what is told is known: nothing else is looked at then.
        if update.metadata.is_none() && update.claim.state == MemberState::Alive {
            let known = |(slot, entry): (Slot, &Entry<A>)| slot != SELF && entry.claim() == update.claim;
            if found.is_some_and(known) {
                self.counters.updates_stale += 1;
                return;
            }
        }
        let slot = found.map(|(slot, _)| slot);
        self.on_news(now, from, slot, update);
    }

    /// A claim that is not known already, or that has more to it.
    fn on_news(&mut self, now: Instant, from: A, slot: Option<Slot>, update: &Update<'_, A>) {
        let Update { addr, claim, accuser, mut metadata } = *update;
        let accuser = accuser.unwrap_or(from);
        if slot == Some(SELF) {
            self.refute(claim, from);
            if let Some(told) = metadata {
                self.restate_metadata(now, told);
            }
            return;
        }
        if metadata.is_some_and(|told| told.bytes.len() > self.config.metadata_max) {
            self.counters.add(1, |cold| &mut cold.metadata_refused);
            metadata = None;
        }
        let Some(slot) = slot else {
            if claim.state.is_live() {
                self.admit(now, addr, claim, metadata, Some(from), accuser);
            } else {
                // A death of somebody unknown: nothing to bury.
                self.counters.updates_stale += 1;
            }
            return;
        };
        let known = self.members.entry(slot).claim();
        if claim.supersedes(known) {
            self.apply(now, slot, claim, metadata, Some(from), accuser);
            return;
        }
        if claim == known && claim.state == MemberState::Suspect {
            self.confirm_suspicion(slot, accuser, Some(from));
        }
        match metadata.filter(|told| *told > self.members.metadata(slot)) {
            Some(newer) => self.renew_metadata(slot, newer),
            None => self.counters.updates_stale += 1,
        }
    }

    /// A member has other metadata than this node knew. What is held of its state is another matter.
    fn renew_metadata(&mut self, slot: Slot, metadata: Metadata<'_>) {
        let entry = self.members.entry(slot);
        let (addr, claim) = (entry.addr(), entry.claim());
        let changed = metadata.bytes != self.members.metadata(slot).bytes;
        self.members.set(slot, claim, Some(metadata));
        self.counters.updates_applied += 1;
        if claim.state == MemberState::Alive {
            self.updates.insert(slot);
        }
        if changed {
            self.events.push_back(Event::MetadataChanged { addr });
            self.check_name(slot);
        }
    }

    /// The others hold metadata of this node's that win over those it has, which are of a former life: state its own with a
    /// higher version.
    fn restate_metadata(&mut self, now: Instant, told: Metadata<'_>) {
        let own = self.members.metadata(SELF);
        let version = if told.bytes == own.bytes { told.version } else { told.version.saturating_add(1) };
        if matches!(self.phase, Phase::Leaving(_) | Phase::Left) || told <= own || version == own.version {
            return;
        }
        if !self.brake.admits(now, self.config.probe_interval) {
            self.counters.add(1, |cold| &mut cold.metadata_deferred);
            return;
        }
        let bytes = Vec::from(own.bytes);
        let claim = self.members.entry(SELF).claim();
        self.members.set(SELF, claim, Some(Metadata { version, bytes: &bytes }));
        self.counters.add(1, |cold| &mut cold.metadata_restated);
        self.updates.insert(SELF);
    }

    /// True when its teller is to be told how far this node has come with it.
    fn on_rumor(&mut self, now: Instant, from: A, via: Via, rumor: &Rumor<'_, A>) -> bool {
        let (heard, evicted) = self.rumors.hear(now, rumor, self.watch.unread_since(), &self.config);
        self.count_evicted(evicted);
        match heard {
            Heard::Fresh { payload, kept } => {
                self.counters.events_learnt += 1;
                self.fresh.extend(kept);
                let id = EventId { origin: rumor.origin, sequence: rumor.sequence };
                let delivery = Delivery { id, payload, hops: rumor.hops, from, via };
                match rumor.terms.kind {
                    RumorKind::Event => hand_over(&mut self.events, &mut self.counters, delivery, Order::Unordered),
                    RumorKind::Ordered { distance } => {
                        let Self { rumors, events, counters, config, .. } = self;
                        let delivered = rumors.deliver_ordered(now, delivery, distance, config, |delivery, order| {
                            hand_over(events, counters, delivery, order);
                        });
                        self.counters.add(u64::from(!delivered), |cold| &mut cold.events_held);
                    }
                    RumorKind::Query { receipts } => {
                        let age = Duration::from_millis(u64::from(rumor.age_ms));
                        let left = lifetime(&rumor.terms, &self.config).saturating_sub(age);
                        self.on_query(now, delivery, receipts, left);
                    }
                }
            }
            Heard::Duplicate => self.counters.events_duplicate += 1,
            Heard::Expired => self.counters.add(1, |cold| &mut cold.events_expired),
            Heard::TooLong => self.counters.add(1, |cold| &mut cold.events_too_long),
        }
        self.config.strategy.counts() && self.rumors.count(rumor, matches!(via, Via::Push | Via::Pull))
    }

    fn on_message(
        &mut self,
        now: Instant,
        from: A,
        message: &Message<'_, A>,
        sender: &Sender,
        sender_is_live: bool,
        brought: Brought,
    ) {
        let digest = self.digest();
        let mut differ = sender.digest != digest;
        if sender_is_live && !self.updates.is_empty() {
            self.settle(from, digest, differ, message);
        }
        match *message {
            Message::Ping { seq } => self.enqueue(Outgoing::Ack { to: from, seq }),
            Message::Ack { seq } => self.on_ack(now, from, seq),
            Message::PingReq { seq, target } => self.on_ping_req(now, from, seq, target),
            Message::Nack { seq } => self.on_nack(from, seq),
            Message::Gossip { answer } => {
                if !sender_is_live || (answer && (differ || brought.counted)) {
                    self.enqueue(Outgoing::Answer { to: from });
                    // The answer brings what is young. If that is not all, the caller sees it and opens an exchange.
                    differ = false;
                }
            }
            Message::Answer | Message::Branch { .. } | Message::Extension { .. } => {}
            Message::BranchAck { seq } => self.on_branch_ack(from, seq),
            Message::Join => {
                self.enqueue(Outgoing::Page { to: from, list: List::Members, cursor: Cursor::START });
                differ = false;
            }
            Message::Members | Message::Leave => differ = false,
            Message::SyncOpen { bits, digests } => {
                if sender_is_live {
                    self.on_sync_open(from, bits, digests);
                } else {
                    self.counters.add(1, |cold| &mut cold.syncs_refused);
                }
                differ = false;
            }
            Message::SyncList { bits, want, buckets } => {
                self.on_sync_list(from, bits, want, buckets);
                differ = false;
            }
            Message::SyncSketch { bits, buckets, first, symbols } => {
                self.on_sync_sketch(from, sender.digest, bits, buckets, first, symbols);
                differ = false;
            }
            Message::SyncMore { bits, buckets, first, datagrams } => {
                self.on_sync_more(from, bits, buckets, first, datagrams);
                differ = false;
            }
            Message::SyncWant { identities } => {
                self.on_sync_want(from, identities, brought.corrections);
                differ = false;
            }
            Message::Response(ref response) => self.on_response(now, from, response, sender_is_live),
            Message::App { payload } => self.events.push_back(Event::Message { from, payload: payload.into() }),
        }
        if differ && sender_is_live {
            self.maybe_sync(now, from);
        }
    }
}

/// Gives an event to the application.
pub(super) fn hand_over<A>(events: &mut Fifo<Event<A>>, counters: &mut Counts, delivery: Delivery<A>, order: Order) {
    let Delivery { id, payload, hops, from, via } = delivery;
    counters.add(u64::from(matches!(order, Order::Gap | Order::Late)), |cold| &mut cold.events_out_of_order);
    events.push_back(Event::UserEvent { id, payload, hops, from, via, order });
}

fn via<A>(message: &Message<'_, A>) -> Via {
    match message {
        Message::Ping { .. } | Message::Ack { .. } | Message::PingReq { .. } | Message::Nack { .. } => Via::Probe,
        Message::Gossip { .. } | Message::Branch { .. } | Message::BranchAck { .. } | Message::Leave => Via::Push,
        Message::Answer => Via::Pull,
        Message::Join
        | Message::Members
        | Message::SyncOpen { .. }
        | Message::SyncList { .. }
        | Message::SyncSketch { .. }
        | Message::SyncMore { .. }
        | Message::SyncWant { .. } => Via::Sync,
        Message::App { .. } | Message::Response(_) | Message::Extension { .. } => Via::Message,
    }
}
