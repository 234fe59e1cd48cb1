//! Queries: events that ask for answers, as Serf has them.
//!
//! A query spreads like any event. Whoever hears it may answer its origin directly, and the origin notes each answer; until
//! then, or until the deadline, the answer is repeated. So that the answers of a large cluster do not reach the origin in one
//! instant, each waits for a random part of the time that all of them need at
//! [`answers_per_second_max`](crate::Config::answers_per_second_max).

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use crate::address::Address;
use crate::config::Config;
use crate::members::Slot;
use crate::rng::Rng;
use crate::rumors::EventId;
use crate::time::Instant;

/// How often an answer is sent until its origin notes it. Under 20 % loss three in a million reach it none of eight times; the
/// origin is then more likely gone.
const ATTEMPTS_MAX: u8 = 8;

/// What becomes due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Due<A> {
    /// A query of this node ends.
    Closed { id: EventId<A>, received: u32, answered: u32, members: u32 },
    /// A response is to be sent: the answer, or that the query was received.
    Respond { id: EventId<A>, answer: Option<Arc<[u8]>>, again: bool },
    /// A response was not noted by its origin, as often as it was sent.
    GivenUp,
    /// The time to answer is over.
    Over,
}

/// What became of a response to a query of this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Noted {
    /// The first of this member.
    Fresh,
    /// It came before.
    Duplicate,
    /// There is no such query, or none any more.
    Unknown,
}

/// A query that this node asked.
#[derive(Debug)]
struct Open {
    deadline: Instant,
    /// The other members when it was started.
    members: u32,
    received: Slots,
    answered: Slots,
}

/// A query that this node was asked.
#[derive(Debug)]
struct Asked {
    deadline: Instant,
    answer: Option<Arc<[u8]>>,
    /// When the response is sent next; none while there is none, and when it was noted or given up.
    next: Option<Instant>,
    attempts: u8,
}

impl Asked {
    fn wake(&self) -> Instant {
        self.next.map_or(self.deadline, |next| next.min(self.deadline))
    }
}

/// The queries that this node asked, and those that it was asked.
#[derive(Debug)]
pub(crate) struct Queries<A> {
    open: BTreeMap<u64, Open>,
    asked: BTreeMap<EventId<A>, Asked>,
    /// One entry for each query of both kinds.
    wakes: BTreeSet<(Instant, EventId<A>)>,
}

impl<A> Default for Queries<A> {
    fn default() -> Self {
        Self { open: BTreeMap::new(), asked: BTreeMap::new(), wakes: BTreeSet::new() }
    }
}

impl<A: Address> Queries<A> {
    /// Whether there are none of either kind.
    pub(crate) fn is_empty(&self) -> bool {
        self.wakes.is_empty()
    }

    /// How many that this node asked are open.
    pub(crate) fn open(&self) -> usize {
        self.open.len()
    }

    /// This node asks.
    pub(crate) fn start(&mut self, id: EventId<A>, deadline: Instant, members: u32) {
        let open = Open { deadline, members, received: Slots::default(), answered: Slots::default() };
        self.open.insert(id.sequence, open);
        self.wakes.insert((deadline, id));
    }

    /// This node is asked, and sends a receipt if that is wanted. At the bound the query that ends first gives way; how many
    /// did.
    pub(crate) fn ask(
        &mut self,
        now: Instant,
        id: EventId<A>,
        deadline: Instant,
        receipt: bool,
        config: &Config,
        draw: &mut Draw<'_>,
    ) -> u64 {
        let evicted = self.shrink(config.queries_max - 1);
        let next = receipt.then(|| now + draw.first(deadline.since(now)));
        let asked = Asked { deadline, answer: None, next, attempts: 0 };
        self.wakes.insert((asked.wake(), id));
        self.asked.insert(id, asked);
        evicted
    }

    /// Gives up those that this node was asked and that end first, beyond `max`; how many.
    pub(crate) fn shrink(&mut self, max: usize) -> u64 {
        let mut evicted = 0;
        while self.asked.len() > max {
            let first = self.asked.iter().min_by_key(|(id, asked)| (asked.deadline, **id)).map(|(&id, _)| id);
            let Some((first, asked)) = first.and_then(|id| self.asked.remove_entry(&id)) else { break };
            self.wakes.remove(&(asked.wake(), first));
            evicted += 1;
        }
        evicted
    }

    /// The application's answer; false when the query is unknown, over or answered.
    pub(crate) fn respond(&mut self, now: Instant, id: EventId<A>, payload: &[u8], draw: &mut Draw<'_>) -> bool {
        let Some(asked) = self.asked.get_mut(&id).filter(|asked| asked.answer.is_none() && asked.deadline > now) else {
            return false;
        };
        self.wakes.remove(&(asked.wake(), id));
        asked.answer = Some(payload.into());
        // A receipt that did not go yet need not go any more.
        if asked.next.is_none() || asked.attempts > 0 {
            asked.next = Some(now + draw.first(asked.deadline.since(now)));
        }
        asked.attempts = 0;
        self.wakes.insert((asked.wake(), id));
        true
    }

