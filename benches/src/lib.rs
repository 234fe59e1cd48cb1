//! Builds what the benches measure: nodes with many members, and datagrams for them.

pub mod sim;
pub mod watch;

use std::net::{Ipv4Addr, SocketAddr};

use gossip_core::wire::sealed::{Seal, SenderKey};
use gossip_core::wire::{Encoder, Item, Message, Rumor, SEALED_HEADER_LEN, Sender, TAG_LEN, Terms, Update};
use gossip_core::{Claim, ClusterTag, Config, Input, Instant, Key, MemberState, Node, Setup};

/// The sizes at which a cost must be flat.
pub const SIZES: [u32; 3] = [128, 1_000, 10_000];

/// Address of a member; 0 is the node that is measured.
#[must_use]
pub fn address(index: u32) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::from(0x0a00_0000 + index), 7400))
}

/// An update about a member.
#[must_use]
pub fn update(index: u32, incarnation: u32) -> Item<'static, SocketAddr> {
    let claim = Claim { incarnation, state: MemberState::Alive };
    Item::Update(Update { addr: address(index), claim, accuser: None, metadata: None })
}

/// A rumor of 64 bytes.
#[must_use]
pub fn rumor(sequence: u64) -> Item<'static, SocketAddr> {
    Item::Rumor(Rumor {
        counter: None,
        origin: address(1),
        sequence,
        age_ms: 100,
        hops: 2,
        terms: Terms::default(),
        payload: &[7; 64],
    })
}

/// A datagram from a member whose digests are `sender`'s, with as many of the items as fit, and how many those are.
pub fn datagram(
    sender: Sender,
    message: &Message<'_, SocketAddr>,
    items: impl IntoIterator<Item = Item<'static, SocketAddr>>,
) -> (Vec<u8>, usize) {
    let mut buffer = vec![0; 1400];
    let mut encoder = Encoder::new(&mut buffer, ClusterTag::default(), sender, message).expect("any message fits");
    let mut count = 0;
    for item in items {
        if !encoder.push(&item) {
            break;
        }
        count += 1;
    }
    let len = encoder.finish();
    buffer.truncate(len);
    (buffer, count)
}

/// A datagram to the node that is measured, sealed as the one with this number of `from`'s first life.
#[must_use]
pub fn sealed(key: &Key, from: SocketAddr, counter: u64, sender: Sender, message: &Message<'_, SocketAddr>) -> Vec<u8> {
    let mut buffer = vec![0; 1400];
    let body = &mut buffer[SEALED_HEADER_LEN..1400 - TAG_LEN];
    let len = Encoder::body(body, sender, message).expect("any message fits").finish();
    let seal = Seal::new(key.id(), 1, counter);
    let sender_key = SenderKey::new(key, &from, seal.session);
    let len = sender_key.seal(&mut buffer, len, &seal, ClusterTag::default(), &address(0)).expect("room was left");
    buffer.truncate(len);
    buffer
}

/// A node that knows `size` members and has told of them all.
#[must_use]
pub fn settled_node(size: u32) -> Node<SocketAddr> {
    let start = Instant::from_millis(1);
    let mut node =
        Node::new(start, Config::lan(), &Setup { seed: 1, session: 1, ..Setup::new(address(0)) }).expect("a preset");
    let mut index = 1;
    while index < size {
        let sender = Sender { incarnation: 0, digest: 0 };
        let (bytes, count) = datagram(sender, &Message::Members, (index..size).map(|index| update(index, 0)));
        node.handle(start, Input::Datagram { from: address(1), bytes: &bytes }).expect("a valid datagram");
        index += count as u32;
    }
    assert_eq!(node.live_members(), size);
    let mut now = start;
    let mut buffer = [0; 1400];
    let mut silent = 0;
    // Until nothing is left to tell: each of `size` updates is told a dozen times. A timer in between may have nothing to do.
    while silent < 50 {
        now = node.poll_timeout().expect("a living node has timers").max(now);
        let _ = node.handle(now, Input::Timeout);
        silent += 1;
        while let Some(transmit) = node.poll_transmit(now, &mut buffer) {
            if transmit.len > 60 {
                silent = 0;
            }
        }
        drain(&mut node, now);
    }
    node
}

/// Pulls everything out of a node and throws it away.
pub fn drain(node: &mut Node<SocketAddr>, now: Instant) {
    let mut buffer = [0; 1400];
    while node.poll_transmit(now, &mut buffer).is_some() {}
    while node.poll_event().is_some() {}
}
