//! Bounds that cannot be seen from outside.

use core::time::Duration;

use super::*;
use crate::member::{Claim, INCARNATION_MAX, MemberState};
use crate::wire::{self, Encoder, Item, Message, Sender, Update};

mod fuzzed;
mod idle;
mod median_counter;
mod metadata;
mod name;
mod reconfigure;
mod restore;
mod transitions;
mod view;

const NOW: Instant = Instant::from_millis(1_000);

/// A datagram from a stranger with so many claims about one member.
fn claims(about: u16, claims: impl Iterator<Item = Claim>) -> Vec<u8> {
    updates(claims.map(|claim| {
        let accuser = (claim.state == MemberState::Suspect).then_some(9);
        Update { addr: about, claim, accuser, metadata: None }
    }))
}

fn updates<'a>(updates: impl Iterator<Item = Update<'a, u16>>) -> Vec<u8> {
    updates_on(&Message::Nack { seq: 0 }, updates)
}

fn updates_on<'a>(message: &Message<'_, u16>, updates: impl Iterator<Item = Update<'a, u16>>) -> Vec<u8> {
    let mut buffer = [0; 1400];
    let sender = Sender { incarnation: 0, digest: 0 };
    let mut encoder = Encoder::new(&mut buffer, Config::lan().cluster, sender, message).unwrap();
    updates.for_each(|update| assert!(encoder.push(&Item::Update(update))));
    let len = encoder.finish();
    buffer[..len].to_vec()
}

#[test]
fn a_member_that_is_accused_and_buried_a_thousand_times_costs_no_more_than_one() {
    for state in [MemberState::Suspect, MemberState::Dead, MemberState::Left] {
        let mut node = Node::new(NOW, Config::lan(), &Setup::new(1_u16)).unwrap();
        for round in 0..100 {
            let first = 1 + round * 100;
            let bytes = claims(
                5,
                (first..first + 100)
                    .flat_map(|incarnation| [MemberState::Alive, state].map(|state| Claim { incarnation, state })),
            );
            node.handle(NOW, Input::Datagram { from: 7, bytes: &bytes }).unwrap();
            while node.poll_event().is_some() {}
        }
        assert_eq!(node.member(&5).unwrap().incarnation, 10_000);
        assert!(node.watch.tombstones.len() <= 32, "{} tombstones of {state:?}", node.watch.tombstones.len());
        assert!(node.watch.suspicion_deadlines.len() <= 32, "{} deadlines", node.watch.suspicion_deadlines.len());
        // The one that counts is still there.
        while let Some(now) = node.poll_timeout().filter(|now| now.since(NOW) < Duration::from_secs(300)) {
            node.handle(now, Input::Timeout).unwrap();
            while node.poll_transmit(now, &mut [0; 1400]).is_some() || node.poll_event().is_some() {}
        }
        assert!(node.member(&5).is_none(), "forgotten in the end");
    }
}

#[test]
fn only_the_buddy_system_tells_a_suspect_what_nobody_else_is_told_any_more() {
    for buddy_system in [true, false] {
        let mut node = Node::new(NOW, Config { buddy_system, ..Config::lan() }, &Setup::new(1_u16)).unwrap();
        let suspect = Claim { incarnation: 1, state: MemberState::Suspect };
        node.handle(NOW, Input::Datagram { from: 7, bytes: &claims(5, [suspect].into_iter()) }).unwrap();
        while !node.updates.is_empty() {
            node.enqueue(Outgoing::Ack { to: 7, seq: 1 });
            node.poll_transmit(NOW, &mut [0; 1400]);
        }
        node.enqueue(Outgoing::Ack { to: 5, seq: 1 });
        let mut buffer = [0; 1400];
        let mut sent = core::iter::from_fn(|| node.poll_transmit(NOW, &mut buffer));
        let len = sent.find(|transmit| transmit.to == 5).unwrap().len;
        let told = wire::decode::<u16>(&buffer[..len], Config::lan().cluster).unwrap().items.count();
        assert_eq!(told, usize::from(buddy_system));
    }
}

#[test]
fn numbers_at_their_ends_do_not_overflow() {
    let setup = Setup { incarnation: INCARNATION_MAX, first_sequence: u64::MAX, ..Setup::new(1_u16) };
    let mut node = Node::new(NOW, Config::lan(), &setup).unwrap();
    for _ in 0..2 {
        node.handle(NOW, Input::Command(Command::event(b""))).unwrap();
        node.handle(NOW, Input::Command(Command::SetMetadata { metadata: b"x" })).unwrap();
    }
    node.handle(NOW, Input::Command(Command::Leave)).unwrap();
    node.handle(NOW, Input::Command(Command::Join { seeds: &[2] })).unwrap();
    assert_eq!(node.member(&1).unwrap().incarnation, INCARNATION_MAX);
    let above = Setup { incarnation: INCARNATION_MAX + 1, ..setup };
    assert_eq!(Node::new(NOW, Config::lan(), &above).unwrap_err().name, "incarnation");
}

