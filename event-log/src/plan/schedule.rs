//! Who suffers what, and when: drawn from the seed before a run begins, by the same code on every backend, so that a plan and a
//! seed strike the same nodes wherever they run.

use std::collections::BTreeSet;
use std::time::Duration;

use netem::seed::child;
use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use thiserror::Error;

use super::{Action, Churn, Fault, Nodes, RunKey, Setting};

/// One fault with its victims.
#[derive(Debug, Clone, PartialEq)]
pub struct Strike {
    /// Which fault of the setting, from 0.
    pub fault: u32,
    /// The fault in words.
    pub text: String,
    /// After the start of the run's first event.
    pub at: Duration,
    /// What it does.
    pub action: Action,
    /// Names of the nodes that it strikes, sorted.
    pub victims: Vec<String>,
}

/// Why a setting cannot be scheduled. The plan's own check finds all of this earlier; a plan made by other means may not
/// have passed it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ScheduleError {
    /// The fault does nothing, or several things.
    #[error("setting {setting:?}: {reason}")]
    Fault {
        /// The setting.
        setting: String,
        /// Why.
        reason: String,
    },
    /// More victims than nodes that are free to be struck.
    #[error(
        "setting {setting:?}, {text}: only {free} of the nodes are not struck by another sleep, leave, crash or partition"
    )]
    TooFew {
        /// The setting.
        setting: String,
        /// The fault in words.
        text: String,
        /// Nodes that could be struck.
        free: usize,
    },
    /// A victim that is not in the cluster, or that two faults take away.
    #[error("setting {setting:?}, {text}: {name} {reason}")]
    Victim {
        /// The setting.
        setting: String,
        /// The fault in words.
        text: String,
        /// The node.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// Draws the victims of every fault of `setting` among `names`, in order of time (faults of the same time in the plan's
/// order). Each fault draws from its own stream, so that a fault more does not move the victims of the others.
///
/// # Errors
/// [`ScheduleError`].
pub fn draw(seed: u64, key: &RunKey, setting: &Setting, names: &[String]) -> Result<Vec<Strike>, ScheduleError> {
    let known: BTreeSet<&String> = names.iter().collect();
    let mut taken = named_exclusively(setting, &known)?;
    let mut strikes = Vec::with_capacity(setting.faults.len());
    for (fault, index) in setting.faults.iter().zip(0u32..) {
        let action = action_of(fault, setting)?;
        let victims = match &fault.nodes {
            // Who comes and goes is drawn when it happens.
            Nodes::All if matches!(action, Action::Churn(_)) => Vec::new(),
            Nodes::All => names.to_vec(),
            Nodes::Named(chosen) => chosen.clone(),
            Nodes::Random(count) => {
                let free: Vec<&String> =
                    names.iter().filter(|name| !is_exclusive(&action) || !taken.contains(*name)).collect();
                let count = *count as usize;
                if count > free.len() {
                    return Err(ScheduleError::TooFew {
                        setting: setting.name.clone(),
                        text: fault.to_string(),
                        free: free.len(),
                    });
                }
                let mut rng = stream(seed, key, &format!("victims/{index}"));
                sample(&mut rng, free.len(), count).into_iter().map(|i| free[i].clone()).collect()
            }
        };
        let mut victims: Vec<String> = victims;
        victims.sort_unstable();
        if is_exclusive(&action) {
            taken.extend(victims.iter().cloned());
        }
        strikes.push(Strike { fault: index, text: fault.to_string(), at: fault.at.get(), action, victims });
    }
    strikes.sort_by_key(|strike| strike.at);
    Ok(strikes)
}

/// One coming or going of a churn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// After the start of the churn.
    pub at: Duration,
    /// Which.
    pub turn: Turn,
}

/// What happens in a churn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// A new node joins.
    Join,
    /// A node says goodbye.
    Leave,
    /// A node crashes.
    Crash,
}

/// When nodes come and go in a churn that is fault `index` of its setting: for each kind a Poisson process from a stream of its own,
/// so that more of one kind does not move the others. In order of time.
#[must_use]
pub fn arrivals(seed: u64, key: &RunKey, index: u32, churn: &Churn) -> Vec<Arrival> {
    let mut arrivals = Vec::new();
    for (turn, name, rate) in
        [(Turn::Join, "join", churn.joins), (Turn::Leave, "leave", churn.leaves), (Turn::Crash, "crash", churn.crashes)]
    {
        if rate <= 0.0 {
            continue;
        }
        let mut rng = stream(seed, key, &format!("churn/{index}/{name}"));
        let mut seconds = 0.0;
        loop {
            // A multiple of 2^-53 above 0, and a logarithm in plain Rust: the same times on every machine.
            let unit = ((rng.next_u64() >> 11) + 1) as f64 / (1_u64 << 53) as f64;
            seconds -= libm::log(unit) / rate;
            if seconds >= churn.duration.get().as_secs_f64() {
                break;
            }
            arrivals.push(Arrival { at: Duration::from_nanos((seconds * 1e9) as u64), turn });
        }
    }
    arrivals.sort_by_key(|arrival| arrival.at);
    arrivals
}

