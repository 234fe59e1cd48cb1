//! Sealed datagrams: a cluster that uses them, keys that change under traffic, and what an attacker on the network can try.

use std::time::Duration;

use gossip_core::wire::{MAGIC, MAGIC_SEALED, SEALED_HEADER_LEN, TAG_LEN};
use gossip_core::{
    ClusterTag, Command, CommandError, Config, Counters, EventId, Input, InputError, Instant, Key, Keyring, Node,
    Plain, Setup, event_payload_max, wire,
};

use crate::network::Cluster;

const S: fn(u64) -> Duration = Duration::from_secs;
const MS: fn(u64) -> Duration = Duration::from_millis;

fn key(id: u8) -> Key {
    Key::new(id, [id ^ 0x5a; 32])
}

fn keyring(ids: &[u8]) -> Keyring {
    Keyring::new(&ids.iter().map(|&id| key(id)).collect::<Vec<_>>()).expect("different ids")
}

/// A converged cluster whose nodes all have the keyring.
fn sealed_cluster(seed: u64, size: u16, keyring: Keyring) -> Cluster {
    let mut cluster = Cluster::new(seed, Config::lan());
    cluster.keyring = Some(keyring);
    for addr in 1..=size {
        cluster.start(addr);
        cluster.join(addr, &[1]);
    }
    assert!(cluster.run_until(S(60), Cluster::is_complete).is_some(), "{:?}", cluster.sizes());
    cluster
}

fn counters(cluster: &mut Cluster, addr: u16) -> Counters {
    *cluster.host(addr).node.counters()
}

/// One event of another node every 20 ms, for as long as it takes to do `work` at each node, one every 100 ms.
fn under_traffic(
    cluster: &mut Cluster,
    size: u16,
    events: &mut Vec<EventId<u16>>,
    mut work: impl FnMut(&mut Cluster, u16),
) {
    for addr in 1..=size {
        work(cluster, addr);
        for _ in 0..5 {
            let origin = events.len() as u16 * 7 % size + 1;
            events.push(cluster.start_event(origin, b"traffic"));
            cluster.run_for(MS(20));
        }
    }
}

fn set_keyring(cluster: &mut Cluster, addr: u16, keyring: &Keyring) {
    cluster.command(addr, Command::SetKeyring { keyring: Some(keyring) }).unwrap();
}

/// Nothing was refused, nobody was suspected, every event came to everyone once.
fn assert_nothing_lost(cluster: &mut Cluster, size: u16, events: &[EventId<u16>]) {
    cluster.run_for(S(10));
    assert_eq!(cluster.refused, 0);
    for addr in 1..=size {
        let counters = counters(cluster, addr);
        assert_eq!((counters.suspicions, counters.probes_failed, counters.events_evicted), (0, 0, 0), "at {addr}");
    }
    assert!(cluster.is_complete() && cluster.deaths().is_empty());
    events.iter().for_each(|&id| cluster.assert_delivered_once(id));
}

#[test]
fn a_sealed_cluster_finds_together_and_tells_events_once() {
    let mut cluster = sealed_cluster(1, 16, keyring(&[1]));
    cluster.capture = Some(Vec::new());
    let longest = vec![b'!'; event_payload_max::<u16>(&cluster.config)];
    let ids: Vec<_> = (1..=16).map(|addr| cluster.start_event(addr, &longest)).collect();
    cluster.command(1, Command::Send { to: 2, payload: &longest }).unwrap();
    assert_nothing_lost(&mut cluster, 16, &ids);
    assert_eq!(cluster.host(2).messages, [(1, longest.clone())]);
    assert!(cluster.largest <= cluster.config.datagram_max, "{}", cluster.largest);
    let captured = cluster.capture.take().unwrap();
    assert!(captured.len() > 1_000);
    for (_, _, bytes) in &captured {
        assert_eq!(bytes[0], MAGIC_SEALED);
        assert!(!bytes.windows(4).any(|window| window == b"!!!!"), "in the clear");
    }
    let mut seals: Vec<_> = captured.iter().map(|(from, _, bytes)| (*from, &bytes[5..SEALED_HEADER_LEN])).collect();
    seals.sort_unstable();
    seals.dedup();
    assert_eq!(seals.len(), captured.len(), "a nonce is never used twice");
}

