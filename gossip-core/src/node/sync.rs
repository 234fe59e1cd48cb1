//! Anti-entropy: what two nodes do not both know is found and exchanged at a cost in proportion to it.
//!
//! ```text
//!   A (its digest differs)                      B
//!     SyncOpen: digests of my buckets ───────▶
//!                                     ◀─────── SyncSketch: symbols of what I have in the buckets that differ
//!     [SyncMore: they were too few    ───────▶
//!                                     ◀─────── SyncSketch: the next ones]
//!     SyncWant: what I lack; on it what B lacks ─▶
//!                                     ◀─────── SyncWant: nothing; on it what A lacks
//! ```
//! Where lists of all that is in those buckets are shorter than a sketch, they are sent instead (`SyncList`): small clusters, or
//! sets with little in common. B keeps nothing between two messages.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::transmit::{Cursor, List, News, Outgoing, Row};
use super::{Node, Phase};
use crate::address::Address;
use crate::members::Slot;
use crate::sync::sketch::{self, SYMBOLS_MAX, Symbol};
use crate::sync::{self, BUCKETS_MAX};
use crate::time::Instant;
use crate::wire::{Reader, SEALED_HEADER_LEN, TAG_LEN, message_max};

/// Datagrams of anti-entropy that a node lets others ask of it from one gossip round to the next: more than the longest exchange
/// takes. Who asks may be forged; who is refused finds another member, or asks again.
const ANSWERS_MAX: u8 = 32;

/// What a list counts among them, however long it is.
const LIST_GRANT: u8 = 4;

/// Doublings of the time between exchanges that bring nothing: 64 times `gossip_interval` in a quiet cluster.
const DOUBLINGS_MAX: u8 = 6;

/// Most datagrams of symbols that are asked for at once.
const DATAGRAMS_MAX: u8 = 8;

/// Bytes of a member in a list, about: a tag, and an address as it differs from the one before.
const MEMBER_BYTES: usize = 6;

/// Bytes of an event in a list beside its payload, about.
const EVENT_BYTES: usize = 20;

/// What a node knows of its exchanges.
#[derive(Debug)]
pub(super) struct Sync<A> {
    /// When it opened the last one.
    opened: Option<Instant>,
    /// What it had learnt by then, and whether the last one was answered since.
    learnt: u64,
    answered: bool,
    /// Exchanges in a row that brought nothing, and that were not answered.
    fruitless: u8,
    unanswered: u8,
    running: Option<Box<Exchange<A>>>,
    /// Datagrams granted to others since the last gossip round.
    granted: u8,
}

/// An exchange that this node opened.
#[derive(Debug)]
struct Exchange<A> {
    peer: A,
    bits: u8,
    buckets: u64,
    /// The peer's symbols, and its digest when it made them: what it learns meanwhile would not fit to them.
    symbols: Vec<Symbol>,
    digest: u32,
    /// Symbols that overtook those in front of them, by the number of the first: seven datagrams at most.
    early: Vec<(u32, Vec<Symbol>)>,
    /// Datagrams of symbols that came, and that are still to come.
    received: u8,
    expected: u8,
}

impl<A> Sync<A> {
    pub(super) const fn new() -> Self {
        Self { opened: None, learnt: 0, answered: false, fruitless: 0, unanswered: 0, running: None, granted: 0 }
    }

    pub(super) fn on_gossip_round(&mut self) {
        self.granted = 0;
    }

    /// Whether the end of a round allows others more than they may have now.
    pub(super) fn grants(&self) -> bool {
        self.granted > 0
    }
}

