//! What fuzzing found, each told as a story. The scripts that found it are in `fuzz/corpus`.

use core::net::{SocketAddr, SocketAddrV6};

use super::*;

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