#[test]
fn a_key_is_replaced_under_traffic_without_losing_a_datagram() {
    const SIZE: u16 = 16;
    let mut cluster = sealed_cluster(2, SIZE, keyring(&[1]));
    let mut events = Vec::new();
    for step in [&[1, 2][..], &[2, 1], &[2]] {
        let keyring = keyring(step);
        under_traffic(&mut cluster, SIZE, &mut events, |cluster, addr| set_keyring(cluster, addr, &keyring));
        // Datagrams under way are sealed with what was in front when they were sent.
        cluster.run_for(MS(10));
    }
    assert_nothing_lost(&mut cluster, SIZE, &events);
    set_keyring(&mut cluster, 1, &keyring(&[1]));
    cluster.run_for(S(3));
    assert!(counters(&mut cluster, 1).datagrams_unknown_key > 0, "the others have really forgotten the first key");
    assert!(counters(&mut cluster, 2).datagrams_unknown_key > 0);
}

#[test]
fn encryption_comes_into_a_running_cluster_without_losing_a_datagram() {
    const SIZE: u16 = 16;
    let mut cluster = Cluster::new(3, Config::lan());
    for addr in 1..=SIZE {
        cluster.start(addr);
        cluster.join(addr, &[1]);
    }
    cluster.run_until(S(60), Cluster::is_complete).unwrap();
    let mut events = Vec::new();
    for plain in [Plain::Sent, Plain::Accepted, Plain::Refused] {
        let keyring = keyring(&[1]).with_plain(plain);
        under_traffic(&mut cluster, SIZE, &mut events, |cluster, addr| set_keyring(cluster, addr, &keyring));
        cluster.run_for(MS(10));
    }
    assert_nothing_lost(&mut cluster, SIZE, &events);
    cluster.capture = Some(Vec::new());
    cluster.run_for(S(2));
    assert!(cluster.capture.take().unwrap().iter().all(|(_, _, bytes)| bytes[0] == MAGIC_SEALED));

    // And out of it again.
    let mut events = Vec::new();
    for plain in [Some(Plain::Accepted), Some(Plain::Sent), None] {
        let keyring = plain.map(|plain| keyring(&[1]).with_plain(plain));
        under_traffic(&mut cluster, SIZE, &mut events, |cluster, addr| {
            cluster.command(addr, Command::SetKeyring { keyring: keyring.as_ref() }).unwrap();
        });
        cluster.run_for(MS(10));
    }
    assert_nothing_lost(&mut cluster, SIZE, &events);
}

#[test]
fn every_captured_datagram_is_refused_when_it_comes_again() {
    let mut cluster = sealed_cluster(4, 8, keyring(&[1]));
    cluster.capture = Some(Vec::new());
    (0..20).for_each(|_| {
        cluster.start_event(3, b"event");
        cluster.run_for(MS(100));
    });
    cluster.run_for(MS(500));
    let captured = cluster.capture.take().unwrap();
    assert!(captured.len() > 300, "{}", captured.len());
    let before: Vec<_> = (1..=8).map(|addr| counters(&mut cluster, addr)).collect();
    let sent = cluster.datagrams;
    for (from, to, bytes) in &captured {
        cluster.inject(*to, *from, bytes);
    }
    assert_eq!(cluster.datagrams, sent, "and draws no answer");
    for addr in 1..=8 {
        let came = captured.iter().filter(|(_, to, _)| *to == addr).count() as u64;
        let mut expected = before[usize::from(addr) - 1];
        expected.datagrams_replayed += came;
        assert_eq!(counters(&mut cluster, addr), expected, "at {addr}");
    }
    // To another receiver, and from another address.
    for (from, to, bytes) in captured.iter().take(100) {
        let (other_to, other_from) = (to % 8 + 1, from % 8 + 1);
        let before = (counters(&mut cluster, other_to), counters(&mut cluster, *to));
        cluster.inject(other_to, *from, bytes);
        let after = counters(&mut cluster, other_to);
        let refused = |of: &Counters| of.datagrams_forged + of.datagrams_replayed;
        assert_eq!((refused(&after), after.datagrams_accepted), (refused(&before.0) + 1, before.0.datagrams_accepted));
        let before = counters(&mut cluster, *to);
        cluster.inject(*to, other_from, bytes);
        let after = counters(&mut cluster, *to);
        assert_eq!((refused(&after), after.datagrams_accepted), (refused(&before) + 1, before.datagrams_accepted));
    }
}

