//! The limit on datagrams per second.

use std::time::Duration;

use gossip_core::{Config, Fanout, Strategy};

use crate::converged;

const S: fn(u64) -> Duration = Duration::from_secs;

#[test]
fn the_limit_holds_under_a_flood_and_nobody_is_taken_for_dead() {
    for strategy in [Strategy::PushPull { fanout: Fanout::Fixed(3) }, Strategy::Eager { fanout: Fanout::Fixed(3) }] {
        let config = Config { datagrams_per_second_max: 12, strategy, ..Config::lan() };
        let mut cluster = converged(40, &config, 16);
        cluster.clear_stats();
        let ids: Vec<_> = (0..40).map(|i| cluster.start_event(1 + i % 16, &[7; 700])).collect();
        cluster.run_for(S(10));
        // Twelve a second, and a burst of three, of each of sixteen nodes.
        assert!(cluster.stats().datagrams <= 16 * (12 * 10 + 3), "{} datagrams", cluster.stats().datagrams);
        assert!(cluster.stats().datagrams > 16 * 100, "and it is used: {} datagrams", cluster.stats().datagrams);
        assert!(cluster.up().map(|(_, host)| host.node.counters().calls_withheld).sum::<u64>() > 0);
        cluster.run_for(S(40));
        ids.iter().for_each(|&id| cluster.assert_delivered_once(id));
        assert!(cluster.deaths().is_empty(), "{:?}", cluster.deaths());
    }
}

#[test]
fn a_crash_is_still_found_in_a_flood() {
    let config = Config { datagrams_per_second_max: 12, ..Config::lan() };
    let mut cluster = converged(41, &config, 16);
    cluster.crash(5);
    for i in 0..120 {
        cluster.start_event(1 + i % 4, &[7; 700]);
        cluster.run_for(Duration::from_millis(250));
    }
    assert!(cluster.is_complete(), "{:?}", cluster.sizes());
    assert!(cluster.deaths().iter().all(|&(_, of)| of == 5), "{:?}", cluster.deaths());
}
