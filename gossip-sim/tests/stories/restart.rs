//! Restarted from a snapshot.

use std::sync::Arc;
use std::time::Duration;

use gossip_core::{Command, Config, EventId, MemberState};
use gossip_sim::{NodeId, Restart, StartOptions};

use crate::{Cluster, converged, newcomer};

const S: fn(u64) -> Duration = Duration::from_secs;

/// Starts a host again from a snapshot, with nothing told to it beside, and a journal of its new life.
fn restore(cluster: &mut Cluster, addr: NodeId, bytes: &Arc<[u8]>, taken_ago: Duration) {
    cluster.clear_journal(addr);
    cluster.restart(addr, &Restart::From { bytes: bytes.clone(), taken_ago }).expect("its own snapshot");
}

fn deliveries(cluster: &Cluster, addr: NodeId) -> Vec<EventId<u16>> {
    cluster.journal(addr).delivered.iter().map(|delivery| delivery.id).collect()
}

#[test]
fn a_node_that_restarts_within_seconds_is_back_at_once_delivers_nothing_twice_and_misses_nothing() {
    for seed in 1..=5 {
        let mut cluster = converged(seed, &Config::lan(), 32);
        for origin in 1..=10 {
            cluster.start_event(origin, b"before");
        }
        cluster.run_for(S(3));
        let bytes = cluster.snapshot(20);
        let mut seen = deliveries(&cluster, 20);
        assert_eq!(seen.len(), 10);
        cluster.crash(20);
        for origin in 11..=15 {
            cluster.start_event(origin, b"while it is away");
        }
        cluster.run_for(S(2));
        restore(&mut cluster, 20, &bytes, S(2));
        let took = cluster.run_until(S(1), Cluster::is_complete);
        assert!(took.is_some(), "seed {seed}: {:?}", cluster.sizes());
        let own = cluster.start_event(20, b"after");
        let others = cluster.start_event(1, b"after");
        cluster.run_for(S(10));
        seen.extend(deliveries(&cluster, 20));
        assert_eq!(seen.len(), 16, "seed {seed}: ten before, five meanwhile, one after");
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 16, "seed {seed}: none twice");
        cluster.assert_delivered_once(own);
        assert!(cluster.informed(others) == 32 && cluster.deaths().is_empty());
        let digests: Vec<_> = cluster.up().map(|(_, host)| host.node.digest()).collect();
        assert!(digests.windows(2).all(|pair| pair[0] == pair[1]), "seed {seed}: {digests:?}");
    }
}

#[test]
fn a_death_that_was_declared_meanwhile_is_overruled_at_once() {
    let mut cluster = converged(6, &Config::lan(), 16);
    let bytes = cluster.snapshot(3);
    cluster.crash(3);
    cluster.run_for(S(30));
    assert_eq!(cluster.node(1).member(&3).unwrap().state, MemberState::Dead);
    restore(&mut cluster, 3, &bytes, S(30));
    assert!(cluster.run_until(S(1), Cluster::is_complete).is_some(), "{:?}", cluster.sizes());
    assert_eq!(cluster.node(1).member(&3).unwrap().incarnation, 1, "nothing had to be refuted");
}