/// True for the faults that take a node out of the cluster's sight, of which a node suffers at most one in a run.
#[must_use]
pub fn is_exclusive(action: &Action) -> bool {
    matches!(action, Action::Sleep(_) | Action::Partition(_) | Action::Leave | Action::Crash(_))
}

/// The generator for `purpose` in the run `key`.
#[must_use]
pub fn stream(seed: u64, key: &RunKey, purpose: &str) -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(child(seed, &format!("run/{}/{}/{purpose}", key.size, key.setting)))
}

/// `count` distinct numbers below `bound`, each set equally likely (Fisher and Yates, the first `count` steps).
///
/// # Panics
/// When `count` is above `bound`.
#[must_use]
pub fn sample(rng: &mut impl Rng, bound: usize, count: usize) -> Vec<usize> {
    assert!(count <= bound, "{count} distinct numbers below {bound} were asked for");
    let mut all: Vec<usize> = (0..bound).collect();
    for i in 0..count {
        let j = i + below(rng, bound - i);
        all.swap(i, j);
    }
    all.truncate(count);
    all
}

/// A number below `bound`, each equally likely up to 2⁻³² (Lemire's multiplication without the rejection, which at the
/// sizes of clusters changes nothing that could be measured).
///
/// # Panics
/// When `bound` is 0 or does not fit into 32 bits.
#[must_use]
pub fn below(rng: &mut impl Rng, bound: usize) -> usize {
    let bound = u32::try_from(bound).expect("a cluster has fewer than 2^32 nodes");
    assert!(bound > 0, "there is no number below 0");
    let product = u128::from(rng.next_u64()) * u128::from(bound);
    usize::try_from(product >> 64).expect("the product's upper half is below the bound")
}

fn action_of(fault: &Fault, setting: &Setting) -> Result<Action, ScheduleError> {
    fault.action().map_err(|reason| ScheduleError::Fault { setting: setting.name.clone(), reason })
}

/// Through how many earlier nodes a new one joins.
pub const SEEDS_MAX: usize = 3;

/// The seed of all randomness of the node called `name`.
#[must_use]
pub fn node_seed(seed: u64, name: &str) -> u64 {
    child(seed, &format!("node/{name}"))
}

/// Through which of `members` earlier nodes the node called `name` joins: indices of up to [`SEEDS_MAX`] of them.
#[must_use]
pub fn seeds(seed: u64, name: &str, members: usize) -> Vec<usize> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(child(seed, &format!("seeds/{name}")));
    sample(&mut rng, members, members.min(SEEDS_MAX))
}