/// A datagram of node 2 for node 1, taken off the network before it arrived.
fn intercepted(cluster: &mut Cluster) -> Vec<u8> {
    cluster.block(&[1], &[2]);
    cluster.command(2, Command::Send { to: 1, payload: b"secret" }).unwrap();
    let captured = cluster.capture.replace(Vec::new());
    assert!(captured.is_none(), "one at a time");
    cluster.command(2, Command::Send { to: 1, payload: b"secret" }).unwrap();
    cluster.unblock_all();
    let captured = cluster.capture.take().unwrap();
    captured.into_iter().find(|(from, to, _)| (*from, *to) == (2, 1)).expect("it was sent").2
}

#[test]
fn a_byte_changed_anywhere_has_the_datagram_refused_and_counted() {
    let mut cluster = sealed_cluster(5, 3, keyring(&[1]));
    let bytes = intercepted(&mut cluster);
    let refusals = |counters: &Counters| {
        [
            counters.datagrams_foreign,
            counters.datagrams_other_version,
            counters.datagrams_other_cluster,
            counters.datagrams_unknown_key,
            counters.datagrams_replayed,
            counters.datagrams_forged,
        ]
    };
    let before = counters(&mut cluster, 1);
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 0x80;
        let before = refusals(&counters(&mut cluster, 1));
        cluster.inject(1, 2, &changed);
        let after = refusals(&counters(&mut cluster, 1));
        let which: Vec<_> = (0..6).filter(|&i| after[i] != before[i]).collect();
        let expected = match at {
            0 => 0,
            1 => 1,
            2 | 3 => 2,
            4 => 3,
            // A smaller session or counter is refused as a replay without a look at the tag, unless it is within the window.
            5..SEALED_HEADER_LEN if bytes[at] & 0x80 != 0 && which == [4] => 4,
            _ => 5,
        };
        assert_eq!(which, [expected], "byte {at}");
    }
    let after = counters(&mut cluster, 1);
    assert_eq!(after.datagrams_accepted, before.datagrams_accepted);
    assert!(cluster.host(1).messages.is_empty());
    cluster.inject(1, 2, &bytes);
    assert_eq!(
        cluster.host(1).messages,
        [(2, b"secret".to_vec())],
        "unchanged it is taken, the forgeries spoilt nothing"
    );
    cluster.inject(1, 2, &bytes);
    assert_eq!(counters(&mut cluster, 1).datagrams_replayed, after.datagrams_replayed + 1);
}

#[test]
fn strangers_are_kept_out_each_under_its_own_counter() {
    let count = |keyring: Option<Keyring>, cluster: ClusterTag| {
        let mut inside = sealed_cluster(6, 3, self::keyring(&[1]));
        inside.config.cluster = cluster;
        inside.keyring = keyring;
        inside.start(9);
        inside.join(9, &[1]);
        inside.run_for(S(5));
        assert_eq!(inside.sizes(), [3, 3, 3, 1]);
        (counters(&mut inside, 1), counters(&mut inside, 9))
    };
    let same = Config::lan().cluster;
    let joins = 5;
    assert!(count(None, same).0.datagrams_plain >= joins);
    assert!(count(Some(keyring(&[2])), same).0.datagrams_unknown_key >= joins);
    let wrong = Keyring::new(&[Key::new(1, [0; 32])]).unwrap();
    assert!(count(Some(wrong), same).0.datagrams_forged >= joins);
    assert!(count(Some(keyring(&[1])), ClusterTag(7)).0.datagrams_other_cluster >= joins);
    let readers = count(Some(keyring(&[1]).with_plain(Plain::Sent)), same).0;
    assert!(readers.datagrams_plain >= joins, "who sends plain is refused, whatever it could read");
}