#[test]
fn the_end_of_all_time_is_served_like_any_other() {
    let end = Instant::from_nanos(u64::MAX);
    let mut node = Node::new(NOW, Config::lan(), &Setup::new(1_u16)).unwrap();
    let suspect = Claim { incarnation: 1, state: MemberState::Suspect };
    node.handle(NOW, Input::Datagram { from: 7, bytes: &claims(5, [suspect].into_iter()) }).unwrap();
    node.handle(NOW, Input::Command(Command::event(b"event"))).unwrap();
    for _ in 0..3 {
        node.handle(end, Input::Timeout).unwrap();
        while node.poll_transmit(end, &mut [0; 1400]).is_some() {}
    }
    assert!(node.poll_timeout().is_some());
}

/// A node that knows the members 2..=`last` and has told of them.
fn node_with(last: u16) -> Node<u16> {
    let mut node = Node::new(NOW, Config::lan(), &Setup::new(1_u16)).unwrap();
    for addr in 2..=last {
        let bytes = claims(addr, [Claim { incarnation: 0, state: MemberState::Alive }].into_iter());
        node.handle(NOW, Input::Datagram { from: 2, bytes: &bytes }).unwrap();
    }
    node
}

#[test]
fn members_at_random_are_each_once_equally_likely_and_leave_the_protocol_alone() {
    let node = node_with(6);
    let mut first = BTreeMap::<u16, u32>::new();
    for random in 0..5_000 {
        let mut order: Vec<u16> = node.random_members(random).map(|member| member.addr).collect();
        assert_eq!(node.random_member(random).unwrap().addr, order[0]);
        *first.entry(order[0]).or_default() += 1;
        order.sort_unstable();
        assert_eq!(order, [2, 3, 4, 5, 6]);
    }
    assert!(first.len() == 5 && first.values().all(|count| (850..=1_150).contains(count)), "{first:?}");
    let alone = Node::new(NOW, Config::lan(), &Setup::new(1_u16)).unwrap();
    assert_eq!(alone.random_member(7), None);
}

#[test]
fn the_order_of_the_members_stays_when_one_is_forgotten_and_the_next_takes_its_place() {
    let mut node = node_with(5);
    let order = |node: &Node<u16>| node.members().map(|member| member.addr).collect::<Vec<_>>();
    assert_eq!(order(&node), [1, 2, 3, 4, 5]);
    let bytes = claims(3, [Claim { incarnation: 0, state: MemberState::Left }].into_iter());
    node.handle(NOW, Input::Datagram { from: 2, bytes: &bytes }).unwrap();
    assert_eq!(order(&node), [1, 2, 3, 4, 5], "it is remembered for a while");
    let later = NOW + node.config().tombstone_lifetime;
    node.handle(later, Input::Timeout).unwrap();
    assert_eq!(order(&node), [1, 2, 4, 5]);
    let bytes = claims(9, [Claim { incarnation: 0, state: MemberState::Alive }].into_iter());
    node.handle(later, Input::Datagram { from: 2, bytes: &bytes }).unwrap();
    assert_eq!(order(&node), [1, 2, 9, 4, 5]);
}

#[test]
fn who_reads_only_what_changed_has_what_reading_all_gives() {
    let mut node = node_with(40);
    let mut copy = BTreeMap::new();
    let mut version = 0;
    let mut rng = Rng::new(5);
    let mut now = NOW;
    let mut read_all = 0;
    for turn in 0..300 {
        for _ in 0..rng.below(20) {
            let state = [MemberState::Alive, MemberState::Suspect, MemberState::Dead][rng.below(3) as usize];
            let claim = Claim { incarnation: rng.below(turn + 1), state };
            let bytes = claims(2 + rng.below(60) as u16, [claim].into_iter());
            node.handle(now, Input::Datagram { from: 2, bytes: &bytes }).unwrap();
        }
        if turn % 50 == 0 {
            node.handle(now, Input::Command(Command::SetMetadata { metadata: &[turn as u8] })).unwrap();
            now += Duration::from_secs(70);
        }
        node.handle(now, Input::Timeout).unwrap();
        while node.poll_transmit(now, &mut [0; 1400]).is_some() || node.poll_event().is_some() {}
        if turn % 100 == 99 {
            // The reader was away for too long.
            node.members.changes_mut().keep(0);
            node.members.changes_mut().keep(1024);
        }
        let view = |member: Member<'_, u16>| (member.state, member.incarnation, member.metadata.to_vec());
        match node.changes_since(version) {
            Some(changes) => {
                for change in changes {
                    match change.member {
                        Some(member) => drop(copy.insert(change.addr, view(member))),
                        None => drop(copy.remove(&change.addr)),
                    }
                }
            }
            None => {
                read_all += 1;
                copy = node.members().map(|member| (member.addr, view(member))).collect();
            }
        }
        version = node.version();
        assert_eq!(copy, node.members().map(|member| (member.addr, view(member))).collect(), "turn {turn}");
    }
    assert_eq!(read_all, 3);
}

#[test]
fn a_node_takes_little_room_before_it_knows_anybody() {
    let size = size_of::<Node<core::net::SocketAddr>>();
    assert!(size <= 1_536, "{size} bytes");
}