    /// A member responded to a query of this node.
    pub(crate) fn note(&mut self, now: Instant, sequence: u64, member: Slot, answer: bool) -> Noted {
        let Some(open) = self.open.get_mut(&sequence).filter(|open| open.deadline > now) else {
            return Noted::Unknown;
        };
        // Who answers has received.
        let received = open.received.insert(member);
        let fresh = if answer { open.answered.insert(member) } else { received };
        if fresh { Noted::Fresh } else { Noted::Duplicate }
    }

    /// The origin noted the answer, or the receipt, of this node. False when there was nothing to note.
    pub(crate) fn noted(&mut self, id: EventId<A>, answer: bool) -> bool {
        let Some(asked) = self.asked.get_mut(&id).filter(|asked| asked.attempts > 0) else { return false };
        if asked.answer.is_some() != answer {
            // A receipt was noted, and meanwhile there is an answer.
            return false;
        }
        self.wakes.remove(&(asked.wake(), id));
        asked.next = None;
        self.wakes.insert((asked.wake(), id));
        true
    }

    pub(crate) fn next_wake(&self) -> Option<Instant> {
        self.wakes.first().map(|&(wake, _)| wake)
    }

    /// What is due at the node `local`, one at a time.
    pub(crate) fn take_due(&mut self, local: A, now: Instant, draw: &mut Draw<'_>) -> Option<Due<A>> {
        let &(_, id) = self.wakes.first().filter(|(wake, _)| *wake <= now)?;
        self.wakes.pop_first();
        if id.origin == local {
            let Open { members, received, answered, .. } = self.open.remove(&id.sequence)?;
            return Some(Due::Closed { id, received: received.count, answered: answered.count, members });
        }
        let asked = self.asked.get_mut(&id)?;
        if asked.deadline <= now {
            let unnoted = asked.next.is_some();
            self.asked.remove(&id);
            return Some(if unnoted { Due::GivenUp } else { Due::Over });
        }
        let due = if asked.attempts < ATTEMPTS_MAX {
            asked.attempts += 1;
            asked.next = Some(now + draw.again());
            Due::Respond { id, answer: asked.answer.clone(), again: asked.attempts > 1 }
        } else {
            asked.next = None;
            Due::GivenUp
        };
        self.wakes.insert((asked.wake(), id));
        Some(due)
    }
}

/// When responses are sent.
#[derive(Debug)]
pub(crate) struct Draw<'a> {
    pub(crate) rng: &'a mut Rng,
    /// In which time all members together answer.
    pub(crate) spread: Duration,
    /// In which time nearly every round trip ends.
    pub(crate) round_trip: Duration,
}

impl<'a> Draw<'a> {
    pub(crate) fn new(rng: &'a mut Rng, members: u32, config: &Config) -> Self {
        let spread = Duration::from_secs(members.into()) / config.answers_per_second_max;
        Self { rng, spread, round_trip: config.probe_timeout }
    }

    /// How long a response waits that may come `within` that time: at most half of it, so that it can be repeated.
    fn first(&mut self, within: Duration) -> Duration {
        self.below(self.spread.min(within / 2))
    }

    /// How long until it is repeated.
    fn again(&mut self) -> Duration {
        self.round_trip + self.below(self.spread.max(self.round_trip))
    }

    fn below(&mut self, span: Duration) -> Duration {
        let micros = u32::try_from(span.as_micros()).unwrap_or(u32::MAX).max(1);
        Duration::from_micros(self.rng.below(micros).into())
    }
}

/// A set of members by their slots: one bit each.
///
/// The bits stay when a member is forgotten. Another one in its slot is then counted as if it had answered: only where members
/// are forgotten within the deadline of a query, and never is one counted twice.
#[derive(Debug, Default)]
struct Slots {
    words: Vec<u64>,
    count: u32,
}

