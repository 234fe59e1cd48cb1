//! What fuzzing found, each told as a story. The scripts that found it are in `fuzz/corpus`.

use core::net::{SocketAddr, SocketAddrV6};

use super::*;
use crate::wire::{Rumor, Terms};

#[test]
fn an_event_is_not_started_under_a_number_that_was_heard_already() {
    let mut node = Node::new(NOW, Config::lan(), &Setup::new(1_u16)).unwrap();
    let mut buffer = [0; 1400];
    let sender = Sender { incarnation: 0, digest: 0 };
    let mut encoder = Encoder::new(&mut buffer, Config::lan().cluster, sender, &Message::<u16>::Answer).unwrap();
    for sequence in [0, 1, 3] {
        let rumor = Rumor {
            origin: 1_u16,
            sequence,
            age_ms: 0,
            hops: 1,
            terms: Terms::default(),
            counter: None,
            payload: b"of a former life",
        };
        assert!(encoder.push(&Item::Rumor(rumor)));
    }
    let len = encoder.finish();
    node.handle(NOW, Input::Datagram { from: 2, bytes: &buffer[..len] }).unwrap();
    let mut started = || node.handle(NOW, Input::Command(Command::event(b"new"))).unwrap();
    assert_eq!([started(), started()], [2, 4].map(|sequence| Outcome::Started(crate::EventId { origin: 1, sequence })));
    node.check_invariants();
}

/// A flow label and a scope name no other member, wherever they come in.
#[test]
fn addresses_that_are_one_in_the_table_are_one_in_commands() {
    let bare: SocketAddr = "[fe80::1]:7400".parse().unwrap();
    let scoped: SocketAddr = SocketAddrV6::new("fe80::1".parse().unwrap(), 7400, 5, 2).into();
    let other: SocketAddr = SocketAddrV6::new("fe80::2".parse().unwrap(), 7400, 5, 2).into();
    let mut node = Node::new(NOW, Config::lan(), &Setup::new(bare)).unwrap();
    node.handle(NOW, Input::Command(Command::Join { seeds: &[scoped, other] })).unwrap();
    let mut asked = core::iter::from_fn(|| node.poll_transmit(NOW, &mut [0; 1400]).map(|transmit| transmit.to));
    assert_eq!(asked.next(), Some("[fe80::2]:7400".parse().unwrap()), "without what is not sent, as it is recorded");
    assert_eq!(asked.next(), None, "a node does not ask itself in");
}
