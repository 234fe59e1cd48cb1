//! Snapshots: what a restored node begins with.

use core::net::SocketAddr;

use super::*;
use crate::snapshot::{RestoreError, Snapshot, SnapshotError};

const LATER: Instant = Instant::from_millis(500);

fn taken(node: &Node<u16>) -> Vec<u8> {
    let mut bytes = Vec::new();
    node.snapshot(NOW, &mut bytes);
    bytes
}

fn restore(bytes: &[u8], setup: &Setup<'_, u16>) -> Node<u16> {
    let snapshot = Snapshot::parse(bytes).unwrap();
    Node::restore(LATER, Config::lan(), setup, &snapshot, Duration::ZERO).unwrap()
}

fn called(node: &mut Node<u16>, now: Instant) -> Vec<u16> {
    core::iter::from_fn(|| node.poll_transmit(now, &mut [0; 1400])).map(|transmit| transmit.to).collect()
}

fn start_event(node: &mut Node<u16>, now: Instant) -> u64 {
    match node.handle(now, Input::Command(Command::event(b"event"))).unwrap() {
        Outcome::Started(id) => id.sequence,
        Outcome::Done => panic!("an event was asked for"),
    }
}

#[test]
fn incarnation_and_numbers_of_events_exceed_those_of_the_former_life() {
    let mut node = node_with(3);
    node.handle(NOW, Input::Datagram { from: 2, bytes: &claims(1, [dead(4)].into_iter()) }).unwrap();
    assert_eq!(node.member(&1).unwrap().incarnation, 5);
    assert_eq!(start_event(&mut node, NOW), 0);
    let bytes = taken(&node);
    let after = start_event(&mut node, NOW);
    assert_eq!(after, 1, "after the snapshot was taken");

    let mut again = restore(&bytes, &Setup::new(1));
    assert_eq!(again.member(&1).unwrap().incarnation, 6);
    assert!(start_event(&mut again, LATER) > after);
    let setup = Setup { incarnation: 9, first_sequence: 1 << 50, ..Setup::new(1) };
    let mut again = restore(&bytes, &setup);
    assert_eq!(again.member(&1).unwrap().incarnation, 9, "the caller knows better");
    assert_eq!(start_event(&mut again, LATER), 1 << 50);

    let setup = Setup { incarnation: INCARNATION_MAX, first_sequence: u64::MAX, ..Setup::new(1) };
    let end = taken(&Node::new(NOW, Config::lan(), &setup).unwrap());
    let again = restore(&end, &Setup::new(1));
    assert_eq!(again.member(&1).unwrap().incarnation, INCARNATION_MAX, "no overflow");
}

fn dead(incarnation: u32) -> Claim {
    Claim { incarnation, state: MemberState::Dead }
}

#[test]
fn metadata_keep_their_version_if_they_are_the_same_and_exceed_it_if_not() {
    let mut node = node_with(2);
    for metadata in [&b"a"[..], b"b", b"c"] {
        node.handle(NOW, Input::Command(Command::SetMetadata { metadata })).unwrap();
    }
    let bytes = taken(&node);
    for (metadata, version) in [(&b"c"[..], 3), (b"d", 4), (b"", 4)] {
        let node = restore(&bytes, &Setup { metadata, ..Setup::new(1) });
        let own = node.member(&1).unwrap();
        assert_eq!((own.metadata, own.metadata_version), (metadata, version));
    }
}

#[test]
fn a_snapshot_of_another_node_or_cluster_is_refused() {
    let bytes = taken(&node_with(3));
    let snapshot = Snapshot::<u16>::parse(&bytes).unwrap();
    let restore = |config, local| Node::restore(LATER, config, &Setup::new(local), &snapshot, Duration::ZERO);
    assert_eq!(restore(Config::lan(), 2).unwrap_err(), RestoreError::Snapshot(SnapshotError::Address));
    let other = Config { cluster: crate::ClusterTag(7), ..Config::lan() };
    let error = restore(other, 1).unwrap_err();
    assert_eq!(error, RestoreError::Snapshot(SnapshotError::Cluster(Config::lan().cluster)));
    let wrong = Config { seen_max: 0, ..Config::lan() };
    assert!(matches!(restore(wrong, 1), Err(RestoreError::Config(error)) if error.name == "seen_max"));
}

#[test]
fn a_few_acquaintances_are_called_in_each_round_and_all_in_time_and_none_is_believed() {
    let bytes = taken(&node_with(100));
    let mut node = restore(&bytes, &Setup::new(1));
    assert_eq!(node.live_members(), 1, "nobody is believed to be there");
    let mut now = LATER;
    let mut asked = called(&mut node, now);
    assert_eq!(asked.len(), 3, "at once");
    for _ in 0..40 {
        now += node.config().gossip_interval;
        node.handle(now, Input::Timeout).unwrap();
        let round = called(&mut node, now);
        assert!(round.len() <= 3, "{round:?}");
        asked.extend(round);
    }
    asked.truncate(99);
    asked.sort_unstable();
    assert_eq!(asked, (2..=100).collect::<Vec<_>>(), "each once before any comes again");
    // A snapshot of the node that found nobody yet is as good as the first.
    let mut members: Vec<u16> = Snapshot::parse(&taken(&node)).unwrap().members().collect();
    members.sort_unstable();
    assert_eq!(members, (2..=100).collect::<Vec<_>>());
}

