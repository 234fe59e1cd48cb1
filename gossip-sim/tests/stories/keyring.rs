//! Sealed datagrams: a cluster that uses them, keys that change under traffic, and what an attacker on the network can try.

use std::time::Duration;

use gossip_core::wire::{MAGIC_SEALED, SEALED_HEADER_LEN};
use gossip_core::{ClusterTag, Command, Config, Counters, EventId, Key, Keyring, Plain, event_payload_max};
use gossip_sim::{Addresses, Captured, Journal, NodeId, Restart, StartOptions};

use crate::{Cluster, converged};

const S: fn(u64) -> Duration = Duration::from_secs;
const MS: fn(u64) -> Duration = Duration::from_millis;

fn key(id: u8) -> Key {
    Key::new(id, [id ^ 0x5a; 32])
}

fn keyring(ids: &[u8]) -> Keyring {
    Keyring::new(&ids.iter().map(|&id| key(id)).collect::<Vec<_>>()).expect("different ids")
}

/// A converged cluster whose nodes all have the keyring.
fn sealed_cluster(seed: u64, size: NodeId, keyring: &Keyring) -> Cluster {
    let mut cluster = Cluster::new(seed, Journal::default());
    for addr in 1..=size {
        stranger(&mut cluster, addr, Config::lan().cluster, Some(keyring));
    }
    assert!(cluster.run_until(S(60), Cluster::is_complete).is_some(), "{:?}", cluster.sizes());
    cluster
}

/// Starts a node that may or may not belong to the cluster whose first node it asks.
fn stranger(cluster: &mut Cluster, addr: NodeId, tag: ClusterTag, keyring: Option<&Keyring>) {
    let config = Config { cluster: tag, ..Config::lan() };
    cluster.start_at(addr, &config, &StartOptions { keyring, ..StartOptions::default() });
    cluster.join(addr, &[1]);
}

fn counters(cluster: &Cluster, addr: NodeId) -> Counters {
    cluster.node(addr).counters()
}

/// One event of another node every 20 ms, for as long as it takes to do `work` at each node, one every 100 ms.
fn under_traffic(
    cluster: &mut Cluster,
    size: NodeId,
    events: &mut Vec<EventId<u16>>,
    mut work: impl FnMut(&mut Cluster, NodeId),
) {
    for addr in 1..=size {
        work(cluster, addr);
        for _ in 0..5 {
            let origin = events.len() as NodeId * 7 % size + 1;
            events.push(cluster.start_event(origin, b"traffic"));
            cluster.run_for(MS(20));
        }
    }
}

fn set_keyring(cluster: &mut Cluster, addr: NodeId, keyring: &Keyring) {
    cluster.command(addr, Command::SetKeyring { keyring: Some(keyring) }).unwrap();
}

/// Nothing was refused, nobody was suspected, every event came to everyone once.
fn assert_nothing_lost(cluster: &mut Cluster, size: NodeId, events: &[EventId<u16>]) {
    cluster.run_for(S(10));
    assert_eq!(cluster.stats().refused, 0);
    for addr in 1..=size {
        let counters = counters(cluster, addr);
        assert_eq!((counters.suspicions, counters.probes_failed, counters.events_evicted), (0, 0, 0), "at {addr}");
    }
    assert!(cluster.is_complete() && cluster.deaths().is_empty());
    events.iter().for_each(|&id| cluster.assert_delivered_once(id));
}

#[test]
fn a_sealed_cluster_finds_together_and_tells_events_once() {
    let mut cluster = sealed_cluster(1, 16, &keyring(&[1]));
    let longest = vec![b'!'; event_payload_max::<u16>(&Config::lan())];
    let captured = cluster.capture(|cluster| {
        let ids: Vec<_> = (1..=16).map(|addr| cluster.start_event(addr, &longest)).collect();
        cluster.command(1, Command::Send { to: 2, payload: &longest }).unwrap();
        assert_nothing_lost(cluster, 16, &ids);
    });
    assert_eq!(cluster.journal(2).messages, [(1, longest.clone())]);
    assert!(cluster.stats().largest <= Config::lan().datagram_max, "{}", cluster.stats().largest);
    assert!(captured.len() > 1_000);
    for Captured { bytes, .. } in &captured {
        assert_eq!(bytes[0], MAGIC_SEALED);
        assert!(!bytes.windows(4).any(|window| window == b"!!!!"), "in the clear");
    }
    let mut seals: Vec<_> = captured.iter().map(|it| (it.from, &it.bytes[5..SEALED_HEADER_LEN])).collect();
    seals.sort_unstable();
    seals.dedup();
    assert_eq!(seals.len(), captured.len(), "a nonce is never used twice");
}