#[test]
fn a_node_without_a_keyring_counts_what_is_sealed() {
    let mut cluster = Cluster::new(7, Config::lan());
    cluster.start(1);
    cluster.keyring = Some(keyring(&[1]));
    cluster.start(2);
    cluster.join(2, &[1]);
    cluster.run_for(S(3));
    assert!(counters(&mut cluster, 1).datagrams_sealed >= 3);
    assert_eq!(cluster.sizes(), [1, 1]);
}

#[test]
fn a_restarted_node_is_heard_at_once_and_its_former_life_no_more() {
    let mut cluster = sealed_cluster(8, 8, keyring(&[1]));
    cluster.capture = Some(Vec::new());
    cluster.start_event(3, b"of the former life");
    cluster.run_for(S(2));
    let former = cluster.capture.take().unwrap();
    cluster.start(3);
    cluster.join(3, &[1]);
    cluster.run_for(MS(10));
    let id = cluster.start_event(3, b"of the new life");
    cluster.run_for(S(2));
    assert_eq!(cluster.informed(id), 8);
    assert!(cluster.is_complete() && cluster.deaths().is_empty(), "nobody noticed more than a new incarnation");
    assert_eq!(cluster.refused, 0);
    for (from, to, bytes) in former.iter().filter(|(from, to, _)| *from == 3 && *to != 3) {
        let before = counters(&mut cluster, *to).datagrams_replayed;
        cluster.inject(*to, *from, bytes);
        assert_eq!(counters(&mut cluster, *to).datagrams_replayed, before + 1);
    }
}

/// What is not defended: see docs/protocol.md.
#[test]
fn a_restarted_node_takes_a_replay_until_it_hears_the_sender_again() {
    let mut cluster = sealed_cluster(9, 4, keyring(&[1]));
    let bytes = intercepted(&mut cluster);
    cluster.start(1);
    cluster.inject(1, 2, &bytes);
    assert_eq!(cluster.host(1).messages, [(2, b"secret".to_vec())], "it cannot know");
    cluster.join(1, &[2]);
    cluster.run_for(S(3));
    cluster.start(2);
    cluster.join(2, &[1]);
    cluster.run_for(S(3));
    cluster.inject(1, 2, &bytes);
    assert_eq!(cluster.host(1).messages.len(), 1, "it knows a later session");
}

#[test]
fn late_datagrams_are_taken_although_the_network_shuffles() {
    // As in a burst of 150 datagrams that arrive in the opposite order.
    let mut cluster = sealed_cluster(10, 2, keyring(&[1]));
    cluster.block(&[1], &[2]);
    cluster.capture = Some(Vec::new());
    for number in 0..150_u8 {
        cluster.command(2, Command::Send { to: 1, payload: &[number] }).unwrap();
    }
    let mut captured = cluster.capture.take().unwrap();
    captured.retain(|(from, to, _)| (*from, *to) == (2, 1));
    for (from, to, bytes) in captured.iter().rev() {
        cluster.inject(*to, *from, bytes);
    }
    let came: Vec<u8> = cluster.host(1).messages.iter().map(|(_, payload)| payload[0]).collect();
    assert_eq!(came, (0..150).rev().collect::<Vec<u8>>());
}

