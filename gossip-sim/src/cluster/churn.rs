//! Coming and going: Poisson arrivals of new nodes, Poisson departures of old ones.

use std::sync::Arc;
use std::time::Duration;

use gossip_core::Config;
use rand_core::{Rng as _, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::{Action, Cluster};
use crate::addresses::{Addresses, NodeId};
use crate::network::unit;
use crate::observe::Observer;
use crate::queue::Queue;

/// How nodes come and go for a while.
#[derive(Debug, Clone)]
pub struct Churn {
    /// New nodes per second, on average.
    pub joins_per_second: f64,
    /// Departures per second, on average.
    pub departures_per_second: f64,
    /// The share of departures that are crashes; the others say goodbye.
    pub crash_share: f64,
    /// For how long, from now on.
    pub span: Duration,
    /// What new nodes run with.
    pub config: Arc<Config>,
    /// Through whom they join. These do not depart.
    pub seeds: Arc<[NodeId]>,
}

impl<A: Addresses, O: Observer<A>, Q: Queue> Cluster<A, O, Q> {
    /// Schedules the comings and goings. How many of each, they are a Poisson process of their own. Returns how many.
    pub fn churn(&mut self, churn: &Churn) -> (usize, usize) {
        self.churns += 1;
        let label = |kind: &str| format!("churn/{}/{kind}", self.churns);
        let mut arrivals = Xoshiro256PlusPlus::seed_from_u64(netem::seed::child(self.seed, &label("arrivals")));
        let mut departures = Xoshiro256PlusPlus::seed_from_u64(netem::seed::child(self.seed, &label("departures")));
        let now = self.now();
        let joins = poisson(churn.joins_per_second, churn.span, &mut arrivals);
        for &after in &joins {
            let (config, seeds) = (churn.config.clone(), churn.seeds.to_vec());
            self.at(now + after, Action::Start { config, metadata: Box::default(), drift_ppm: 0, seeds });
        }
        let goings = poisson(churn.departures_per_second, churn.span, &mut departures);
        for &after in &goings {
            let crash = unit(departures.next_u64()) < churn.crash_share;
            let word = departures.next_u64();
            self.at(now + after, Action::Depart { word, crash, spared: churn.seeds.clone() });
        }
        (joins.len(), goings.len())
    }
}

/// The times of a Poisson process: gaps of −ln(1 − u) / rate.
fn poisson(rate: f64, span: Duration, rng: &mut Xoshiro256PlusPlus) -> Vec<Duration> {
    let mut times = Vec::new();
    let mut at = 0.0;
    if rate > 0.0 {
        loop {
            at -= libm::log(1.0 - unit(rng.next_u64())) / rate;
            if at >= span.as_secs_f64() {
                break;
            }
            times.push(Duration::from_secs_f64(at));
        }
    }
    times
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poisson_process_has_its_rate_and_gaps_that_are_exponential() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(5);
        let times = poisson(10.0, Duration::from_secs(1_000), &mut rng);
        // Four standard deviations of 10,000 are 400.
        assert!(times.len().abs_diff(10_000) < 400, "{}", times.len());
        assert!(times.is_sorted());
        let long = times.windows(2).filter(|pair| pair[1] - pair[0] > Duration::from_millis(100)).count();
        // A gap exceeds its mean with probability 1/e.
        assert!(long.abs_diff(3_679) < 200, "{long}");
        assert!(poisson(0.0, Duration::from_secs(9), &mut rng).is_empty());
    }
}
