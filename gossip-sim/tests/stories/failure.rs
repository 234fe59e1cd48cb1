//! Crashes, sleepers, partitions, hostile bytes.

use std::time::Duration;

use gossip_core::{Config, Event, MemberState};
use gossip_sim::NodeId;

use crate::{Cluster, converged};

const S: fn(u64) -> Duration = Duration::from_secs;

#[test]
fn a_crash_is_declared_by_every_survivor_and_nothing_else_is() {
    for (seed, size) in [(1, 3), (2, 8), (3, 32), (4, 64)] {
        let mut cluster = converged(seed, &Config::lan(), size);
        cluster.crash(2);
        let took = cluster.run_until(S(60), Cluster::is_complete);
        assert!(took.is_some(), "{size} nodes: {:?}", cluster.sizes());
        cluster.run_for(S(20));
        assert!(cluster.deaths().iter().all(|&(_, of)| of == 2), "{:?}", cluster.deaths());
        assert_eq!(cluster.deaths().len(), size as usize - 1);
    }
}

#[test]
fn a_crash_is_not_declared_before_the_shortest_suspicion() {
    // α = 4, N = 10, T′ = 1 s: a confirmed suspicion lasts 4 s, and the probe that raises it at least one period more
    // than its start.
    let mut cluster = converged(5, &Config { suspicion_multiplier: 4, ..Config::lan() }, 10);
    cluster.crash(2);
    cluster.run_for(Duration::from_millis(4_900));
    assert!(cluster.deaths().is_empty());
    cluster.run_for(S(30));
    assert_eq!(cluster.deaths().len(), 9);
}

#[test]
fn helpers_that_pinged_in_vain_bring_the_confirmations() {
    let slowest = [true, false].map(|helpers_confirm| {
        let config = Config { helpers_confirm, ..Config::lan() };
        let from_suspicion_to_all = |seed| {
            let mut cluster = converged(seed, &config, 24);
            cluster.crash(2);
            let suspected = |cluster: &Cluster| {
                cluster.up().any(|(_, host)| host.node.member(&2).is_some_and(|it| it.state == MemberState::Suspect))
            };
            cluster.run_until(S(30), suspected).expect("somebody's turn comes");
            let took = cluster.run_until(S(60), Cluster::is_complete).expect("all learn it");
            let seconded: u64 = cluster.up().map(|(_, host)| host.node.counters().suspicions_seconded).sum();
            assert_eq!(seconded > 0, helpers_confirm, "{seconded} seconded");
            took
        };
        (0..16).map(from_suspicion_to_all).max().expect("sixteen")
    });
    // The shortest suspicion is 3 s, and what is left is the spread of the news.
    assert!(slowest[0] <= Duration::from_millis(3_800) && slowest[1] >= S(5), "{slowest:?}");
}

#[test]
fn a_node_that_hears_nothing_gets_nobody_else_buried() {
    let mut cluster = converged(18, &Config { self_doubt: false, ..Config::lan() }, 24);
    let others: Vec<NodeId> = (2..=24).collect();
    // It speaks and does not hear: it accuses one after the other, no helper agrees, and each refutes.
    cluster.block_one_way(&others, &[1]);
    cluster.run_for(S(20));
    assert!(cluster.node(1).counters().suspicions > 0);
    assert!(cluster.deaths().iter().all(|&(by, of)| by == 1 || of == 1), "{:?}", cluster.deaths());
}

#[test]
fn who_pauses_for_two_and_a_half_seconds_is_not_buried() {
    let mut cluster = converged(19, &Config::lan(), 32);
    for addr in 1..=12 {
        cluster.pause(addr, Duration::from_millis(2_500));
        cluster.run_for(S(5));
    }
    assert!(cluster.deaths().is_empty(), "{:?}", cluster.deaths());
    let refuted: u64 = cluster.up().map(|(_, host)| host.node.counters().refutations).sum();
    assert!(refuted >= 6, "{refuted} of 12 pauses were noticed");
}

#[test]
fn a_quiet_cluster_under_loss_buries_nobody() {
    let mut cluster = converged(6, &Config::lan(), 48);
    cluster.set_loss(0.1);
    cluster.run_for(S(120));
    assert!(cluster.deaths().is_empty(), "{:?}", cluster.deaths());
    assert!(cluster.up().any(|(_, host)| host.node.counters().probes_indirect > 0), "the loss did something");
}

#[test]
fn who_sleeps_shorter_than_the_suspicion_is_not_buried_and_buries_nobody() {
    let mut cluster = converged(7, &Config::lan(), 32);
    for addr in [3, 9, 17] {
        cluster.deafen(addr, S(4));
    }
    cluster.run_for(S(30));
    assert!(cluster.deaths().is_empty(), "{:?}", cluster.deaths());
    assert!(cluster.is_complete());
    let suspected =
        cluster.up().any(|(_, host)| host.journal.changes.iter().any(|(.., state)| *state == MemberState::Suspect));
    assert!(suspected, "somebody noticed the sleep");
}

