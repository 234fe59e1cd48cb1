//! Which node starts an event, and when.

use std::collections::BTreeSet;
use std::time::Duration;

use super::RunKey;
use rand_core::Rng as _;

use super::schedule::{Strike, below, is_exclusive, stream};

/// Chooses the origin of event `index` among `eligible` (sorted names): none when there is nobody.
///
/// Each event draws from its own stream, so that the choice depends on the seed, the event and who is eligible alone.
#[must_use]
pub fn choose<'a>(seed: u64, key: &RunKey, index: u32, eligible: &[&'a str]) -> Option<&'a str> {
    if eligible.is_empty() {
        return None;
    }
    let mut rng = stream(seed, key, &format!("origin/{index}"));
    Some(eligible[below(&mut rng, eligible.len())])
}

/// A random part of `stretch` for event `index`.
#[must_use]
pub fn phase(seed: u64, key: &RunKey, index: u32, stretch: Duration) -> Duration {
    let mut rng = stream(seed, key, &format!("phase/{index}"));
    let nanos = (u128::from(rng.next_u64()) * stretch.as_nanos()) >> 64;
    Duration::from_nanos(u64::try_from(nanos).expect("a part of a time that a plan can hold"))
}

/// When event `index` starts after the run's first moment, where events do not wait for each other.
#[must_use]
pub fn start(seed: u64, key: &RunKey, index: u32, every: Duration) -> Duration {
    every * index + phase(seed, key, index, every)
}

/// The nodes that sleep, leave, crash or are cut off within the time from `since` to `until` of the run.
///
/// They start no events then: an event whose only teller vanishes at once says nothing about how gossip spreads.
#[must_use]
pub fn struck_between(strikes: &[Strike], since: Duration, until: Duration) -> BTreeSet<&str> {
    strikes
        .iter()
        .filter(|strike| is_exclusive(&strike.action) && (since..=until).contains(&strike.at))
        .flat_map(|strike| strike.victims.iter().map(String::as_str))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Action, Crash};

    fn key() -> RunKey {
        RunKey { size: 4, setting: "s".to_owned() }
    }

    #[test]
    fn all_eligible_nodes_get_their_turn_and_nobody_else_does() {
        let eligible = ["n001", "n003", "n004"];
        let chosen: BTreeSet<&str> =
            (0..60).map(|index| choose(1, &key(), index, &eligible).expect("somebody is eligible")).collect();
        assert_eq!(chosen, BTreeSet::from(eligible));
        assert_eq!(choose(1, &key(), 0, &[]), None);
    }

    #[test]
    fn the_choice_depends_on_nothing_but_its_arguments() {
        let eligible = ["n001", "n002", "n003", "n004"];
        let sequence = |seed| (0..20).map(|index| choose(seed, &key(), index, &eligible)).collect::<Vec<_>>();
        assert_eq!(sequence(5), sequence(5));
        assert_ne!(sequence(5), sequence(6));
    }

    #[test]
    fn each_event_starts_within_its_own_stretch_at_any_moment_of_it() {
        let every = Duration::from_millis(100);
        let parts: Vec<Duration> = (0..1_000).map(|index| start(1, &key(), index, every) - every * index).collect();
        assert!(parts.iter().all(|&part| part < every));
        // Mean of 1,000 uniform draws: 50 ms; four standard deviations are 3.7 ms.
        let mean = parts.iter().sum::<Duration>().as_secs_f64(); // of 1,000, so in milliseconds
        assert!((mean - 50.0).abs() < 3.7, "{mean}");
        assert_eq!(start(1, &key(), 7, every), start(1, &key(), 7, every));
        assert_ne!(phase(1, &key(), 7, every), phase(2, &key(), 7, every));
    }

    #[test]
    fn a_node_about_to_vanish_is_told_apart_at_both_ends_of_the_window() {
        let strike = |at, action, victim: &str| Strike {
            fault: 0,
            text: String::new(),
            at: Duration::from_millis(at),
            action,
            victims: vec![victim.to_owned()],
        };
        let loss = Action::Loss(netem::spec::Loss {
            probability: netem::spec::Probability::new(0.5).expect("in range"),
            direction: netem::spec::Direction::Out,
        });
        let strikes = [
            strike(99, Action::Crash(Crash::default()), "n001"),
            strike(100, Action::Crash(Crash::default()), "n002"),
            strike(200, Action::Leave, "n003"),
            strike(201, Action::Leave, "n004"),
            strike(150, loss, "n005"),
        ];
        let struck = struck_between(&strikes, Duration::from_millis(100), Duration::from_millis(200));
        assert_eq!(struck, BTreeSet::from(["n002", "n003"]));
    }
}