#[test]
fn a_key_is_replaced_under_traffic_without_losing_a_datagram() {
    const SIZE: NodeId = 16;
    let mut cluster = sealed_cluster(2, SIZE, &keyring(&[1]));
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
    assert!(counters(&cluster, 1).datagrams_unknown_key > 0, "the others have really forgotten the first key");
    let refused: u64 = (2..=SIZE).map(|addr| counters(&cluster, addr).datagrams_unknown_key).sum();
    assert!(refused > 0);
}

#[test]
fn encryption_comes_into_a_running_cluster_without_losing_a_datagram() {
    const SIZE: NodeId = 16;
    let mut cluster = converged(3, &Config::lan(), SIZE);
    let mut events = Vec::new();
    for plain in [Plain::Sent, Plain::Accepted, Plain::Refused] {
        let keyring = keyring(&[1]).with_plain(plain);
        under_traffic(&mut cluster, SIZE, &mut events, |cluster, addr| set_keyring(cluster, addr, &keyring));
        cluster.run_for(MS(10));
    }
    assert_nothing_lost(&mut cluster, SIZE, &events);
    let captured = cluster.capture(|cluster| cluster.run_for(S(2)));
    assert!(captured.len() > 60 && captured.iter().all(|it| it.bytes[0] == MAGIC_SEALED));

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
    let mut cluster = sealed_cluster(4, 8, &keyring(&[1]));
    let captured = cluster.capture(|cluster| {
        (0..20).for_each(|_| {
            cluster.start_event(3, b"event");
            cluster.run_for(MS(100));
        });
        cluster.run_for(MS(500));
    });
    assert!(captured.len() > 300, "{}", captured.len());
    let before: Vec<_> = (1..=8).map(|addr| counters(&cluster, addr)).collect();
    let sent = cluster.stats().datagrams;
    for it in &captured {
        replay(&mut cluster, it);
    }
    assert_eq!(cluster.stats().datagrams, sent, "and draws no answer");
    for addr in 1..=8 {
        let came = captured.iter().filter(|it| it.to.id() == Some(addr)).count() as u64;
        let mut expected = before[addr as usize - 1];
        expected.datagrams_replayed += came;
        assert_eq!(counters(&cluster, addr), expected, "at {addr}");
    }
    // To another receiver, and from another address.
    for Captured { from, to, bytes, .. } in captured.iter().take(100) {
        let (from, to) = (u16::of(*from), NodeId::from(*to));
        let (other_to, other_from) = (to % 8 + 1, from % 8 + 1);
        let before = (counters(&cluster, other_to), counters(&cluster, to));
        _ = cluster.inject(other_to, from, bytes);
        let after = counters(&cluster, other_to);
        let refused = |of: &Counters| of.datagrams_forged + of.datagrams_replayed;
        assert_eq!((refused(&after), after.datagrams_accepted), (refused(&before.0) + 1, before.0.datagrams_accepted));
        let before = counters(&cluster, to);
        _ = cluster.inject(to, other_from, bytes);
        let after = counters(&cluster, to);
        assert_eq!((refused(&after), after.datagrams_accepted), (refused(&before) + 1, before.datagrams_accepted));
    }
}

/// Somebody on the network sends a datagram once more.
fn replay(cluster: &mut Cluster, captured: &Captured<u16>) {
    _ = cluster.inject(captured.to.into(), u16::of(captured.from), &captured.bytes);
}

/// A datagram of node 2 for node 1, taken off the network before it arrived.
fn intercepted(cluster: &mut Cluster) -> Vec<u8> {
    cluster.block(&[1], &[2]);
    cluster.command(2, Command::Send { to: 1, payload: b"secret" }).unwrap();
    let captured = cluster.capture(|cluster| {
        cluster.command(2, Command::Send { to: 1, payload: b"secret" }).unwrap();
    });
    cluster.unblock_all();
    captured.into_iter().find(|it| (it.from, it.to) == (2, 1)).expect("it was sent").bytes
}

