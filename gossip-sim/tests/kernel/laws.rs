//! Chain and samplers against exact laws.

use gossip_sim::kernel::chain::{Method, Occupancy};
use gossip_sim::kernel::{Spec, Strategy, Stream, simulate_chain};

use crate::exact::{occupancy, rounds_to_all};
use crate::stats::{counts, fits, passes, runs, same};

#[test]
fn the_chain_follows_the_exact_law_of_the_time_to_all() {
    for (nodes, fanout, loss) in [(8, 1, 0.0), (32, 1, 0.2), (64, 3, 0.05), (256, 1, 0.0), (256, 2, 0.1)] {
        let strategies = [
            (Strategy::Push { fanout }, true, false),
            (Strategy::Pull { fanout }, false, true),
            (Strategy::PushPull { fanout }, true, true),
        ];
        for (strategy, push, pull) in strategies {
            let law = rounds_to_all(nodes, fanout as usize, loss, push, pull);
            let spec = Spec { strategy, nodes: nodes as u64, loss, seed: 11 };
            let all = |run| simulate_chain(&spec, run).expect("a count").reached.all.expect("it ends") as u64;
            let seen = counts((0..runs(40_000)).map(all));
            let p = fits(&seen, |t| law.get(t as usize).copied().unwrap_or(0.0));
            passes(&format!("{strategy}, N = {nodes}, p = {loss}: chain and exact law"), p);
        }
    }
}

/// Where a method takes over from another, both must draw the law that dynamic programming gives.
#[test]
fn occupancies_follow_their_law_on_both_sides_of_every_border() {
    let cases = [(100, 100), (1000, 30), (30, 1000), (3000, 4000), (4000, 400), (1500, 100_000), (9000, 1000)];
    for (balls, bins) in cases {
        let law = occupancy(balls, bins as usize);
        // The matched binomial is an approximation for thousands of bins and balls: asked for there only.
        let large = balls.min(bins as usize) >= 1000;
        let methods = [Method::Thrown, Method::Collected, Method::Matched];
        for method in methods.into_iter().take(if large { 3 } else { 2 }) {
            let mut stream = Stream::new(balls as u64);
            let this = Occupancy { balls: balls as u128, bins };
            let seen = counts((0..runs(40_000)).map(|_| this.sample_by(method, &mut stream)));
            let p = fits(&seen, |hit| law.get(hit as usize).copied().unwrap_or(0.0));
            passes(&format!("{balls} balls, {bins} bins, {method:?}"), p);
        }
    }
}

/// At the sizes where the matched binomial is used in earnest, balls are thrown for comparison.
#[test]
fn the_matched_occupancy_is_the_thrown_one_where_it_takes_over() {
    for (balls, bins) in
        [(131_073, 16_385), (131_073, 100_000), (131_073, 1_000_000), (131_073, 1 << 40), (400_000, 40_000)]
    {
        let this = Occupancy { balls, bins };
        assert_eq!(this.method(), Method::Matched);
        let draw = |method, seed| {
            let mut stream = Stream::new(seed);
            counts((0..runs(3_000)).map(|_| this.sample_by(method, &mut stream)))
        };
        let p = same(&draw(Method::Thrown, 1), &draw(Method::Matched, 2));
        passes(&format!("{balls} balls, {bins} bins, matched and thrown"), p);
    }
}
