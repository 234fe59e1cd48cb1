//! A few plans of chaos, run as a test runs them; the bands of seeds are CI's.

use gossip_sim::chaos::{Outcome, Plan, plan_of, run};

#[test]
fn a_plan_runs_twice_alike_and_as_it_comes_back_from_its_text() {
    let plan = plan_of(2);
    let Outcome { violation, tally } = run(&plan, None);
    assert_eq!(violation, None);
    assert!(tally.datagrams > 1_000 && !tally.acts.is_empty());
    let again = run(&Plan::parse(&plan.to_text()).unwrap(), None);
    assert_eq!(again.tally, tally);
    // What the adversary does matters.
    let calm = run(&Plan { acts: Vec::new(), ..plan }, None);
    assert_eq!(calm.violation, None);
    assert_ne!(calm.tally, tally);
}

#[test]
fn some_seeds_are_well() {
    for seed in 100..106 {
        let Outcome { violation, tally } = run(&plan_of(seed), None);
        assert_eq!(violation.map(|violation| violation.to_string()), None, "gossip-sim replay {seed}");
        assert!(tally.acts.values().sum::<u64>() > 3, "the adversary was at work");
    }
}

#[test]
fn a_cluster_that_is_never_disturbed_raises_no_suspicion() {
    for seed in 0..4 {
        let plan = Plan { acts: Vec::new(), loss_per_mille: 0, ..plan_of(seed) };
        let Outcome { violation, tally } = run(&plan, None);
        assert_eq!(violation, None);
        // The one crash in the calm is suspected; by how many first is chance.
        let false_alarms = tally.counted.get("refutations").copied().unwrap_or(0);
        assert_eq!(false_alarms, 0, "seed {seed}");
    }
}
