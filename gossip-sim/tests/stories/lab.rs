//! The preset `lab` against the theory of synchronous push-pull.

use std::time::Duration;

use gossip_core::Config;
use gossip_sim::NodeId;

use crate::with_view;

/// Rounds from the start of an event until all know it, with latencies that are nothing against a round.
fn rounds(seed: u64, size: NodeId) -> u32 {
    let mut cluster = with_view(seed, &Config::lab(), size);
    cluster.run_for(Duration::from_millis(500));
    let beat = cluster.clock(1) + Duration::from_millis(500);
    assert!(cluster.up().all(|(_, host)| host.node.poll_timeout().is_some_and(|due| due <= beat)), "all beat together");
    let event = cluster.start_event(1, b"x");
    // Half a second after each beat its calls and answers are over.
    let all = |cluster: &crate::Cluster| cluster.informed(event) == size as usize;
    let took = cluster.run_until_every(Duration::from_secs(1), Duration::from_secs(100), all);
    took.expect("all know it after a hundred rounds").as_secs() as u32
}

/// The model: in a round everybody calls somebody else at random, and an event that caller or called knew when the round began is
/// known to both when it ends (Karp, Schindelhauer, Shenker, Vöcking, FOCS 2000). With `fresh_answers` the called answers with
/// what it was told in the same round as well, as nodes do: they answer when the calls have come.
fn model(size: usize, fresh_answers: bool, random: &mut impl FnMut(usize) -> usize) -> u32 {
    let mut informed = vec![false; size];
    informed[0] = true;
    let mut round = 0;
    while !informed.iter().all(|known| *known) {
        round += 1;
        let before = informed.clone();
        let called: Vec<usize> = (0..size).map(|caller| (caller + 1 + random(size - 1)) % size).collect();
        called.iter().enumerate().for_each(|(caller, &called)| informed[called] |= before[caller]);
        let told = if fresh_answers { informed.clone() } else { before };
        called.iter().enumerate().for_each(|(caller, &called)| informed[caller] |= told[called]);
    }
    round
}

#[test]
fn rounds_to_inform_all_are_those_of_synchronous_push_pull() {
    use rand_core::{Rng as _, SeedableRng};
    let mut rng = rand_xoshiro::Xoshiro256PlusPlus::seed_from_u64(1);
    let mut random = |below: usize| (rng.next_u64() % below as u64) as usize;
    for (size, runs) in [(64, 60), (256, 40), (1_024, 20)] {
        let mean = |total: u32, runs: u32| f64::from(total) / f64::from(runs);
        let ours = mean((1..=runs).map(|seed| rounds(seed.into(), size)).sum(), runs);
        let [theory, fresh] =
            [false, true].map(|fresh| mean((0..200).map(|_| model(size as usize, fresh, &mut random)).sum(), 200));
        // A call is answered if the called knows more when it comes: some of the calls that told it have come by then.
        let bracket = fresh - 0.3..theory + 0.3;
        assert!(bracket.contains(&ours), "{size} nodes: {ours} rounds, the theory says {bracket:?}");
        assert!(theory - ours < 1.2, "{size} nodes: {ours} rounds, the theory says {theory}");
    }
}