impl<A: Address> Node<A> {
    /// Opens an exchange with a peer that knows something else, unless that is likely to settle by itself: as long as this node
    /// has news to tell, the digests of a cluster differ everywhere. One that was not answered (lost, or settled meanwhile) is
    /// repeated sooner. Each exchange that brought nothing new doubles the time to the next: what it cannot mend (this node is at
    /// a bound) it is not to try for ever.
    pub(super) fn maybe_sync(&mut self, now: Instant, peer: A) {
        let learnt = self.learnt_so_far();
        let quiet = !self.has_news();
        let sync = &mut self.sync;
        let (fruitless, unanswered) = match (sync.answered, learnt == sync.learnt) {
            (true, false) => (0, 0),
            (true, true) => (sync.fruitless.saturating_add(1), 0),
            (false, true) => (sync.fruitless, sync.unanswered.saturating_add(1)),
            (false, false) => (0, sync.unanswered.saturating_add(1)),
        };
        let (least, doublings) = if quiet || sync.answered {
            (if quiet { self.config.gossip_interval } else { self.config.sync_interval }, fruitless)
        } else {
            (self.config.gossip_interval, unanswered)
        };
        let gap = least.saturating_mul(1 << doublings.min(DOUBLINGS_MAX));
        if self.phase != Phase::Member || sync.opened.is_some_and(|opened| now.since(opened) < gap) {
            return;
        }
        sync.opened = Some(now);
        (sync.fruitless, sync.unanswered) = (fruitless, unanswered);
        sync.learnt = learnt;
        sync.answered = false;
        let exchange = Exchange {
            peer,
            bits: 0,
            buckets: 0,
            symbols: Vec::new(),
            digest: 0,
            early: Vec::new(),
            received: 0,
            expected: 1,
        };
        match &mut sync.running {
            // One that nobody answered gives its place.
            Some(unanswered) => **unanswered = exchange,
            running => *running = Some(Box::new(exchange)),
        }
        self.counters.syncs_opened += 1;
        self.enqueue(Outgoing::SyncOpen { to: peer });
    }

    /// Grows with everything new that this node learns.
    fn learnt_so_far(&self) -> u64 {
        self.counters.updates_applied + self.counters.events_learnt
    }

    /// The number of buckets with which to compare, as its log2.
    pub(super) fn sync_bits(&self) -> u8 {
        sync::bucket_bits(self.members.len() + self.rumors.len())
    }

    /// The digest of one of 2^`bits` buckets.
    pub(super) fn bucket_digest(&self, number: usize, bits: u8) -> u32 {
        sync::digest(self.members.bucket_digest(number, bits), self.rumors.bucket_digest(number, bits))
    }

    pub(super) fn on_sync_open(&mut self, from: A, bits: u8, digests: &[u8]) {
        let mut reader = Reader::new(digests);
        let buckets = (0..1_usize << bits).fold(0, |buckets, number| {
            let same = reader.u32() == Some(self.bucket_digest(number, bits));
            buckets | u64::from(!same) << number
        });
        if buckets == 0 {
            return;
        }
        let room = self.symbols_per_datagram();
        let symbols = match sync::estimate(bits, buckets.count_ones()) {
            // Some more than the 1.7 per item that a small difference takes, and for what is learnt on the way.
            Some(items) if self.has_news() => (3 * items + 16).min(room),
            Some(items) => (2 * items + 6).min(room),
            None => room,
        };
        let by_list = self.list_bytes(bits, buckets) <= symbols as usize * Symbol::LEN;
        if !self.grant(if by_list { LIST_GRANT } else { 1 }) {
            return;
        }
        self.counters.syncs_answered += 1;
        if by_list {
            self.send_list(from, bits, buckets, true);
        } else {
            let row = Row { bits, buckets, first: 0, symbols, datagrams: 1, made: Vec::new() };
            self.enqueue(Outgoing::Sketch { to: from, row: Box::new(row) });
        }
    }

