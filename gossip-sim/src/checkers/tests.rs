//! Each checker bites, and not before its bound: small histories, written by hand.

use core::time::Duration;
use std::collections::BTreeMap;

use gossip_core::wire::DecodeError;
use gossip_core::{
    Command, Config, Event, EventId, EventOptions, InputError, MemberState, Node, Order, Outcome, Setup, SharedView,
    Via,
};

use super::bounds::Bounds;
use super::*;
use crate::network::Fate;
use crate::observe::Lifecycle;

const S: fn(u64) -> Duration = Duration::from_secs;

/// A suite, and nodes to be looked at which nobody drives.
struct Bench {
    suite: Suite<u16>,
    nodes: BTreeMap<NodeId, Node<u16>>,
    now: Duration,
}

impl Bench {
    /// Members 0..`size` that hold each other for alive from second 1 on.
    fn new(checker: impl Checker<u16> + 'static, size: NodeId) -> Self {
        Self::with(checker, size, &Config::lan())
    }

    fn with(checker: impl Checker<u16> + 'static, size: NodeId, config: &Config) -> Self {
        let suite = Suite::of(vec![Box::new(checker)]);
        let mut bench = Self { suite, nodes: BTreeMap::new(), now: S(1) };
        let view = SharedView::new((0..size).map(|id| Setup::new(id as u16))).unwrap();
        for id in 0..size {
            let setup = Setup::new(id as u16);
            let node = Node::with_view(gossip_core::Instant::from_millis(1), config.clone(), &setup, &view).unwrap();
            bench.nodes.insert(id, node);
            bench.suite.on_lifecycle(S(1), id, Lifecycle::Started);
            bench.suite.on_lifecycle(S(1), id, Lifecycle::Joining);
        }
        for id in 0..size {
            (0..size).filter(|&about| about != id).for_each(|about| bench.tell(id, about, MemberState::Alive, 0));
        }
        bench.tick(S(1));
        bench
    }

    fn event(&mut self, node: NodeId, event: &Event<u16>) {
        self.suite.on_event(self.now, node, event);
    }

    fn tell(&mut self, node: NodeId, about: NodeId, state: MemberState, incarnation: u32) {
        let (addr, told_by, accuser, confirmations) = (about as u16, None, None, 0);
        self.event(node, &Event::MemberChanged { addr, state, incarnation, told_by, accuser, confirmations });
    }

    fn tick(&mut self, now: Duration) {
        self.now = now;
        let nodes = &self.nodes;
        self.suite.tick(now, &|id| nodes.get(&id));
    }

    fn start_event(&mut self, node: NodeId, sequence: u64, ordered: bool) -> EventId<u16> {
        let id = EventId { origin: node as u16, sequence };
        let options = EventOptions { ordered, ..EventOptions::default() };
        let command = Command::StartEvent { payload: b"event", options };
        self.suite.on_command(self.now, node, &command, &Ok(Outcome::Started(id)));
        id
    }

    fn deliver(&mut self, node: NodeId, id: EventId<u16>, payload: &[u8], order: Order) {
        self.event(node, &Event::UserEvent { id, payload: payload.into(), hops: 1, from: 0, via: Via::Push, order });
    }

    fn crash(&mut self, node: NodeId) {
        self.suite.on_lifecycle(self.now, node, Lifecycle::Crashed);
        self.nodes.remove(&node);
    }

    fn restart(&mut self, node: NodeId) {
        self.suite.on_lifecycle(self.now, node, Lifecycle::Restarted);
    }

    #[track_caller]
    fn well(&self) {
        assert_eq!(self.suite.violation(), None);
    }

    #[track_caller]
    fn broken(&self, part: &str) {
        let violation = self.suite.violation().expect("a violation").to_string();
        assert!(violation.contains(part), "{violation}");
    }
}

fn bounds(members: usize, config: &Config) -> Bounds<'_> {
    Bounds { config, members, health: 0 }
}

const MS: Duration = Duration::from_millis(1);

