//! Bounds that cannot be seen from outside.

use core::time::Duration;

use super::*;
use crate::wire::{Encoder, Item, Message, Sender, Update};

const NOW: Instant = Instant::from_millis(1_000);

/// A datagram from a stranger with so many claims about one member.
fn claims(about: u16, claims: impl Iterator<Item = Claim>) -> Vec<u8> {
    let mut buffer = [0; 1400];
    let message: Message<'_, u16> = Message::Nack { seq: 0 };
    let sender = Sender { incarnation: 0, digest: 0 };
    let mut encoder = Encoder::new(&mut buffer, Config::lan().cluster, sender, &message).unwrap();
    for claim in claims {
        let accuser = (claim.state == MemberState::Suspect).then_some(9);
        assert!(encoder.push(&Item::Update(Update { addr: about, claim, accuser, metadata: None })));
    }
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
        assert!(node.tombstones.len() <= 32, "{} tombstones of {state:?}", node.tombstones.len());
        assert!(node.suspicion_deadlines.len() <= 32, "{} deadlines", node.suspicion_deadlines.len());
        // The one that counts is still there.
        while let Some(now) = node.poll_timeout().filter(|now| now.since(NOW) < Duration::from_secs(300)) {
            node.handle(now, Input::Timeout).unwrap();
            while node.poll_transmit(now, &mut [0; 1400]).is_some() || node.poll_event().is_some() {}
        }
        assert!(node.member(&5).is_none(), "forgotten in the end");
    }
}

#[test]
fn numbers_at_their_ends_do_not_overflow() {
    let setup = Setup { incarnation: INCARNATION_MAX, first_sequence: u64::MAX, ..Setup::new(1_u16) };
    let mut node = Node::new(NOW, Config::lan(), &setup).unwrap();
    for _ in 0..2 {
        node.handle(NOW, Input::Command(Command::StartEvent { payload: b"" })).unwrap();
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
    node.handle(NOW, Input::Command(Command::StartEvent { payload: b"event" })).unwrap();
    for _ in 0..3 {
        node.handle(end, Input::Timeout).unwrap();
        while node.poll_transmit(end, &mut [0; 1400]).is_some() {}
    }
    assert!(node.poll_timeout().is_some());
}