    /// Symbols came of the sketch for which this node asked; `digest` is that of all that the peer knew then.
    pub(super) fn on_sync_sketch(&mut self, from: A, digest: u32, bits: u8, buckets: u64, first: u32, symbols: &[u8]) {
        // What nobody asked for leaves the exchange that runs as it is.
        let few = symbols.len() <= SYMBOLS_PER_DATAGRAM_MAX as usize * Symbol::LEN;
        let asked = self.sync.running.take_if(|exchange| {
            let (held, same) = (exchange.symbols.len(), (exchange.bits, exchange.buckets) == (bits, buckets));
            let next = first == 0 || (same && first as usize == held);
            // Not while all begins anew: what is left of the row before belongs to nothing.
            let early = same && held > 0 && first as usize > held && !symbols.is_empty();
            let again = exchange.early.iter().any(|&(other, _)| other == first);
            exchange.peer == from && exchange.expected > 0 && (next || (early && !again)) && few
        });
        let Some(mut exchange) = asked else {
            self.counters.add(1, |cold| &mut cold.syncs_refused);
            return;
        };
        exchange.received = exchange.received.saturating_add(1);
        exchange.expected -= 1;
        if first == 0 {
            exchange.symbols.clear();
            exchange.early.clear();
            (exchange.bits, exchange.buckets, exchange.digest) = (bits, buckets, digest);
        } else if exchange.digest != digest {
            // It learnt something between two datagrams: all anew.
            exchange.symbols.clear();
            self.ask_for_more(exchange);
            return;
        }
        let ends = symbols.is_empty();
        let held = exchange.symbols.len();
        exchange.early.push((first, symbols.as_chunks().0.iter().map(Symbol::from_bytes).collect()));
        while let Some(next) = exchange.early.iter().position(|&(first, _)| first as usize == exchange.symbols.len()) {
            let (_, symbols) = exchange.early.swap_remove(next);
            exchange.symbols.extend(symbols);
        }
        // Each try is a look at all that is known. Some before the last has come: it may be lost.
        let grew = exchange.symbols.len() > held && exchange.expected.is_power_of_two();
        if exchange.expected > 0 && !ends && !grew {
            self.sync.running = Some(exchange);
            return;
        }
        let mut difference = exchange.symbols.clone();
        self.members.take_from(&mut difference, bits, buckets);
        self.events_in(bits, buckets).for_each(|item| sketch::take(&mut difference, 0, item));
        if let Some(difference) = sketch::peel(difference) {
            self.exchange(from, &difference);
        } else if exchange.expected > 0 && !ends {
            self.sync.running = Some(exchange);
        } else {
            self.ask_for_more(exchange);
        }
    }

    /// As many symbols again as there were, as long as lists of everything would not be shorter.
    fn ask_for_more(&mut self, mut exchange: Box<Exchange<A>>) {
        let Exchange { peer, bits, buckets, received, .. } = *exchange;
        let first = exchange.symbols.len();
        exchange.early.clear();
        let datagrams = received.clamp(1, DATAGRAMS_MAX);
        let per_datagram = self.symbols_per_datagram() as usize;
        let all = usize::from(received.saturating_add(datagrams)) * per_datagram;
        if all > SYMBOLS_MAX as usize || self.list_bytes(bits, buckets) < all * Symbol::LEN {
            self.counters.add(1, |cold| &mut cold.syncs_by_list);
            self.send_list(peer, bits, buckets, true);
            return;
        }
        exchange.expected = datagrams;
        self.sync.running = Some(exchange);
        self.enqueue(Outgoing::More { to: peer, bits, buckets, first: first as u32, datagrams });
    }

    /// The difference is known: tells what the peer lacks and asks for what this node lacks.
    fn exchange(&mut self, peer: A, difference: &sketch::Difference) {
        self.sync.answered = true;
        let mut wanted: Vec<u32> = difference.added.iter().map(|&item| sketch::identity(item)).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let mut ours = difference.taken.clone();
        ours.sort_unstable();
        let identities: Vec<u32> = ours.iter().map(|&item| sketch::identity(item)).collect();
        let members = self.members.slots_of(&identities, |item| ours.binary_search(&item).is_ok());
        let of = |(slot, item)| ours.binary_search(&item).is_ok().then_some(slot);
        let events = self.rumors.items().filter_map(of).collect();
        self.send_exchange(peer, wanted, members, events);
    }

    pub(super) fn on_sync_more(&mut self, from: A, bits: u8, buckets: u64, first: u32, datagrams: u8) {
        let datagrams = datagrams.min(DATAGRAMS_MAX);
        if datagrams > 0 && self.grant(datagrams) {
            let symbols = self.symbols_per_datagram();
            let row = Row { bits, buckets, first, symbols, datagrams, made: Vec::new() };
            self.enqueue(Outgoing::Sketch { to: from, row: Box::new(row) });
        }
    }

