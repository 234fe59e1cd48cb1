//! The leading terms that theorems give, with intervals.

use gossip_sim::kernel::{Spec, Strategy, simulate_chain};

use crate::stats::{mean, runs};

fn rounds(strategy: Strategy, nodes: u64, loss: f64, full: u64) -> (f64, f64) {
    let spec = Spec { strategy, nodes, loss, seed: 2 };
    let all = |run| simulate_chain(&spec, run).expect("a count").reached.all.expect("it ends");
    mean(&(0..runs(full)).map(all).collect::<Vec<f64>>())
}

/// From 10⁸ to 10¹⁸ the mean must rise by what the theorem says, within its o(1): lattice effects of a few hundredths of a
/// round at each end and four standard errors.
#[test]
fn the_time_grows_from_decade_to_decade_as_the_theorems_say() {
    let (small, large) = (100_000_000_u64, 1_000_000_000_000_000_000_u64);
    let ln = |n: u64| libm::log(n as f64);
    let log = |base: f64, n: u64| ln(n) / libm::log(base);
    let (p, q) = (0.05, 1.0 - 0.95 * 0.95);
    type Law<'a> = Box<dyn Fn(u64) -> f64 + 'a>;
    let laws: [(Strategy, f64, Law<'_>); 7] = [
        (Strategy::Push { fanout: 1 }, 0.0, Box::new(|n| log(2.0, n) + ln(n))),
        (Strategy::Pull { fanout: 1 }, 0.0, Box::new(|n| log(2.0, n) + libm::log2(ln(n)))),
        (Strategy::PushPull { fanout: 1 }, 0.0, Box::new(|n| log(3.0, n) + libm::log2(ln(n)))),
        (Strategy::Push { fanout: 3 }, 0.0, Box::new(|n| log(4.0, n) + ln(n) / 3.0)),
        (Strategy::PushPull { fanout: 3 }, 0.0, Box::new(|n| log(7.0, n) + libm::log2(ln(n)) / 2.0)),
        (
            Strategy::PushPull { fanout: 1 },
            p,
            Box::new(|n| log(1.0 + (1.0 - p) + (1.0 - p) * (1.0 - p), n) + ln(n) / (1.0 - p - libm::log(q))),
        ),
        (Strategy::OneAnswer, 0.0, Box::new(|n| log(3.0 - 2.0 / std::f64::consts::E, n) + ln(n) / 2.0)),
    ];
    for (strategy, loss, law) in laws {
        let ((low, e1), (high, e2)) = (rounds(strategy, small, loss, 2000), rounds(strategy, large, loss, 2000));
        let (rise, error) = (high - low, (e1 * e1 + e2 * e2).sqrt());
        let theory = law(large) - law(small);
        println!("{strategy}, p = {loss}: rise {rise:.3} ± {error:.3}, theory {theory:.3}");
        // With several calls a round the end is a staircase: its mean moves by up to half a round around the law.
        let lattice = if matches!(strategy, Strategy::PushPull { fanout: 3 }) { 0.5 } else { 0.15 };
        assert!((rise - theory).abs() < lattice + 4.0 * error, "{strategy}: {rise} ± {error}, not {theory}");
    }
}

/// ((n−1)/n)·H(n−1), exactly, at every size.
#[test]
fn poisson_clocks_take_a_harmonic_number() {
    for (nodes, mean) in
        [(50, 4.479_205_338_329_425 * 0.98), (1_000_000, 14.392_726 - 15.392_726e-6 + 1e-6), (1 << 59, 41.472_9)]
    {
        let (ours, error) = rounds(Strategy::Poisson, nodes, 0.0, if nodes < 1000 { 40_000 } else { 2000 });
        println!("Poisson clocks, N = {nodes}: {ours:.4} ± {error:.4}, theory {mean:.4}");
        assert!((ours - mean).abs() < 4.0 * error);
    }
}