#[test]
fn who_is_there_may_be_held_for_dead_up_to_the_bound_and_not_longer() {
    let config = Config::lan();
    for (theirs, bound) in
        [(MemberState::Alive, bounds(3, &config).refuting()), (MemberState::Dead, bounds(3, &config).meeting())]
    {
        let mut bench = Bench::new(Deaths, 3);
        bench.now = S(100);
        bench.tell(0, 1, MemberState::Dead, 0);
        bench.tell(1, 0, theirs, 0);
        bench.tick(S(100) + bound);
        bench.well();
        bench.tick(S(100) + bound + MS);
        bench.broken("node 0 has held node 1");
    }
}

#[test]
fn who_is_disturbed_may_be_held_for_anything() {
    let mut bench = Bench::new(Deaths, 3);
    bench.suite.world_mut(S(50)).disturb(1);
    bench.now = S(100);
    bench.tell(0, 1, MemberState::Dead, 0);
    bench.tick(S(10_000));
    bench.well();
    bench.suite.world_mut(S(10_000)).relieve(1);
    bench.tick(S(10_010));
    bench.well();
    bench.tick(S(11_000));
    bench.broken("node 0 has held node 1");
}

#[test]
fn a_crash_is_to_be_known_within_the_bound() {
    let config = Config::lan();
    let bound = bounds(3, &config).detection();
    for state in [None, Some(MemberState::Suspect), Some(MemberState::Dead), Some(MemberState::Left)] {
        let mut bench = Bench::new(Detection, 3);
        bench.now = S(100);
        bench.crash(2);
        if let Some(state) = state {
            bench.tell(0, 2, state, 0);
            bench.tell(1, 2, state, 0);
        }
        bench.tick(S(100) + bound);
        bench.well();
        bench.tick(S(100) + bound + MS);
        match state {
            Some(MemberState::Dead | MemberState::Left) => bench.well(),
            _ => bench.broken("node 0 still holds node 2"),
        }
    }
}

#[test]
fn a_cluster_that_is_not_at_one_is_told_of_after_the_bound_and_one_that_wavers_at_once() {
    // Node 2 is up and unknown to the two others.
    let mut bench = Bench::new(Convergence::default(), 2);
    let stranger = Node::new(gossip_core::Instant::from_millis(1), Config::lan(), &Setup::new(2)).unwrap();
    bench.nodes.insert(2, stranger);
    bench.suite.on_lifecycle(S(1), 2, Lifecycle::Started);
    bench.suite.on_lifecycle(S(1), 2, Lifecycle::Joining);
    bench.tick(S(2));
    bench.suite.world_mut(S(2)).set_calm(true);
    bench.tick(S(1_000));
    bench.well();
    bench.tick(S(3_000));
    bench.broken("holds node 2 for None, who is there");

    let mut bench = Bench::new(Convergence::default(), 2);
    bench.suite.world_mut(S(2)).set_calm(true);
    assert_eq!(difference(bench.suite.world(), &|id| bench.nodes.get(&id)), None);
    bench.suite.world_mut(S(2)).set_settled();
    bench.tick(S(3));
    bench.well();
    bench.nodes.remove(&0);
    bench.suite.on_lifecycle(S(3), 0, Lifecycle::Crashed);
    bench.tick(S(4));
    bench.broken("counts 2 members");
}

#[test]
fn an_event_that_nobody_started_that_comes_again_or_with_other_bytes_is_told_of() {
    let mut bench = Bench::new(Delivery::default(), 2);
    let id = bench.start_event(0, 7, false);
    bench.deliver(1, id, b"event", Order::Unordered);
    bench.restart(1);
    bench.deliver(1, id, b"event", Order::Unordered);
    bench.well();
    bench.suite.starts_from_snapshot(1);
    bench.restart(1);
    bench.deliver(1, id, b"event", Order::Unordered);
    bench.broken("node 1 got event 7 of node 0 again");

    let mut bench = Bench::new(Delivery::default(), 2);
    let id = bench.start_event(0, 7, false);
    bench.deliver(1, id, b"evenT", Order::Unordered);
    bench.broken("other bytes");

    let mut bench = Bench::new(Delivery::default(), 2);
    bench.deliver(1, EventId { origin: 0, sequence: 8 }, b"event", Order::Unordered);
    bench.broken("nobody started");
}

