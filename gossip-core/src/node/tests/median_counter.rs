//! The median counter, as one node plays it against others that are written by hand.

use alloc::vec::Vec;

use super::*;
use crate::Strategy;
use crate::fanout::Fanout;
use crate::rumors::EventId;
use crate::wire::{COUNTER_C, Rumor, Terms};

const EVENT: EventId<u16> = EventId { origin: 7, sequence: 0 };

fn config() -> Config {
    Config { strategy: Strategy::MedianCounter { fanout: Fanout::Fixed(1) }, ..Config::lab() }
}

/// A node that knows of two others, at the beginning of a round.
fn node() -> (Node<u16>, Instant) {
    let mut node = Node::new(NOW, config(), &Setup::new(1_u16)).unwrap();
    for from in [2, 3] {
        say(&mut node, NOW, from, &Message::Nack { seq: 0 }, None);
    }
    let now = end_round(&mut node);
    drain(&mut node, now);
    (node, now)
}

/// A datagram from a member whose digest is the node's, with the event if there is a counter for it.
fn say(node: &mut Node<u16>, now: Instant, from: u16, message: &Message<'_, u16>, counter: Option<Option<u8>>) {
    let mut buffer = [0; 1400];
    let sender = Sender { incarnation: 0, digest: node.digest() };
    let mut encoder = Encoder::new(&mut buffer, Config::lab().cluster, sender, message).unwrap();
    if let Some(counter) = counter {
        let (EventId { origin, sequence }, terms) = (EVENT, Terms::default());
        let rumor = Rumor { origin, sequence, age_ms: 0, hops: 1, terms, counter, payload: b"x" };
        assert!(encoder.push(&Item::Rumor(rumor)));
    }
    let len = encoder.finish();
    node.handle(now, Input::Datagram { from, bytes: &buffer[..len] }).unwrap();
}

const CALL: Message<'static, u16> = Message::Gossip { answer: true };

/// What the node sends: to whom, whether it is an answer, and the counter of the event where it is told.
fn drain(node: &mut Node<u16>, now: Instant) -> Vec<(u16, bool, Option<u8>)> {
    let mut buffer = [0; 1400];
    let mut sent = Vec::new();
    while let Some(transmit) = node.poll_transmit(now, &mut buffer) {
        let datagram = wire::decode::<u16>(&buffer[..transmit.len], Config::lab().cluster).unwrap();
        let told = datagram.items.clone().find_map(|item| match item {
            Item::Rumor(rumor) => Some(rumor.counter.expect("a copy carries its counter")),
            Item::Update(_) | Item::Coordinate(_) => None,
        });
        sent.push((transmit.to, datagram.message == Message::Answer, told));
    }
    sent
}

/// Goes to the beginning of the next round.
fn end_round(node: &mut Node<u16>) -> Instant {
    let now = node.timers.next().unwrap();
    node.handle(now, Input::Timeout).unwrap();
    now
}

/// The counter that the node's call of a round tells.
fn called_with(node: &mut Node<u16>) -> (Instant, Option<u8>) {
    let now = end_round(node);
    let sent = drain(node, now);
    assert!(matches!(sent[..], [(2 | 3, false, _)]), "one call: {sent:?}");
    (now, sent[0].2)
}

#[test]
fn who_is_called_answers_with_its_counter_until_it_is_silent() {
    let (mut node, now) = node();
    say(&mut node, now, 2, &CALL, Some(Some(1)));
    assert_eq!(drain(&mut node, now), [(2, true, Some(0))], "learnt in this round");
    // Three members: one round of each, and no B-2.
    let (now, counter) = called_with(&mut node);
    assert_eq!(counter, Some(1));
    say(&mut node, now, 3, &CALL, Some(Some(0)));
    assert_eq!(drain(&mut node, now), [(3, true, Some(1))]);
    let (now, counter) = called_with(&mut node);
    assert_eq!(counter, Some(1), "a contact with an uninformed node does not count on");
    say(&mut node, now, 3, &CALL, Some(Some(1)));
    assert_eq!(drain(&mut node, now), [(3, true, Some(1))]);
    let (now, counter) = called_with(&mut node);
    assert_eq!(counter, Some(COUNTER_C));
    say(&mut node, now, 2, &CALL, Some(Some(COUNTER_C)));
    assert_eq!(drain(&mut node, now), [(2, true, Some(COUNTER_C))]);
    let (now, counter) = called_with(&mut node);
    assert_eq!(counter, None);
    say(&mut node, now, 2, &CALL, Some(Some(COUNTER_C)));
    assert_eq!(drain(&mut node, now), [], "silent, and the digests agree");
}

#[test]
fn an_answer_is_a_contact_and_a_probe_is_none() {
    for (message, after) in [(Message::Answer, COUNTER_C), (Message::Ping { seq: 1 }, 1)] {
        let (mut node, now) = node();
        say(&mut node, now, 2, &Message::Answer, Some(Some(1)));
        let (now, counter) = called_with(&mut node);
        assert_eq!(counter, Some(1));
        say(&mut node, now, 3, &message, Some(Some(1)));
        drain(&mut node, now);
        assert_eq!(called_with(&mut node).1, Some(after), "{message:?}");
    }
}

#[test]
fn a_copy_without_a_counter_is_that_of_one_who_knows() {
    let (mut node, now) = node();
    say(&mut node, now, 2, &CALL, Some(None));
    assert_eq!(drain(&mut node, now), [(2, true, Some(0))]);
    let (now, _) = called_with(&mut node);
    say(&mut node, now, 3, &CALL, Some(None));
    drain(&mut node, now);
    assert_eq!(called_with(&mut node).1, Some(COUNTER_C));
}

#[test]
fn another_strategy_tells_without_a_counter_and_counting_begins_when_it_is_chosen() {
    let (mut node, now) = node();
    let push_pull = Config { strategy: Strategy::PushPull { fanout: Fanout::Fixed(1) }, ..config() };
    say(&mut node, now, 2, &CALL, Some(Some(COUNTER_C)));
    node.handle(now, Input::Command(Command::Reconfigure { config: &push_pull })).unwrap();
    assert_eq!(node.rumors.find(now, &EVENT).unwrap().counter, None);
    node.handle(now, Input::Command(Command::Reconfigure { config: &config() })).unwrap();
    drain(&mut node, now);
    assert_eq!(called_with(&mut node).1, Some(1));
}

#[test]
fn what_is_kept_and_no_longer_told_is_silent_under_the_counters_as_well() {
    let (mut node, now) = node();
    let once =
        Config { strategy: Strategy::PushPull { fanout: Fanout::Fixed(1) }, retransmit_multiplier: 1, ..config() };
    node.handle(now, Input::Command(Command::Reconfigure { config: &once })).unwrap();
    // Copies without a counter, which are not looked at.
    let discard = |node: &mut Node<u16>, now| while node.poll_transmit(now, &mut [0; 1400]).is_some() {};
    say(&mut node, now, 2, &CALL, Some(None));
    discard(&mut node, now);
    // Three members: told once, in the call of this round.
    let now = end_round(&mut node);
    discard(&mut node, now);
    node.handle(now, Input::Command(Command::Reconfigure { config: &config() })).unwrap();
    assert_eq!(node.rumors.find(now, &EVENT).unwrap().counter, Some(COUNTER_C));
    say(&mut node, now, 2, &CALL, Some(Some(1)));
    assert_eq!(drain(&mut node, now), [], "nothing to say in return");
}
