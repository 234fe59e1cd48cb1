//! Network coordinates: what they tell of round trips that nobody measured.

use std::time::Duration;

use gossip_core::{Config, Coordinate};
use gossip_sim::{Journal, Latency, NodeId};

use crate::{Cluster, newcomer};

const S: fn(u64) -> Duration = Duration::from_secs;

fn on() -> Config {
    Config { coordinates_max: 256, ..Config::lan() }
}

/// One way in microseconds: four regions, up to 60 ms apart, and an access link of 0.3 to 4.7 ms for each node.
fn micros(a: NodeId, b: NodeId) -> u64 {
    const REGIONS: [[u64; 4]; 4] = [[1, 20, 45, 60], [20, 1, 30, 55], [45, 30, 1, 40], [60, 55, 40, 1]];
    let access = |id: NodeId| 300 + u64::from(id * 7 % 12) * 400;
    REGIONS[a as usize % 4][b as usize % 4] * 1_000 + access(a) + access(b)
}

fn regions(a: NodeId, b: NodeId) -> Duration {
    Duration::from_micros(micros(a, b))
}

/// The same, but one pair is many times farther apart than the way round by any third.
fn detour(a: NodeId, b: NodeId) -> Duration {
    if a.min(b) == 1 && a.max(b) == 5 { Duration::from_millis(200) } else { regions(a, b) }
}

/// Relative errors of all pairs, in ascending order.
fn errors(cluster: &Cluster, latency: fn(NodeId, NodeId) -> Duration) -> Vec<f64> {
    let places: Vec<_> = cluster.up().map(|(addr, host)| (addr, host.node.coordinate().expect("on"))).collect();
    let mut errors = Vec::new();
    for (i, (a, here)) in places.iter().enumerate() {
        for (b, there) in &places[..i] {
            let (told, real) = (here.distance_to(there).as_secs_f64(), latency(*a, *b).as_secs_f64() * 2.0);
            errors.push((told - real).abs() / real);
        }
    }
    errors.sort_by(f64::total_cmp);
    errors
}

fn quantile(errors: &[f64], share: f64) -> f64 {
    errors[(errors.len() as f64 * share) as usize]
}

fn spread_out(seed: u64, size: NodeId, latency: fn(NodeId, NodeId) -> Duration) -> Cluster {
    let mut cluster = Cluster::new(seed, Journal::default());
    cluster.set_latency(Latency::Between(latency));
    cluster.start_and_join(&on(), 1..size + 1);
    cluster
}

#[test]
fn after_a_hundred_probes_the_distances_of_all_pairs_are_known() {
    let mut cluster = spread_out(1, 48, regions);
    cluster.run_for(S(5));
    let before = quantile(&errors(&cluster, regions), 0.5);
    cluster.run_for(S(95));
    let after = errors(&cluster, regions);
    let median = quantile(&after, 0.5);
    println!("median relative error {before:.3} after 5 probes, {median:.3} after 100");
    assert!(before > 0.3, "all began at one place: {before}");
    assert!(median < 0.08, "{median}");
    assert!(cluster.deaths().is_empty());
}

#[test]
fn the_cluster_stays_where_it_is_and_becomes_no_worse() {
    let mut cluster = spread_out(2, 32, regions);
    cluster.run_for(S(300));
    let places = |cluster: &Cluster| -> Vec<Coordinate> {
        cluster.up().map(|(_, host)| host.node.coordinate().expect("on")).collect()
    };
    let early = places(&cluster);
    cluster.run_for(S(1_200));
    let late = errors(&cluster, regions);
    let moved = early.iter().zip(places(&cluster)).map(|(early, late)| early.distance_to(&late)).max().expect("many");
    println!("median {:.3} after 1,500 probes; the farthest moved {moved:?} in 1,200", quantile(&late, 0.5));
    assert!(quantile(&late, 0.5) < 0.03, "{}", quantile(&late, 0.5));
    assert!(moved < Duration::from_millis(40), "{moved:?}");
}

#[test]
fn a_triangle_that_no_space_can_show_spoils_little() {
    let mut cluster = spread_out(3, 32, detour);
    cluster.run_for(S(300));
    let all = errors(&cluster, detour);
    assert!(quantile(&all, 0.5) < 0.15, "{}", quantile(&all, 0.5));
}

#[test]
fn who_has_no_coordinates_passes_over_those_of_others_and_sends_none() {
    let mut cluster = Cluster::new(4, Journal::default());
    for addr in 1..=8 {
        let coordinates_max = if addr <= 4 { 16 } else { 0 };
        newcomer(&mut cluster, addr, &Config { coordinates_max, ..on() }, &[1]);
    }
    cluster.run_for(S(30));
    assert!(cluster.is_complete() && cluster.stats().refused == 0);
    for addr in 1..=8 {
        let node = cluster.node(addr);
        assert_eq!(node.coordinate().is_some(), addr <= 4);
        let known: Vec<u16> = (1..=8).filter(|other| node.coordinate_of(other).is_some()).collect();
        assert_eq!(known, if addr <= 4 { vec![1, 2, 3, 4] } else { Vec::new() }, "at {addr}");
    }
    cluster.crash(3);
    cluster.run_for(S(30));
    assert_eq!(cluster.node(1).coordinate_of(&3), None, "no member any more");
}