#[test]
fn an_event_is_to_come_within_the_bound_from_any_member_that_keeps_it() {
    let config = Config::lan();
    let bound = bounds(3, &config).telling();
    for arrives in [true, false] {
        let mut bench = Bench::new(Spread::default(), 3);
        bench.now = S(10);
        let id = bench.start_event(0, 7, false);
        bench.deliver(1, id, b"event", Order::Unordered);
        // The origin is gone: node 1 has it.
        bench.crash(0);
        bench.tick(S(10) + bound);
        bench.well();
        if arrives {
            bench.deliver(2, id, b"event", Order::Unordered);
        }
        bench.tick(S(10) + bound + MS);
        if arrives { bench.well() } else { bench.broken("node 2 lacks event 7 of node 0") }
    }
    // Told to nobody, and its origin gone: it is lost.
    let mut bench = Bench::new(Spread::default(), 3);
    bench.start_event(0, 7, false);
    bench.crash(0);
    bench.tick(S(50));
    bench.well();
}

#[test]
fn what_says_to_be_in_order_is() {
    type Told<'a> = &'a [(u64, Order)];
    let orders: [(Told<'_>, Option<&str>); 5] = [
        (&[(1, Order::InOrder), (2, Order::InOrder), (3, Order::InOrder)], None),
        (&[(1, Order::InOrder), (3, Order::Gap), (2, Order::Late)], None),
        (&[(1, Order::InOrder), (3, Order::InOrder)], Some("in order before number 2")),
        (&[(1, Order::InOrder), (3, Order::Gap), (2, Order::Gap)], Some("after number 3")),
        (&[(1, Order::InOrder), (2, Order::Late)], Some("none after it before")),
    ];
    for (told, wrong) in orders {
        let mut bench = Bench::new(InOrder::default(), 2);
        let ids = [1, 2, 3].map(|sequence| bench.start_event(0, sequence, true));
        for &(sequence, order) in told {
            bench.deliver(1, ids[sequence as usize - 1], b"event", order);
        }
        wrong.map_or_else(|| bench.well(), |wrong| bench.broken(wrong));
    }
}

#[test]
fn the_counts_of_a_query_are_those_of_its_answers() {
    let id = EventId { origin: 0, sequence: 7 };
    let ask = || {
        let mut bench = Bench::new(Queries::new(false), 3);
        let (deadline, options) = (S(50), gossip_core::QueryOptions::default());
        let command = Command::StartQuery { payload: b"?", deadline, options };
        bench.suite.on_command(S(1), 0, &command, &Ok(Outcome::Started(id)));
        bench.suite.on_command(S(1), 1, &Command::Respond { id, payload: b"!" }, &Ok(Outcome::Done));
        bench
    };
    let answer = |from: u16, payload: &[u8]| Event::QueryAnswer { id, from, payload: payload.into() };
    let closed = |received, answered| Event::QueryClosed { id, received, answered, members: 2 };
    for (events, wrong) in [
        (vec![answer(1, b"!"), closed(1, 1)], None),
        (vec![answer(1, b"!"), closed(2, 2)], Some("and 1 came")),
        (vec![answer(1, b"!"), closed(2, 1)], Some("2 received and 1 answered")),
        (vec![answer(1, b"!"), answer(1, b"!")], Some("two answers")),
        (vec![answer(2, b"!")], Some("did not give")),
        (vec![answer(1, b"?")], Some("did not give")),
        (vec![closed(0, 0), closed(0, 0)], Some("not open")),
    ] {
        let mut bench = ask();
        events.iter().for_each(|event| bench.event(0, event));
        wrong.map_or_else(|| bench.well(), |wrong| bench.broken(wrong));
    }
    let mut bench = ask();
    bench.tick(S(100));
    bench.broken("was not closed");
}

#[test]
fn incarnations_that_fall_are_told_of() {
    let mut bench = Bench::new(Incarnations::default(), 2);
    bench.tell(0, 1, MemberState::Suspect, 5);
    bench.tell(0, 1, MemberState::Alive, 6);
    bench.well();
    bench.tell(0, 1, MemberState::Alive, 4);
    bench.broken("of node 1 fell from 6 to 4");

    // Back from a snapshot, and not above it.
    let mut bench = Bench::new(Incarnations::default(), 2);
    bench.tick(S(2));
    bench.suite.starts_from_snapshot(1);
    bench.restart(1);
    bench.tick(S(3));
    bench.broken("came back from a snapshot of 0 with 0");
}

#[test]
fn datagrams_that_are_too_long_or_too_many_are_told_of() {
    let mut bench = Bench::new(Limits::default(), 2);
    bench.suite.on_sent(S(2), 0, 1, &[0; 1400], Fate::Sent { delay: MS });
    bench.well();
    bench.suite.on_sent(S(2), 0, 1, &[0; 1401], Fate::Sent { delay: MS });
    bench.broken("1401 bytes");

    let config = Config { datagrams_per_second_max: 40, ..Config::lan() };
    let mut bench = Bench::with(Limits::default(), 2, &config);
    (0..12).for_each(|_| bench.suite.on_sent(S(2), 0, 1, &[0; 10], Fate::Sent { delay: MS }));
    bench.well();
    bench.suite.on_sent(S(2), 0, 1, &[0; 10], Fate::Sent { delay: MS });
    bench.broken("under a limit of 40");

    let mut bench = Bench::new(Limits::default(), 2);
    bench.suite.on_sent(S(9), 0, 1, &[0; 10], Fate::Sent { delay: MS });
    bench.tick(S(10));
    bench.well();
    (0..3_000).for_each(|_| bench.suite.on_sent(S(10), 0, 1, &[0; 10], Fate::Sent { delay: MS }));
    bench.tick(S(11));
    bench.broken("node 0 sent 3000 datagrams");
}

#[test]
fn a_cluster_at_rest_that_talks_is_told_of() {
    for (datagrams, quiet) in [(140, true), (200, false)] {
        let mut bench = Bench::new(Idle::default(), 2);
        bench.suite.world_mut(S(10)).set_idle(true);
        (0..datagrams)
            .for_each(|n| bench.suite.on_sent(S(10) + n * 100 * MS, 0, 1, &[0; 10], Fate::Sent { delay: MS }));
        bench.tick(S(30));
        if quiet { bench.well() } else { bench.broken("200 datagrams") }
    }
}

#[test]
fn what_is_refused_is_told_of_unless_the_network_did_it() {
    let refused = |error| Err(InputError::Datagram(error));
    for (damaged, error, wrong) in [
        (false, DecodeError::Checksum, true),
        (true, DecodeError::Checksum, false),
        (true, DecodeError::Malformed, true),
        (false, DecodeError::Replayed, false),
    ] {
        let mut bench = Bench::new(Refusals { damaged }, 2);
        bench.suite.on_delivered(S(2), 0, 1, &[], &refused(error));
        assert_eq!(bench.suite.violation().is_some(), wrong, "{error:?}");
    }
    let mut bench = Bench::new(Refusals { damaged: true }, 2);
    bench.suite.world_mut(S(2)).set_calm(true);
    bench.suite.on_delivered(S(33), 0, 1, &[], &refused(DecodeError::Replayed));
    bench.broken("received before");
}

#[test]
fn a_node_that_holds_what_it_did_not_tell_is_told_of() {
    let mut bench = Bench::new(Invariants, 3);
    bench.tick(S(2));
    bench.well();
    bench.tell(0, 1, MemberState::Suspect, 0);
    bench.tick(S(3));
    bench.broken("node 0 holds node 1 for Alive and told Some(Suspect)");
    let mut bench = Bench::new(Invariants, 3);
    bench.tell(0, 1, MemberState::Dead, 0);
    bench.tick(S(3));
    bench.broken("node 0 holds 2 others for live and told of 1");
}
