//! The bytes from which a node comes back: a file, which may hold anything.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;
use std::vec;
use std::vec::Vec;

use gossip_core::member::INCARNATION_MAX;
use gossip_core::{Address, ClusterTag, Config, Input, Instant, Node, SEEDS_MAX, Setup, Snapshot, SnapshotError};

const CLUSTER: ClusterTag = ClusterTag(0xbeef);

/// The first byte says which addresses the others are read with, and whether length and checksum are put right.
pub fn run(data: &[u8]) {
    let Some((&mode, body)) = data.split_first() else { return };
    if mode & 1 == 0 { restore::<SocketAddr>(mode, body) } else { restore::<u16>(mode, body) }
}

/// A snapshot that can be read is one from which a node comes back with all bounds kept, and what that node writes down in turn
/// is no less.
fn restore<A: Address>(mode: u8, body: &[u8]) {
    let mut bytes = body.to_vec();
    if mode & 2 == 0 {
        bytes = gossip_core::sealed_snapshot(CLUSTER, body);
    }
    let Ok(snapshot) = check::<A>(&bytes) else { return };
    let config = Config { cluster: snapshot.cluster, members_max: 8, events_max: 2, seen_max: 4, ..Config::lan() };
    let now = Instant::from_millis(1_000);
    let setup = Setup::new(snapshot.local);
    let mut node = Node::restore(now, config.clone(), &setup, &snapshot, Duration::from_millis(u64::from(mode >> 2)))
        .expect("its own");
    node.check_invariants();
    let mut again = Vec::new();
    node.snapshot(now, &mut again);
    let second = check::<A>(&again).expect("what a node writes down can be read");
    assert!(second.seeds().count() <= SEEDS_MAX);
    assert!(second.members().count() <= config.members_max);
    assert!(second.incarnation > snapshot.incarnation || second.incarnation == INCARNATION_MAX);
    assert!(second.next_sequence > snapshot.next_sequence || second.next_sequence == u64::MAX);
    assert_eq!(second.metadata.bytes, b"", "as the setup says");
    assert!(second.metadata.version >= snapshot.metadata.version);
    let known: BTreeSet<A> = snapshot.members().map(|addr| A::Stored::from(addr).into()).collect();
    assert!(second.members().all(|addr| known.contains(&addr)), "nobody is invented");
    for _ in 0..20 {
        let Some(due) = node.poll_timeout() else { break };
        let _ = node.handle(due, Input::Timeout);
        while node.poll_transmit(due, &mut vec![0; 1_400]).is_some() || node.poll_event().is_some() {}
        node.check_invariants();
    }
}

/// The properties of a snapshot.
pub(crate) fn check<A: Address>(bytes: &[u8]) -> Result<Snapshot<'_, A>, SnapshotError> {
    let snapshot = Snapshot::<A>::parse(bytes)?;
    assert!(snapshot.incarnation <= INCARNATION_MAX && snapshot.metadata.bytes.len() <= 256);
    // Each entry takes a byte at least.
    assert!(snapshot.seeds().count() + snapshot.members().count() <= bytes.len());
    Ok(snapshot)
}