#[test]
fn a_keyring_needs_a_session() {
    let keyring = keyring(&[1]);
    let setup = Setup { keyring: Some(&keyring), ..Setup::new(1_u16) };
    assert_eq!(Node::new(Instant::ZERO, Config::lan(), &setup).unwrap_err().name, "session");
    let mut node = Node::new(Instant::ZERO, Config::lan(), &Setup::new(1_u16)).unwrap();
    let refused = node.handle(Instant::ZERO, Input::Command(Command::SetKeyring { keyring: Some(&keyring) }));
    assert_eq!(refused, Err(InputError::Command(CommandError::NoSession)));
}

#[test]
fn a_keyring_taken_away_and_given_again_goes_on_counting() {
    let keyring = keyring(&[1]);
    let setup = Setup { session: 1, keyring: Some(&keyring), ..Setup::new(1_u16) };
    let mut node = Node::new(Instant::ZERO, Config::lan(), &setup).unwrap();
    let mut buffer = [0; 1_400];
    let mut join = |node: &mut Node<u16>| {
        node.handle(Instant::ZERO, Input::Command(Command::Join { seeds: &[2] })).unwrap();
        let len = node.poll_transmit(Instant::ZERO, &mut buffer).unwrap().len;
        buffer[..len].to_vec()
    };
    let counter = |bytes: &[u8]| (bytes[0], bytes[SEALED_HEADER_LEN - 1]);
    assert_eq!(counter(&join(&mut node)), (MAGIC_SEALED, 0));
    node.handle(Instant::ZERO, Input::Command(Command::SetKeyring { keyring: None })).unwrap();
    let plain = join(&mut node);
    assert_eq!(plain[0], MAGIC);
    assert!(wire::decode::<u16>(&plain, Config::lan().cluster).is_ok());
    node.handle(Instant::ZERO, Input::Command(Command::SetKeyring { keyring: Some(&keyring) })).unwrap();
    let sealed = join(&mut node);
    assert_eq!(counter(&sealed), (MAGIC_SEALED, 1), "not 0 again");
    assert_eq!(sealed.len(), plain.len() - wire::HEADER_LEN + SEALED_HEADER_LEN + TAG_LEN);
}

#[cfg(feature = "typed")]
#[test]
fn a_recording_holds_no_secret_and_replays_for_who_has_the_keys() {
    use gossip_core::typed;

    let first = keyring(&[1]);
    let second = keyring(&[2, 1]).with_plain(Plain::Accepted);
    let fresh =
        || Node::new(Instant::ZERO, Config::lan(), &Setup { seed: 5, session: 7, ..Setup::new(1_u16) }).unwrap();
    let (mut recording, mut sent, mut resent) = (Vec::new(), Vec::new(), Vec::new());
    let give = |node: &mut Node<u16>, now: Instant, input: Input<'_, u16>, out: &mut Vec<u8>| {
        node.handle(now, input).unwrap();
        let mut buffer = [0; 1400];
        while let Some(transmit) = node.poll_transmit(now, &mut buffer) {
            out.extend_from_slice(&buffer[..transmit.len]);
        }
    };
    let mut node = fresh();
    for keyring in [Some(&first), Some(&second), None] {
        for input in [Command::SetKeyring { keyring }, Command::Join { seeds: &[2] }].map(Input::Command) {
            typed::record(&mut recording, Instant::ZERO, &input).unwrap();
            give(&mut node, Instant::ZERO, input, &mut sent);
        }
    }
    for id in [1, 2] {
        assert!(!recording.windows(8).any(|window| window == [id ^ 0x5a; 8]), "secret {id}");
    }

    let mut again = fresh();
    let keys = [key(2), key(1)];
    typed::replay_with_keys::<u16>(&recording, &keys, |now, input| give(&mut again, now, input, &mut resent)).unwrap();
    assert_eq!(resent, sent);
    assert_eq!(typed::replay::<u16>(&recording, |_, _| {}), Err(typed::TypedError::Keyring));
    assert_eq!(
        typed::replay_with_keys::<u16>(&recording, &keys[1..], |_, _| {}),
        Err(typed::TypedError::Keyring),
        "one is missing"
    );
}
