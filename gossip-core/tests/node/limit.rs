//! The limit on datagrams per second, as the driver sees it.

use std::time::Duration;

use gossip_core::{Command, Config, Input, Instant, Node, Setup};

const S: fn(u64) -> Duration = Duration::from_secs;

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