/// The nodes that are named as victims of a sleep, leave, crash or partition: random draws keep off them.
fn named_exclusively(setting: &Setting, known: &BTreeSet<&String>) -> Result<BTreeSet<String>, ScheduleError> {
    let mut taken = BTreeSet::new();
    for fault in &setting.faults {
        let Nodes::Named(names) = &fault.nodes else { continue };
        let exclusive = is_exclusive(&action_of(fault, setting)?);
        for name in names {
            let wrong = |reason| ScheduleError::Victim {
                setting: setting.name.clone(),
                text: fault.to_string(),
                name: name.clone(),
                reason,
            };
            if !known.contains(name) {
                return Err(wrong("is not in the cluster"));
            }
            if exclusive && !taken.insert(name.clone()) {
                return Err(wrong("is struck by another sleep, leave, crash or partition as well"));
            }
        }
    }
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use netem::spec::{Loss, Probability, Sleep, Span};

    use super::*;
    use crate::plan::{Crash, Leave, Partition, node_name};

    fn key() -> RunKey {
        RunKey { size: 10, setting: "s".to_owned() }
    }

    fn names(count: u32) -> Vec<String> {
        (0..count).map(node_name).collect()
    }

    fn sleep(nodes: Nodes) -> Fault {
        Fault { sleep: Some(Sleep { duration: Span::from_millis(10) }), nodes, ..Fault::default() }
    }

    fn crash(nodes: Nodes) -> Fault {
        Fault { crash: Some(Crash::default()), nodes, ..Fault::default() }
    }

    fn setting(faults: Vec<Fault>) -> Setting {
        Setting { name: "s".to_owned(), faults, network: None }
    }

    #[test]
    fn sleepers_leavers_crashers_and_partitioned_are_disjoint_for_every_seed() {
        let faults = vec![
            sleep(Nodes::Random(3)),
            Fault { leave: Some(Leave {}), nodes: Nodes::Random(2), ..Fault::default() },
            crash(Nodes::Random(1)),
            Fault {
                partition: Some(Partition { duration: Span::from_millis(5) }),
                nodes: Nodes::Random(2),
                ..Fault::default()
            },
        ];
        for seed in 0..200 {
            let strikes = draw(seed, &key(), &setting(faults.clone()), &names(10)).expect("10 nodes suffice for 8");
            let all: Vec<&String> = strikes.iter().flat_map(|strike| &strike.victims).collect();
            let distinct: BTreeSet<&String> = all.iter().copied().collect();
            assert_eq!((all.len(), distinct.len()), (8, 8), "seed {seed}: {strikes:?}");
        }
    }

    #[test]
    fn random_victims_keep_off_the_named_ones_that_come_later_in_the_plan() {
        let faults = vec![sleep(Nodes::Random(2)), crash(Nodes::Named(vec!["n002".to_owned()]))];
        for seed in 0..50 {
            let strikes = draw(seed, &key(), &setting(faults.clone()), &names(3)).expect("three nodes suffice");
            assert_eq!(strikes[0].victims, ["n001", "n003"]);
        }
    }

    #[test]
    fn the_same_seed_draws_the_same_and_a_fault_more_moves_nobody() {
        let one = draw(7, &key(), &setting(vec![sleep(Nodes::Random(3))]), &names(10)).expect("valid");
        let loss = Fault {
            loss: Some(Loss {
                probability: Probability::new(0.1).expect("in range"),
                direction: netem::spec::Direction::Out,
            }),
            nodes: Nodes::Random(4),
            ..Fault::default()
        };
        let two = draw(7, &key(), &setting(vec![sleep(Nodes::Random(3)), loss]), &names(10)).expect("valid");
        assert_eq!(one[0], two[0]);
        assert_eq!(two[1].victims.len(), 4);
    }

    #[test]
    fn every_node_is_drawn_about_equally_often() {
        let mut hits = [0u32; 10];
        for seed in 0..2_000 {
            let strikes = draw(seed, &key(), &setting(vec![sleep(Nodes::Random(2))]), &names(10)).expect("valid");
            for victim in &strikes[0].victims {
                hits[names(10).iter().position(|name| name == victim).expect("a victim is a node")] += 1;
            }
        }
        // 400 expected, standard deviation 18: six of them on either side.
        assert!(hits.iter().all(|hit| (292..=508).contains(hit)), "{hits:?}");
    }

    #[test]
    fn strikes_come_in_order_of_time() {
        let mut late = sleep(Nodes::Random(1));
        late.at = Span::from_millis(500);
        let strikes = draw(1, &key(), &setting(vec![late, crash(Nodes::Random(1))]), &names(10)).expect("valid");
        assert_eq!(strikes.iter().map(|strike| strike.fault).collect::<Vec<_>>(), [1, 0]);
    }

    #[test]
    fn comings_and_goings_are_poisson_processes_that_do_not_move_each_other() {
        let churn = Churn { joins: 2.0, leaves: 0.5, crashes: 0.0, duration: Span::from_millis(1_000_000) };
        let all = arrivals(3, &key(), 0, &churn);
        let of = |turn: Turn| -> Vec<f64> {
            all.iter().filter(|arrival| arrival.turn == turn).map(|arrival| arrival.at.as_secs_f64()).collect()
        };
        let joins = of(Turn::Join);
        // 2,000 and 500 expected, standard deviations 45 and 22: four of them on either side.
        assert!(joins.len().abs_diff(2_000) < 180 && of(Turn::Leave).len().abs_diff(500) < 90, "{}", joins.len());
        // The gaps of a Poisson process are exponential: as large a deviation as mean.
        let gaps: Vec<f64> = joins.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let deviation = (gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64).sqrt();
        assert!((deviation / mean - 1.0).abs() < 0.1, "{mean} {deviation}");
        assert!(all.is_sorted_by_key(|arrival| arrival.at));
        let fewer = arrivals(3, &key(), 0, &Churn { leaves: 0.0, ..churn });
        assert_eq!(fewer.iter().map(|arrival| arrival.at.as_secs_f64()).collect::<Vec<_>>(), joins);
    }

    #[test]
    fn impossible_victims_are_refused_by_name() {
        let unknown = draw(1, &key(), &setting(vec![crash(Nodes::Named(vec!["n011".to_owned()]))]), &names(10));
        assert_eq!(
            unknown.map_err(|error| error.to_string()),
            Err("setting \"s\", crash of n011: n011 is not in the cluster".to_owned())
        );
        let twice = vec![crash(Nodes::Named(vec!["n001".to_owned()])), sleep(Nodes::Named(vec!["n001".to_owned()]))];
        assert!(matches!(draw(1, &key(), &setting(twice), &names(10)), Err(ScheduleError::Victim { .. })));
        let many = draw(1, &key(), &setting(vec![crash(Nodes::Random(11))]), &names(10));
        assert!(matches!(many, Err(ScheduleError::TooFew { free: 10, .. })));
    }
}