#[test]
fn a_snapshot_that_is_older_than_what_its_node_did_since_is_caught_up_with() {
    let mut cluster = converged(7, &Config::lan(), 16);
    // It has no clock that tells it numbers of events which it never used.
    let from_zero = StartOptions { first_sequence: Some(0), ..StartOptions::default() };
    cluster.restart_with(3, &Config::lan(), &from_zero).unwrap();
    cluster.join(3, &[1]);
    cluster.run_for(S(3));
    let bytes = cluster.snapshot(3);
    // It goes on: it leaves and comes back twice, changes its metadata, and starts events.
    for _ in 0..2 {
        cluster.leave(3);
        cluster.run_for(S(3));
        cluster.join(3, &[1]);
        cluster.run_for(S(3));
        cluster.command(3, Command::SetMetadata { metadata: b"since" }).unwrap();
        cluster.start_event(3, b"since");
    }
    cluster.run_for(S(5));
    cluster.crash(3);
    let snapshot = Some((&*bytes, S(20)));
    cluster.restart_with(3, &Config::lan(), &StartOptions { snapshot, ..from_zero }).unwrap();
    let new = cluster.start_event(3, b"new");
    assert!(cluster.run_until(S(3), Cluster::is_complete).is_some(), "{:?}", cluster.sizes());
    cluster.run_for(S(5));
    cluster.assert_delivered_once(new);
    for (addr, host) in cluster.up() {
        let member = host.node.member(&3).unwrap();
        assert!(member.incarnation >= 2 && member.metadata.is_empty(), "at {addr}: {member:?}");
    }
}

#[test]
fn a_snapshot_of_hours_ago_finds_the_cluster_through_the_last_that_is_left_of_it() {
    let mut cluster = converged(8, &Config::lan(), 30);
    cluster.start_event(1, b"long ago");
    cluster.run_for(S(3));
    let bytes = cluster.snapshot(5);
    cluster.crash(5);
    for addr in 101..=120 {
        newcomer(&mut cluster, addr, &Config::lan(), &[30]);
    }
    cluster.run_for(S(5));
    (1..=29).filter(|addr| *addr != 5).for_each(|addr| cluster.crash(addr));
    cluster.run_for(S(120));
    assert!(cluster.is_complete());
    restore(&mut cluster, 5, &bytes, S(4 * 3600));
    assert!(cluster.run_until(S(5), Cluster::is_complete).is_some(), "{:?}", cluster.sizes());
    assert_eq!(deliveries(&cluster, 5), []);
    let new = cluster.start_event(30, b"new");
    cluster.run_for(S(5));
    cluster.assert_delivered_once(new);
}

#[test]
fn a_whole_cluster_restarts_without_seeds_and_without_a_storm() {
    let mut cluster = converged(9, &Config::lan(), 64);
    let snapshots: Vec<_> = (1..=64).map(|addr| (addr, cluster.snapshot(addr))).collect();
    (1..=64).for_each(|addr| cluster.crash(addr));
    cluster.run_for(S(60));
    let before = cluster.stats().bytes;
    for (addr, bytes) in &snapshots {
        restore(&mut cluster, *addr, bytes, S(60));
    }
    let took = cluster.run_until(S(10), Cluster::is_complete);
    assert!(took.is_some_and(|took| took < S(3)), "{took:?}: {:?}", cluster.sizes());
    cluster.run_for(S(10));
    let each = (cluster.stats().bytes - before) / 64;
    assert!(each < 20_000, "{each} bytes per node");
    assert!(cluster.deaths().is_empty());
}

#[test]
fn a_node_that_comes_back_with_a_longer_lifetime_of_events_delivers_none_of_them_twice() {
    // Its identity is forgotten after 45 s, and others tell the event for 60 s.
    let short = Config { event_lifetime: S(30), ..Config::lan() };
    for (seed, taken_after, cut_off) in [(10, 50, 0), (11, 5, 45)] {
        let mut cluster = converged(seed, &Config::lan(), 8);
        cluster.command(5, Command::Reconfigure { config: &short }).unwrap();
        let id = cluster.start_event(1, b"once");
        cluster.run_for(S(taken_after));
        assert_eq!(deliveries(&cluster, 5), [id]);
        let bytes = cluster.snapshot(5);
        cluster.crash(5);
        restore(&mut cluster, 5, &bytes, S(0));
        cluster.block(&[5], &[1, 2, 3, 4, 6, 7, 8]);
        cluster.run_for(S(cut_off));
        cluster.unblock_all();
        cluster.run_for(S(9));
        assert_eq!(deliveries(&cluster, 5), [], "after {taken_after} s");
    }
}
