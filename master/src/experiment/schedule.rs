//! Who suffers what, and when: drawn from the seed before a run begins.

use std::collections::BTreeSet;
use std::time::Duration;

use event_log::plan::{Action, Nodes, RunKey, Setting};
use netem::seed::child;
use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use thiserror::Error;

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

/// True for the faults that take a node out of the cluster's sight, of which a node suffers at most one in a run.
#[must_use]
pub fn is_exclusive(action: &Action) -> bool {
    matches!(action, Action::Sleep(_) | Action::Partition(_) | Action::Leave | Action::Crash)
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

fn action_of(fault: &event_log::plan::Fault, setting: &Setting) -> Result<Action, ScheduleError> {
    fault.action().map_err(|reason| ScheduleError::Fault { setting: setting.name.clone(), reason })
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
    use event_log::plan::{Crash, Fault, Leave, Partition, node_name};
    use netem::spec::{Loss, Probability, Sleep, Span};

    use super::*;

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
        Fault { crash: Some(Crash {}), nodes, ..Fault::default() }
    }

    fn setting(faults: Vec<Fault>) -> Setting {
        Setting { name: "s".to_owned(), faults }
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