#[test]
fn a_byte_changed_anywhere_has_the_datagram_refused_and_counted() {
    let mut cluster = sealed_cluster(5, 3, &keyring(&[1]));
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
    let before = counters(&cluster, 1);
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 0x80;
        let before = refusals(&counters(&cluster, 1));
        _ = cluster.inject(1, 2, &changed);
        let after = refusals(&counters(&cluster, 1));
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
    let after = counters(&cluster, 1);
    assert_eq!(after.datagrams_accepted, before.datagrams_accepted);
    assert!(cluster.journal(1).messages.is_empty());
    _ = cluster.inject(1, 2, &bytes);
    assert_eq!(
        cluster.journal(1).messages,
        [(2, b"secret".to_vec())],
        "unchanged it is taken, the forgeries spoilt nothing"
    );
    _ = cluster.inject(1, 2, &bytes);
    assert_eq!(counters(&cluster, 1).datagrams_replayed, after.datagrams_replayed + 1);
}

#[test]
fn strangers_are_kept_out_each_under_its_own_counter() {
    let count = |keyring: Option<Keyring>, cluster: ClusterTag| {
        let mut inside = sealed_cluster(6, 3, &self::keyring(&[1]));
        stranger(&mut inside, 9, cluster, keyring.as_ref());
        inside.run_for(S(5));
        assert_eq!(inside.sizes(), [3, 3, 3, 1]);
        (counters(&inside, 1), counters(&inside, 9))
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
    let mut cluster = Cluster::new(7, Journal::default());
    cluster.start_at(1, &Config::lan(), &StartOptions::default());
    stranger(&mut cluster, 2, Config::lan().cluster, Some(&keyring(&[1])));
    cluster.run_for(S(3));
    assert!(counters(&cluster, 1).datagrams_sealed >= 3);
    assert_eq!(cluster.sizes(), [1, 1]);
}

#[test]
fn a_restarted_node_is_heard_at_once_and_its_former_life_no_more() {
    let mut cluster = sealed_cluster(8, 8, &keyring(&[1]));
    let former = cluster.capture(|cluster| {
        cluster.start_event(3, b"of the former life");
        cluster.run_for(S(2));
    });
    cluster.restart(3, &Restart::Fresh).unwrap();
    cluster.join(3, &[1]);
    cluster.run_for(MS(10));
    let id = cluster.start_event(3, b"of the new life");
    cluster.run_for(S(2));
    assert_eq!(cluster.informed(id), 8);
    assert!(cluster.is_complete() && cluster.deaths().is_empty(), "nobody noticed more than a new incarnation");
    assert_eq!(cluster.stats().refused, 0);
    let of_third: Vec<_> = former.iter().filter(|it| it.from == 3).collect();
    assert!(of_third.len() >= 5, "{}", of_third.len());
    for it in of_third {
        let before = counters(&cluster, it.to.into()).datagrams_replayed;
        replay(&mut cluster, it);
        assert_eq!(counters(&cluster, it.to.into()).datagrams_replayed, before + 1);
    }
}

/// What is not defended: see docs/protocol.md.
#[test]
fn a_restarted_node_takes_a_replay_until_it_hears_the_sender_again() {
    let mut cluster = sealed_cluster(9, 4, &keyring(&[1]));
    let bytes = intercepted(&mut cluster);
    cluster.restart(1, &Restart::Fresh).unwrap();
    _ = cluster.inject(1, 2, &bytes);
    assert_eq!(cluster.journal(1).messages, [(2, b"secret".to_vec())], "it cannot know");
    cluster.join(1, &[2]);
    cluster.run_for(S(3));
    cluster.restart(2, &Restart::Fresh).unwrap();
    cluster.join(2, &[1]);
    cluster.run_for(S(3));
    _ = cluster.inject(1, 2, &bytes);
    assert_eq!(cluster.journal(1).messages.len(), 1, "it knows a later session");
}

#[test]
fn late_datagrams_are_taken_although_the_network_shuffles() {
    // As in a burst of 150 datagrams that arrive in the opposite order.
    let mut cluster = sealed_cluster(10, 2, &keyring(&[1]));
    cluster.block(&[1], &[2]);
    let mut captured = cluster.capture(|cluster| {
        for number in 0..150_u8 {
            cluster.command(2, Command::Send { to: 1, payload: &[number] }).unwrap();
        }
    });
    captured.retain(|it| (it.from, it.to) == (2, 1));
    for it in captured.iter().rev() {
        replay(&mut cluster, it);
    }
    let came: Vec<u8> = cluster.journal(1).messages.iter().map(|(_, payload)| payload[0]).collect();
    assert_eq!(came, (0..150).rev().collect::<Vec<u8>>());
}