#[test]
fn who_sleeps_long_is_buried_refutes_and_is_back() {
    let mut cluster = converged(8, &Config::lan(), 16);
    cluster.deafen(5, S(40));
    cluster.run_for(S(39));
    assert_eq!(cluster.node(1).member(&5).unwrap().state, MemberState::Dead);
    assert!(!cluster.deaths().iter().any(|&(by, _)| by == 5), "a node that hears nobody accuses nobody");
    assert!(cluster.run_until(S(15), Cluster::is_complete).is_some(), "{:?}", cluster.sizes());
    let refuted = |event: &Event<u16>| matches!(event, Event::Refuted { .. });
    assert!(cluster.journal(5).events.iter().any(refuted));
}

#[test]
fn a_process_stopped_for_an_hour_wakes_up_without_accusing_anybody() {
    let mut cluster = converged(9, &Config::lan(), 8);
    cluster.pause(5, S(3600));
    cluster.run_for(S(3600));
    cluster.run_for(S(30));
    assert!(cluster.is_complete(), "{:?}", cluster.sizes());
    assert!(!cluster.deaths().iter().any(|&(by, _)| by == 5), "{:?}", cluster.deaths());
    assert_eq!(cluster.node(5).counters().stalls, 1);
}

#[test]
fn both_sides_of_a_healed_partition_find_together() {
    let mut cluster = converged(10, &Config::lan(), 16);
    let (ours, theirs): (Vec<NodeId>, Vec<NodeId>) = (1..=16).partition(|addr| addr % 2 == 0);
    cluster.block(&ours, &theirs);
    cluster.run_for(S(40));
    assert!(cluster.sizes().iter().all(|&size| size == 8), "{:?}", cluster.sizes());
    cluster.unblock_all();
    assert!(cluster.run_until(S(20), Cluster::is_complete).is_some(), "{:?}", cluster.sizes());
}

#[test]
fn a_partition_longer_than_all_memory_heals_through_the_seeds() {
    let mut cluster = converged(11, &Config::lan(), 6);
    cluster.block(&[1, 2, 3], &[4, 5, 6]);
    cluster.run_for(S(200));
    assert!(cluster.node(1).member(&4).is_none(), "forgotten");
    cluster.unblock_all();
    assert!(cluster.run_until(S(60), Cluster::is_complete).is_some(), "{:?}", cluster.sizes());
}

#[test]
fn a_one_way_link_is_helped_round_by_the_others() {
    let mut cluster = converged(12, &Config::lan(), 8);
    cluster.block(&[2], &[3]);
    cluster.run_for(S(60));
    assert!(cluster.is_complete(), "{:?}", cluster.sizes());
    assert!(cluster.deaths().is_empty());
    assert!(cluster.up().any(|(_, host)| host.node.counters().probes_indirect > 0));
}

#[test]
fn hostile_bytes_are_counted_and_change_nothing() {
    let mut cluster = converged(13, &Config::lan(), 3);
    let before = cluster.node(1).digest();
    for (bytes, _) in
        [(&b""[..], 0), (&[0xff; 2000], 0), (b"h\x01\x00\x00", 0), (b"h\x03\x00\x00\x00\x00\x00\x00\x01", 0)]
    {
        _ = cluster.inject(1, 77, bytes);
    }
    let counters = cluster.node(1).counters();
    assert_eq!((counters.datagrams_foreign, counters.datagrams_other_version), (3, 1));
    assert_eq!(cluster.node(1).digest(), before);
}

#[test]
fn a_node_whose_health_just_got_worse_still_asks_others_before_it_accuses() {
    // Its first failed probe, with three silent helpers, raises the score from 0 to 3: the next timeout is 2 s.
    let mut cluster = converged(14, &Config::lan(), 16);
    cluster.deafen(1, S(12));
    let before = cluster.node(1).counters();
    for _ in 0..100 {
        cluster.run_for(Duration::from_millis(100));
        let counters = cluster.node(1).counters();
        let failed = counters.probes_failed - before.probes_failed;
        assert!(failed <= counters.probes_indirect - before.probes_indirect, "{failed} failed: {counters:?}");
    }
    assert!(cluster.node(1).health_score() >= 3);
}

#[test]
fn a_few_survivors_of_many_bury_them_all() {
    for (seed, size) in [(15, 8), (16, 24)] {
        let mut cluster = converged(seed, &Config::lan(), size);
        (3..=size).for_each(|addr| cluster.crash(addr));
        assert!(cluster.run_until(S(300), Cluster::is_complete).is_some(), "{:?}", cluster.sizes());
        cluster.run_for(S(20));
        assert!(cluster.deaths().iter().all(|&(_, of)| of > 2), "{:?}", cluster.deaths());
    }
}
