//! One datagram. Whatever decodes is exactly what encoding makes of it, and lies within the datagram.

use std::net::SocketAddr;
use std::vec;
use std::vec::Vec;

use gossip_core::member::INCARNATION_MAX;
use gossip_core::wire::{self, DecodeError, Item, Message, VERSION};
use gossip_core::{Address, ClusterTag, MemberState};

use super::forge;

const CLUSTER: ClusterTag = ClusterTag(0xbeef);

/// The first byte says which addresses the others are read with, whether a good header is put before them, and of which
/// version.
pub fn run(data: &[u8]) {
    let Some((&mode, body)) = data.split_first() else { return };
    let version = VERSION + (mode >> 2 & 1);
    let bytes = if mode & 2 == 0 { forge::sealed(body, CLUSTER, version) } else { body.to_vec() };
    let result = if mode & 1 == 0 { check::<SocketAddr>(&bytes, CLUSTER) } else { check::<u16>(&bytes, CLUSTER) };
    if mode & 2 == 0 {
        assert!(matches!(result, Ok(()) | Err(DecodeError::Malformed)), "the header is good: {result:?}");
    }
}

/// The properties of a datagram.
pub(crate) fn check<A: Address>(bytes: &[u8], cluster: ClusterTag) -> Result<(), DecodeError> {
    let datagram = wire::decode::<A>(bytes, cluster)?;
    assert!(datagram.sender.incarnation <= INCARNATION_MAX);
    if let Message::App { payload: body } | Message::Extension { body, .. } = datagram.message {
        assert_within(body, bytes);
    }
    let items: Vec<_> = datagram.items.collect();
    for item in &items {
        match item {
            Item::Rumor(rumor) => assert_within(rumor.payload, bytes),
            Item::Coordinate(coordinate) => assert!(coordinate.error().is_finite() && coordinate.error() >= 0.0),
            Item::Update(update) => {
                let state = update.claim.state;
                assert!(update.claim.incarnation <= INCARNATION_MAX);
                assert_eq!(update.accuser.is_some(), state == MemberState::Suspect);
                if let Some(metadata) = update.metadata {
                    assert!(state.is_live() && metadata.version > 0 && metadata.bytes.len() <= 256, "{update:?}");
                    assert_within(metadata.bytes, bytes);
                }
            }
        }
    }
    if datagram.version != VERSION {
        // What this version does not know was passed over.
        return Ok(());
    }
    let mut again = vec![0; bytes.len()];
    let len = forge::encode(&mut again, cluster, datagram.sender, &datagram.message, &items);
    assert_eq!(&again[..len], bytes, "{:?} {items:?}", datagram.message);
    Ok(())
}

fn assert_within(part: &[u8], whole: &[u8]) {
    assert!(whole.as_ptr_range().start <= part.as_ptr() && part.as_ptr_range().end <= whole.as_ptr_range().end);
}
