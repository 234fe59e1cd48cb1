//! The great run, at a size that a test can wait for.

use std::time::Duration;

use gossip_sim::scale::{Meter, Phase, Sample, Scale, run};

/// Knows nothing of the machine, but for a heap that may be made up.
#[derive(Default)]
struct Unmetered {
    heap: Option<u64>,
    grows_by: u64,
}

impl Meter for Unmetered {
    fn sample(&mut self) -> Sample {
        self.heap = self.heap.map(|heap| heap + self.grows_by);
        Sample { heap: self.heap, ..Sample::default() }
    }
}

fn small() -> Scale {
    Scale { joins: 8, from_nothing: 2, join_span: Duration::from_secs(4), ..Scale::of(300) }
}

#[test]
fn all_phases_of_a_small_great_run_come_about_and_twice_the_same() {
    let phases = run(&small(), &mut Unmetered::default()).unwrap();
    let names: Vec<&str> = phases.iter().map(|phase| phase.name).collect();
    assert_eq!(names, ["born", "settled", "joined", "informed", "detected", "converged", "forgotten"]);
    let found = |name: &str, what: &str| {
        let phase: &Phase = phases.iter().find(|phase| phase.name == name).unwrap();
        phase.found.iter().find(|(found, _)| *found == what).unwrap().1.clone()
    };
    assert_eq!(found("converged", "nodes that hold the view, member by member"), "307");
    assert_eq!(found("detected", "others buried"), "0");
    assert!(found("joined", "views so far").parse::<u32>().unwrap() > 3, "the view was renewed while they joined");
    let again = run(&small(), &mut Unmetered::default()).unwrap();
    assert_eq!(phases, again, "a function of the plan");
    let other = run(&Scale { seed: 2, ..small() }, &mut Unmetered::default()).unwrap();
    assert_ne!(phases, other);
}

#[test]
fn what_does_not_come_about_fails_in_its_phase() {
    // A datagram takes longer than all may take to know all.
    let slow = Duration::from_secs(200);
    let failure = run(&Scale { latency: (slow, slow), ..small() }, &mut Unmetered::default()).unwrap_err();
    assert_eq!(failure.phase, "joined", "{failure}");
    // Memory that is never given back.
    let mut leaky = Unmetered { heap: Some(0), grows_by: 100_000 };
    let failure = run(&small(), &mut leaky).unwrap_err();
    assert_eq!(failure.phase, "forgotten", "{failure}");
}