    /// The peer knows the difference; what it had for this node was on the datagram. `corrections` are the dead and departed that
    /// it holds for alive: they are in no digest.
    pub(super) fn on_sync_want(&mut self, from: A, identities: &[u8], corrections: Vec<Slot>) {
        let mut reader = Reader::new(identities);
        let mut wanted: Vec<u32> = core::iter::from_fn(|| reader.u32()).collect();
        wanted.sort_unstable();
        let (mut members, mut events) = (corrections, Vec::new());
        if !wanted.is_empty() && self.grant(LIST_GRANT) {
            let is_wanted = |item| wanted.binary_search(&sketch::identity(item)).is_ok();
            members.extend(self.members.slots_of(&wanted, is_wanted));
            events.extend(self.rumors.items().filter_map(|(slot, item)| is_wanted(item).then_some(slot)));
        }
        self.send_exchange(from, Vec::new(), members, events);
    }

    pub(super) fn on_sync_list(&mut self, from: A, bits: u8, want: bool, buckets: u64) {
        let asked = self.sync.running.take_if(|exchange| exchange.peer == from).is_some();
        self.sync.answered |= asked;
        // What is in the buckets goes to whom this node asked, or as far as it grants it; the lists hold the dead as well.
        if want && (asked || self.grant(LIST_GRANT)) {
            self.send_list(from, bits, buckets, false);
        }
    }

    fn send_exchange(&mut self, to: A, wanted: Vec<u32>, members: Vec<Slot>, events: Vec<u32>) {
        if !(wanted.is_empty() && members.is_empty() && events.is_empty()) {
            self.enqueue(Outgoing::Exchange { to, news: Box::new(News { wanted, members, events }) });
        }
    }

    fn send_list(&mut self, to: A, bits: u8, buckets: u64, want: bool) {
        self.enqueue(Outgoing::Page { to, list: List::Buckets { bits, want, buckets }, cursor: Cursor::START });
    }

    /// Whether so many more datagrams may be asked of this node before the next gossip round.
    fn grant(&mut self, datagrams: u8) -> bool {
        let granted = self.sync.granted.saturating_add(datagrams);
        if granted > ANSWERS_MAX {
            self.counters.add(1, |cold| &mut cold.syncs_refused);
            return false;
        }
        self.sync.granted = granted;
        true
    }

    /// The events that this node has in some buckets.
    fn events_in(&self, bits: u8, buckets: u64) -> impl Iterator<Item = sketch::Item> + '_ {
        let items = self.rumors.items().map(|(_, item)| item);
        items.filter(move |&item| buckets >> sync::bucket(sketch::identity(item), bits) & 1 == 1)
    }

    /// So many symbols from `first` on, as bytes.
    pub(super) fn symbols(&self, bits: u8, buckets: u64, first: u32, count: u32) -> Vec<u8> {
        let mut symbols = alloc::vec![Symbol::default(); count.min(SYMBOLS_MAX.saturating_sub(first)) as usize];
        self.members.add_to(&mut symbols, first, bits, buckets);
        self.events_in(bits, buckets).for_each(|item| sketch::add(&mut symbols, first, item));
        symbols.into_iter().flat_map(Symbol::to_bytes).collect()
    }

    /// Symbols that fit into one datagram.
    fn symbols_per_datagram(&self) -> u32 {
        self.symbols_in(self.config.datagram_max)
    }

    /// Symbols that fit into a datagram of so many bytes, sealed or not.
    pub(super) fn symbols_in(&self, len: usize) -> u32 {
        // Beside the message: which buckets, from which symbol on, how many bytes.
        let taken = SEALED_HEADER_LEN + TAG_LEN + message_max::<A>() + 8;
        let room = len.saturating_sub(taken);
        ((room / Symbol::LEN) as u32).clamp(1, SYMBOLS_PER_DATAGRAM_MAX)
    }

    /// Bytes of the lists that two nodes would send each other of these buckets, about.
    fn list_bytes(&self, bits: u8, buckets: u64) -> usize {
        let all = self.members.len() * MEMBER_BYTES + self.rumors.len() * EVENT_BYTES + self.rumors.bytes();
        2 * ((all * buckets.count_ones() as usize) >> bits)
    }
}

/// However large a datagram may be.
pub(super) const SYMBOLS_PER_DATAGRAM_MAX: u32 = 128;

/// The longest digests of buckets.
pub(super) const DIGESTS_LEN_MAX: usize = BUCKETS_MAX * 4;
