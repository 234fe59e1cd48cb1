//! The limit on datagrams per second.

use std::time::Duration;

use gossip_core::{Command, Config, Input, Instant, Node, Setup, Strategy};

use crate::network::Cluster;

const S: fn(u64) -> Duration = Duration::from_secs;

#[test]
fn the_limit_holds_under_a_flood_and_nobody_is_taken_for_dead() {
    for strategy in [Strategy::PushPull { fanout: 3 }, Strategy::Eager { fanout: 3 }] {
        let config = Config { datagrams_per_second_max: 12, strategy, ..Config::lan() };
        let mut cluster = Cluster::converged(40, config, 16);
        cluster.datagrams = 0;
        let ids: Vec<_> = (0..40).map(|i| cluster.start_event(1 + i % 16, &[7; 700])).collect();
        cluster.run_for(S(10));
        // Twelve a second, and a burst of three, of each of sixteen nodes.
        assert!(cluster.datagrams <= 16 * (12 * 10 + 3), "{} datagrams", cluster.datagrams);
        assert!(cluster.datagrams > 16 * 100, "and it is used: {} datagrams", cluster.datagrams);
        assert!(cluster.up().map(|(_, host)| host.node.counters().calls_withheld).sum::<u64>() > 0);
        cluster.run_for(S(40));
        ids.iter().for_each(|&id| cluster.assert_delivered_once(id));
        assert!(cluster.deaths().is_empty(), "{:?}", cluster.deaths());
    }
}

#[test]
fn a_crash_is_still_found_in_a_flood() {
    let config = Config { datagrams_per_second_max: 12, ..Config::lan() };
    let mut cluster = Cluster::converged(41, config, 16);
    cluster.crash(5);
    for i in 0..120_u16 {
        cluster.start_event(1 + i % 4, &[7; 700]);
        cluster.run_for(Duration::from_millis(250));
    }
    assert!(cluster.is_complete(), "{:?}", cluster.sizes());
    assert!(cluster.deaths().iter().all(|&(_, of)| of == 5), "{:?}", cluster.deaths());
}

#[test]
fn the_driver_is_woken_when_the_next_may_go_and_not_before() {
    let config =
        Config { datagrams_per_second_max: 8, gossip_interval: S(600), probe_interval: S(900), ..Config::lan() };
    let start = Instant::from_millis(1_000);
    let mut node = Node::new(start, config, &Setup { seed: 3, ..Setup::new(1_u16) }).unwrap();
    let seeds: Vec<u16> = (2..12).collect();
    node.handle(start, Input::Command(Command::Join { seeds: &seeds })).unwrap();
    let (mut now, mut sent, mut wakes) = (start, Vec::new(), 0);
    while sent.len() < 10 {
        while let Some(transmit) = node.poll_transmit(now, &mut [0; 1400]) {
            sent.push((now, transmit.to));
        }
        wakes += 1;
        let next = node.poll_timeout().unwrap();
        assert!(next > now, "no busy loop");
        now = next;
        node.handle(now, Input::Timeout).unwrap();
    }
    // The first at once, then one every 125 ms: with so small a burst nothing is ahead for others.
    assert_eq!(wakes, 10);
    assert!(sent.is_sorted_by_key(|&(_, to)| to), "in their order: {sent:?}");
    assert!(sent[9].0.since(start) >= Duration::from_millis(9 * 125 - 63), "{sent:?}");
}