impl Slots {
    /// True when it is new.
    fn insert(&mut self, slot: Slot) -> bool {
        let (word, bit) = (slot as usize / 64, 1 << (slot % 64));
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        let fresh = self.words[word] & bit == 0;
        self.words[word] |= bit;
        self.count += u32::from(fresh);
        fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: EventId<u16> = EventId { origin: 9, sequence: 5 };

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    /// Drawn in a cluster so small that nobody waits for others; a round trip takes 100 ms.
    fn with<R>(work: impl FnOnce(&mut Draw<'_>) -> R) -> R {
        let config = Config { probe_timeout: Duration::from_millis(100), ..Config::lan() };
        work(&mut Draw::new(&mut Rng::new(1), 0, &config))
    }

    fn asked(receipt: bool) -> Queries<u16> {
        let mut queries = Queries::default();
        with(|draw| queries.ask(at(0), ID, at(10_000), receipt, &Config::lan(), draw));
        queries
    }

    #[test]
    fn a_receipt_is_repeated_until_it_is_noted() {
        let mut queries = asked(true);
        let receipt = |again| Some(Due::Respond { id: ID, answer: None, again });
        assert!(!queries.noted(ID, false), "nothing was sent");
        assert_eq!(with(|draw| queries.take_due(1, at(0), draw)), receipt(false));
        assert_eq!(with(|draw| queries.take_due(1, at(99), draw)), None);
        assert_eq!(with(|draw| queries.take_due(1, at(200), draw)), receipt(true));
        assert!(!queries.noted(ID, true), "not what was sent");
        assert!(!queries.noted(EventId { origin: 8, ..ID }, false), "not who asked");
        assert!(queries.noted(ID, false));
        assert_eq!(with(|draw| queries.take_due(1, at(9_999), draw)), None);
        assert_eq!(with(|draw| queries.take_due(1, at(10_000), draw)), Some(Due::Over));
        assert_eq!(queries.next_wake(), None);
    }

    #[test]
    fn an_answer_is_given_once_and_up_after_eight_times() {
        let mut queries = asked(true);
        assert!(with(|draw| queries.respond(at(0), ID, b"yes", draw)));
        assert!(!with(|draw| queries.respond(at(0), ID, b"no", draw)), "answered");
        let mut due = Vec::new();
        for millis in 0..10_000 {
            due.extend(with(|draw| queries.take_due(1, at(millis), draw)));
        }
        let answer = |again| Due::Respond { id: ID, answer: Some(b"yes".as_slice().into()), again };
        let mut expected = alloc::vec![answer(false)];
        expected.extend((1..8).map(|_| answer(true)));
        expected.push(Due::GivenUp);
        assert_eq!(due, expected, "the receipt goes with the answer");
        assert!(!with(|draw| queries.respond(at(10_000), ID, b"late", draw)));
    }

    #[test]
    fn a_receipt_that_is_noted_late_does_not_stop_the_answer() {
        let mut queries = asked(true);
        assert!(with(|draw| queries.take_due(1, at(0), draw)).is_some());
        assert!(with(|draw| queries.respond(at(1), ID, b"yes", draw)));
        assert!(!queries.noted(ID, false));
        assert!(matches!(with(|draw| queries.take_due(1, at(5), draw)), Some(Due::Respond { answer: Some(_), .. })));
        assert!(queries.noted(ID, true));
    }

    #[test]
    fn each_member_counts_once_and_nobody_after_the_deadline() {
        let mut queries = Queries::default();
        queries.start(EventId { origin: 1_u16, sequence: 7 }, at(1_000), 3);
        assert_eq!(queries.note(at(1), 7, 2, false), Noted::Fresh);
        assert_eq!(queries.note(at(1), 7, 2, false), Noted::Duplicate);
        assert_eq!(queries.note(at(2), 7, 2, true), Noted::Fresh);
        assert_eq!(queries.note(at(2), 7, 2, true), Noted::Duplicate);
        assert_eq!(queries.note(at(3), 7, 200, true), Noted::Fresh);
        assert_eq!(queries.note(at(3), 8, 3, true), Noted::Unknown);
        assert_eq!(queries.note(at(1_000), 7, 3, true), Noted::Unknown);
        let id = EventId { origin: 1, sequence: 7 };
        let closed = Due::Closed { id, received: 2, answered: 2, members: 3 };
        assert_eq!(with(|draw| queries.take_due(1, at(1_000), draw)), Some(closed));
        assert_eq!(queries.open(), 0);
    }

    #[test]
    fn at_the_bound_the_query_that_ends_first_gives_way() {
        let config = Config { queries_max: 2, ..Config::lan() };
        let mut queries = Queries::default();
        let id = |sequence| EventId { origin: 9, sequence };
        let evicted: Vec<u64> = [(1, 3_000), (2, 2_000), (3, 4_000)]
            .map(|(sequence, end)| with(|draw| queries.ask(at(0), id(sequence), at(end), false, &config, draw)))
            .into();
        assert_eq!(evicted, [0, 0, 1]);
        let answered = [1, 2, 3].map(|sequence| with(|draw| queries.respond(at(1), id(sequence), b"", draw)));
        assert_eq!(answered, [true, false, true]);
    }

    #[test]
    fn the_answers_of_many_are_spread() {
        let config = Config { answers_per_second_max: 1_000, ..Config::lan() };
        let mut rng = Rng::new(2);
        let mut draw = Draw::new(&mut rng, 10_000, &config);
        let longest = |draw: &mut Draw<'_>, within| (0..1_000).map(|_| draw.first(Duration::from_secs(within))).max();
        assert!((9..10).contains(&longest(&mut draw, 60).unwrap().as_secs()), "ten thousand need ten seconds");
        assert_eq!(longest(&mut draw, 4).unwrap().as_secs(), 1, "and take half of four if there are no more");
    }
}
