//! Restarted from a snapshot.

use std::time::Duration;

use gossip_core::{Command, Config, EventId, MemberState};

use crate::network::Cluster;

const S: fn(u64) -> Duration = Duration::from_secs;

fn snapshot(cluster: &Cluster, addr: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    cluster.hosts[&addr].node.snapshot(cluster.now, &mut bytes);
    bytes
}

fn deliveries(cluster: &Cluster, addr: u16) -> Vec<EventId<u16>> {
    cluster.hosts[&addr].delivered.iter().map(|delivery| delivery.id).collect()
}

#[test]
fn a_node_that_restarts_within_seconds_is_back_at_once_delivers_nothing_twice_and_misses_nothing() {
    for seed in 1..=5 {
        let mut cluster = Cluster::converged(seed, Config::lan(), 32);
        for origin in 1..=10 {
            cluster.start_event(origin, b"before");
        }
        cluster.run_for(S(3));
        let bytes = snapshot(&cluster, 20);
        let mut seen = deliveries(&cluster, 20);
        assert_eq!(seen.len(), 10);
        cluster.crash(20);
        for origin in 11..=15 {
            cluster.start_event(origin, b"while it is away");
        }
        cluster.run_for(S(2));
        cluster.restore(20, &bytes, S(2));
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
    let mut cluster = Cluster::converged(6, Config::lan(), 16);
    let bytes = snapshot(&cluster, 3);
    cluster.crash(3);
    cluster.run_for(S(30));
    assert_eq!(cluster.host(1).node.member(&3).unwrap().state, MemberState::Dead);
    cluster.restore(3, &bytes, S(30));
    assert!(cluster.run_until(S(1), Cluster::is_complete).is_some(), "{:?}", cluster.sizes());
    assert_eq!(cluster.host(1).node.member(&3).unwrap().incarnation, 1, "nothing had to be refuted");
}

#[test]
fn a_snapshot_that_is_older_than_what_its_node_did_since_is_caught_up_with() {
    let mut cluster = Cluster::converged(7, Config::lan(), 16);
    cluster.restart_numbers_from_zero();
    cluster.crash(3);
    cluster.start(3);
    cluster.join(3, &[1]);
    cluster.run_for(S(3));
    let bytes = snapshot(&cluster, 3);
    // It goes on: it leaves and comes back twice, changes its metadata, and starts events.
    for _ in 0..2 {
        cluster.command(3, Command::Leave).unwrap();
        cluster.run_for(S(3));
        cluster.join(3, &[1]);
        cluster.run_for(S(3));
        cluster.command(3, Command::SetMetadata { metadata: b"since" }).unwrap();
        cluster.start_event(3, b"since");
    }
    cluster.run_for(S(5));
    cluster.crash(3);
    cluster.restore(3, &bytes, S(20));
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
    let mut cluster = Cluster::converged(8, Config::lan(), 30);
    cluster.start_event(1, b"long ago");
    cluster.run_for(S(3));
    let bytes = snapshot(&cluster, 5);
    cluster.crash(5);
    for addr in 101..=120 {
        cluster.start(addr);
        cluster.join(addr, &[30]);
    }
    cluster.run_for(S(5));
    (1..=29).filter(|addr| *addr != 5).for_each(|addr| cluster.crash(addr));
    cluster.run_for(S(120));
    assert!(cluster.is_complete());
    cluster.restore(5, &bytes, S(4 * 3600));
    assert!(cluster.run_until(S(5), Cluster::is_complete).is_some(), "{:?}", cluster.sizes());
    assert_eq!(deliveries(&cluster, 5), []);
    let new = cluster.start_event(30, b"new");
    cluster.run_for(S(5));
    cluster.assert_delivered_once(new);
}

#[test]
fn a_whole_cluster_restarts_without_seeds_and_without_a_storm() {
    let mut cluster = Cluster::converged(9, Config::lan(), 64);
    let snapshots: Vec<_> = (1..=64).map(|addr| (addr, snapshot(&cluster, addr))).collect();
    (1..=64).for_each(|addr| cluster.crash(addr));
    cluster.run_for(S(60));
    let before = cluster.bytes;
    for (addr, bytes) in &snapshots {
        cluster.restore(*addr, bytes, S(60));
    }
    let took = cluster.run_until(S(10), Cluster::is_complete);
    assert!(took.is_some_and(|took| took < S(3)), "{took:?}: {:?}", cluster.sizes());
    cluster.run_for(S(10));
    let each = (cluster.bytes - before) / 64;
    assert!(each < 20_000, "{each} bytes per node");
    assert!(cluster.deaths().is_empty());
}

#[test]
fn a_node_that_comes_back_with_a_longer_lifetime_of_events_delivers_none_of_them_twice() {
    // Its identity is forgotten after 45 s, and others tell the event for 60 s.
    let short = Config { event_lifetime: S(30), ..Config::lan() };
    for (seed, taken_after, cut_off) in [(10, 50, 0), (11, 5, 45)] {
        let mut cluster = Cluster::converged(seed, Config::lan(), 8);
        cluster.command(5, Command::Reconfigure { config: &short }).unwrap();
        let id = cluster.start_event(1, b"once");
        cluster.run_for(S(taken_after));
        assert_eq!(deliveries(&cluster, 5), [id]);
        let bytes = snapshot(&cluster, 5);
        cluster.crash(5);
        cluster.restore(5, &bytes, S(0));
        cluster.block(&[5], &[1, 2, 3, 4, 6, 7, 8]);
        cluster.run_for(S(cut_off));
        cluster.unblock_all();
        cluster.run_for(S(9));
        assert_eq!(deliveries(&cluster, 5), [], "after {taken_after} s");
    }
}
