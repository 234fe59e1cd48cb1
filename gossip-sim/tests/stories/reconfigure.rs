//! Configurations that change while the cluster runs.

use std::time::Duration;

use gossip_core::{Command, Config, Fanout, Strategy};
use gossip_sim::NodeId;

use crate::{Cluster, converged};

const S: fn(u64) -> Duration = Duration::from_secs;

fn reconfigure(cluster: &mut Cluster, addr: NodeId, config: &Config) {
    cluster.command(addr, Command::Reconfigure { config }).unwrap();
}

#[test]
fn a_cluster_goes_from_one_preset_to_another_node_by_node_and_nobody_is_accused() {
    let mut cluster = converged(1, &Config::wan(), 32);
    let (mut ids, mut addr) = (Vec::new(), 0);
    for config in [Config::local(), Config::lan(), Config::wan(), Config::local()] {
        for _ in 0..32 {
            addr = addr % 32 + 1;
            reconfigure(&mut cluster, addr, &config);
            ids.push(cluster.start_event(addr, b"meanwhile"));
            cluster.run_for(Duration::from_millis(300));
        }
    }
    cluster.run_for(S(20));
    assert!(cluster.is_complete() && cluster.deaths().is_empty(), "{:?}", cluster.deaths());
    ids.into_iter().for_each(|id| cluster.assert_delivered_once(id));
}

#[test]
fn nodes_that_beat_apart_go_on_beating_apart() {
    let idle = Config { idle_calls: true, strategy: Strategy::PushPull { fanout: Fanout::Fixed(1) }, ..Config::wan() };
    let mut cluster = converged(2, &idle, 40);
    let faster = Config { gossip_interval: Duration::from_secs(10), ..idle };
    (1..=40).for_each(|addr| reconfigure(&mut cluster, addr, &faster));
    cluster.run_for(S(30));
    // In each tenth of the interval some of the forty beat, and not all.
    let mut counts = Vec::new();
    for _ in 0..10 {
        let before = cluster.stats().datagrams;
        cluster.run_for(S(1));
        counts.push(cluster.stats().datagrams - before);
    }
    // 4 calls and 8 probes a second, each with its answer.
    assert!(counts.iter().all(|count| (10..60).contains(count)), "{counts:?}");
}

#[test]
fn every_event_is_delivered_once_while_its_lifetime_changes_here_and_there() {
    let lifetimes = [S(5), S(40), S(10), S(120), S(20)];
    let mut cluster = converged(3, &Config::lan(), 16);
    cluster.set_loss(0.1);
    let mut ids = Vec::new();
    for turn in 0..120 {
        let addr = turn % 16 + 1;
        let event_lifetime = lifetimes[turn as usize * 7 % 5];
        reconfigure(&mut cluster, addr, &Config { event_lifetime, ..Config::lan() });
        ids.push(cluster.start_event(turn * 5 % 16 + 1, b"event"));
        cluster.run_for(S(1));
    }
    cluster.run_for(S(200));
    ids.into_iter().for_each(|id| cluster.assert_delivered_once(id));
}