#[test]
fn who_has_found_its_cluster_calls_the_others_once_each_one_in_a_period() {
    let bytes = taken(&node_with(20));
    // Nobody answers here, and nobody is to be blamed for it.
    let config = Config { awareness_max: 0, suspicion_multiplier: 64, ..Config::lan() };
    let snapshot = Snapshot::parse(&bytes).unwrap();
    let mut node = Node::restore(LATER, config, &Setup::new(1), &snapshot, Duration::ZERO).unwrap();
    called(&mut node, LATER);
    let members: Vec<u16> = (2..=10).collect();
    let found = updates(members.iter().map(|&addr| Update {
        addr,
        claim: Claim { incarnation: 0, state: MemberState::Alive },
        accuser: None,
        metadata: None,
    }));
    let mut now = LATER;
    let mut strangers = Vec::new();
    for _ in 0..30 {
        now += node.config().probe_interval;
        node.handle(now, Input::Datagram { from: 2, bytes: &found }).unwrap();
        node.handle(now, Input::Timeout).unwrap();
        let others: Vec<u16> = called(&mut node, now).into_iter().filter(|to| *to > 10).collect();
        assert!(others.len() <= 1, "{others:?}");
        strangers.extend(others);
    }
    strangers.sort_unstable();
    assert_eq!(strangers, (11..=20).collect::<Vec<_>>());
}

fn rumor(sequence: u64, age_ms: u32) -> Vec<u8> {
    let mut buffer = [0; 1400];
    let message: Message<'_, u16> = Message::Nack { seq: 0 };
    let sender = Sender { incarnation: 0, digest: 0 };
    let mut encoder = Encoder::new(&mut buffer, Config::lan().cluster, sender, &message).unwrap();
    let rumor = crate::wire::Rumor {
        origin: 7,
        sequence,
        age_ms,
        hops: 1,
        terms: crate::wire::Terms::default(),
        counter: None,
        payload: b"x",
    };
    assert!(encoder.push(&Item::Rumor(rumor)));
    let len = encoder.finish();
    buffer[..len].to_vec()
}

fn hear(node: &mut Node<u16>, now: Instant, sequence: u64, age_ms: u32) -> bool {
    node.handle(now, Input::Datagram { from: 7, bytes: &rumor(sequence, age_ms) }).unwrap();
    let events: Vec<_> = core::iter::from_fn(|| node.poll_event()).collect();
    events.iter().any(|event| matches!(event, Event::UserEvent { .. }))
}

#[test]
fn an_event_is_not_delivered_again_but_kept_again_and_forgotten_in_time() {
    let mut node = node_with(2);
    assert!(hear(&mut node, NOW, 1, 0));
    let bytes = taken(&node);
    let mut again = restore(&bytes, &Setup::new(1));
    assert_eq!(again.rumors.len(), 0);
    assert!(!hear(&mut again, LATER, 1, 1_000));
    assert_eq!(again.rumors.digest(), node.rumors.digest(), "they know the same events");
    assert!(!again.rumors.has_news(), "others tell it on");
    assert!(!hear(&mut again, LATER, 1, 1_000));
    assert_eq!(again.rumors.len(), 1);
    // It is remembered for one and a half lifetimes of a minute in all, less what passed between the lives.
    let snapshot = Snapshot::parse(&bytes).unwrap();
    let setup = Setup::new(1);
    let old = Node::restore(LATER, Config::lan(), &setup, &snapshot, Duration::from_secs(80)).unwrap();
    let ten_seconds = LATER + Duration::from_secs(10);
    assert!(old.rumors.next_expiry().is_some_and(|at| at.since(ten_seconds) <= Duration::from_millis(1)));
    let too_old = Node::restore(LATER, Config::lan(), &setup, &snapshot, Duration::from_secs(91)).unwrap();
    assert_eq!(too_old.rumors.next_expiry(), None);
}

#[test]
fn what_the_application_did_not_get_is_delivered_in_the_next_life() {
    let mut node = node_with(2);
    while node.poll_event().is_some() {}
    node.handle(NOW, Input::Datagram { from: 7, bytes: &rumor(1, 0) }).unwrap();
    let mut again = restore(&taken(&node), &Setup::new(1));
    assert!(hear(&mut again, LATER, 1, 1_000));
}

#[test]
fn what_was_forgotten_early_stays_forgotten_though_the_clock_begins_anew() {
    let config = Config { seen_max: 4, events_max: 4, ..Config::lan() };
    let mut node = Node::new(NOW, config.clone(), &Setup::new(1_u16)).unwrap();
    // The youngest that was forgotten started ten seconds ago.
    for (sequence, age) in [30_000, 20_000, 40_000, 10_000, 8_000, 7_000, 6_000, 5_000].into_iter().enumerate() {
        assert!(hear(&mut node, NOW, sequence as u64, age));
    }
    let bytes = taken(&node);
    let snapshot = Snapshot::parse(&bytes).unwrap();
    // This life is half a second old.
    let mut again = Node::restore(LATER, config, &Setup::new(1), &snapshot, Duration::ZERO).unwrap();
    assert!(!hear(&mut again, LATER, 3, 10_000), "delivered and forgotten in the former life");
    assert!(!hear(&mut again, LATER, 20, 10_001), "it may have been");
    assert!(hear(&mut again, LATER, 21, 9_000), "it was not");
}

#[test]
fn ten_thousand_members_take_less_than_four_bytes_each() {
    let addr = |index: u32| SocketAddr::from(([10, 0, (index >> 8) as u8, index as u8], 7400));
    let mut node = Node::new(NOW, Config::lan(), &Setup::new(addr(0))).unwrap();
    for index in 1..=10_000 {
        let claim = Claim { incarnation: 0, state: MemberState::Alive };
        node.members.insert(addr(index), claim, None);
    }
    let mut bytes = Vec::new();
    node.snapshot(NOW, &mut bytes);
    assert_eq!(Snapshot::<SocketAddr>::parse(&bytes).unwrap().members().count(), 10_000);
    assert!(bytes.len() < 40_000, "{} bytes", bytes.len());
}
