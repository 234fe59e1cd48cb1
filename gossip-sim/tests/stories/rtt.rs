//! Round trips: whom to wait for how long.

use std::time::Duration;

use gossip_core::{Config, Event, MemberState};
use gossip_sim::{Addresses, Latency, NodeId};

use crate::{Cluster, converged, newcomer};

const S: fn(u64) -> Duration = Duration::from_secs;
const MS: fn(u64) -> Duration = Duration::from_millis;

fn fixed() -> Config {
    let lan = Config::lan();
    Config { probe_timeout_min: lan.probe_timeout, ..lan }
}

/// Node 8 is far away.
fn far(a: NodeId, b: NodeId) -> Duration {
    if a == 8 || b == 8 { MS(150) } else { MS(1) }
}

/// From the ping to a member that just crashed: when helpers were asked, and when it counted as failed.
fn reaction(config: &Config) -> (Duration, Duration) {
    let mut cluster = converged(1, config, 4);
    cluster.run_for(S(30));
    cluster.crash(2);
    let (mut begun, mut asked) = (Duration::ZERO, None);
    for _ in 0..10_000 {
        let before = cluster.node(1).counters();
        cluster.run_for(MS(1));
        let counters = cluster.node(1).counters();
        let now = cluster.now();
        if counters.probes_failed > before.probes_failed {
            return (asked.expect("helpers are asked before"), now - begun);
        }
        if counters.probes > before.probes {
            begun = now;
        }
        if counters.probes_indirect > before.probes_indirect {
            asked = Some(now - begun);
        }
    }
    panic!("nobody noticed");
}

#[test]
fn helpers_are_asked_early_about_a_quick_member_and_the_verdict_falls_when_it_did() {
    assert_eq!(reaction(&fixed()), (MS(500), S(1)));
    // The round trip is 2 ms, the least margin a quarter of 100 ms: overdue after 27 ms, help after four times that.
    let (asked, failed) = reaction(&Config::lan());
    assert!((MS(107)..=MS(110)).contains(&asked) && failed == S(1), "{asked:?} {failed:?}");
}

#[test]
fn a_slow_member_is_not_pinged_while_its_answer_is_on_its_way() {
    let retried = |config| {
        let mut cluster = converged(2, &config, 8);
        cluster.set_latency(Latency::Between(far));
        cluster.run_for(S(60));
        let count = |cluster: &Cluster| cluster.up().map(|(_, host)| host.node.counters().probes_retried).sum::<u64>();
        let before = count(&cluster);
        cluster.run_for(S(70));
        assert!(cluster.deaths().is_empty());
        let smoothed = cluster.node(1).round_trip(&8);
        (count(&cluster) - before, smoothed)
    };
    // Seven nodes probe node 8 ten times each, and it probes 70 times: 140 round trips of 300 ms, two pings too many in each.
    let (fixed, nothing) = retried(fixed());
    assert!((270..=290).contains(&fixed), "{fixed}");
    assert_eq!(nothing, None, "nothing is kept where nothing is measured");
    let (adaptive, smoothed) = retried(Config::lan());
    assert_eq!(adaptive, 0);
    assert!(smoothed.is_some_and(|smoothed| smoothed.abs_diff(MS(300)) < MS(19)), "{smoothed:?}");
}

#[test]
fn a_member_that_becomes_slow_is_not_suspected_for_it() {
    let mut cluster = converged(3, &Config::lan(), 8);
    cluster.run_for(S(60));
    cluster.set_latency(Latency::Between(|a, b| if a == 8 || b == 8 { MS(200) } else { MS(1) }));
    cluster.run_for(S(120));
    let suspected = |(.., state): &(_, _, MemberState)| *state == MemberState::Suspect;
    assert!(!cluster.up().any(|(_, host)| host.journal.changes.iter().any(suspected)));
    cluster.set_latency(Latency::Constant(MS(1)));
    cluster.run_for(S(240));
    let smoothed = cluster.node(1).round_trip(&8);
    assert!(smoothed.is_some_and(|smoothed| smoothed < MS(20)), "and quick again: {smoothed:?}");
}

#[test]
fn what_was_measured_is_forgotten_with_the_member() {
    let mut cluster = converged(4, &Config::lan(), 8);
    cluster.run_for(S(30));
    assert!((2..=8).all(|addr| cluster.node(1).round_trip(&addr).is_some()));
    assert_eq!(cluster.node(1).round_trip(&1), None, "a node does not probe itself");
    cluster.crash(5);
    cluster.run_for(S(60));
    assert_eq!(cluster.node(1).round_trip(&5), None);
    cluster.run_for(S(120));
    // The newcomer takes the slot of the forgotten.
    newcomer(&mut cluster, 9, &Config::lan(), &[1]);
    cluster.run_for(MS(10));
    let node = cluster.node(1);
    assert!(node.member(&9).is_some() && node.round_trip(&9).is_none());
}

#[test]
fn events_tell_why_a_member_was_suspected_and_buried() {
    let mut cluster = converged(5, &Config::lan(), 16);
    cluster.crash(2);
    cluster.run_for(S(30));
    let (mut own, mut confirmed) = (0, 0);
    for (id, host) in cluster.up() {
        let addr = u16::of(id);
        let (mut accusers, mut failed) = (Vec::new(), false);
        for event in &host.journal.events {
            match *event {
                Event::ProbeFailed { addr: 2, helpers, nacks } => {
                    assert!(nacks <= helpers && helpers == 3);
                    failed = true;
                }
                Event::MemberChanged { addr: 2, state: MemberState::Suspect, told_by, accuser, .. } => {
                    let accuser = accuser.expect("somebody accuses");
                    assert_eq!(told_by.is_none(), accuser == addr, "nobody told it of its own accusation");
                    assert!(accuser != addr || failed, "node {addr} has a reason");
                    own += usize::from(accuser == addr);
                    accusers.push(accuser);
                }
                Event::SuspicionConfirmed { addr: 2, accuser, confirmations, .. } => {
                    assert!(!accusers.contains(&accuser));
                    accusers.push(accuser);
                    assert_eq!(usize::from(confirmations), accusers.len() - 1);
                }
                Event::MemberChanged { addr: 2, state: MemberState::Dead, accuser, confirmations, .. } => {
                    assert_eq!(accuser, accusers.first().copied(), "at {addr}");
                    assert_eq!(usize::from(confirmations), accusers.len() - 1, "at {addr}");
                    confirmed += usize::from(confirmations);
                }
                _ => {}
            }
        }
    }
    assert!(own >= 1 && confirmed >= 15, "{own} suspected it first, {confirmed} confirmations");
}
