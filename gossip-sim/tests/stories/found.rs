//! What seeds of chaos found, each cut down to what matters. The seed is that of `gossip-sim seeds` at the commit before the mend.

use std::time::Duration;

use gossip_core::Config;

use crate::converged;

const S: fn(u64) -> Duration = Duration::from_secs;

/// Seed 15: a datagram lay unread for so long that all had forgotten the event in it, and it said to be young.
#[test]
fn what_a_stopped_process_reads_when_it_wakes_is_not_told_to_those_who_forgot_it() {
    for (seed, stopped) in [(1, 20), (2, 80), (3, 100), (4, 300)] {
        let mut cluster = converged(seed, &Config::lan(), 8);
        cluster.pause(5, S(stopped));
        let id = cluster.start_event(1, b"event");
        // What it does get is still alive when it wakes.
        let young = (stopped > 30).then(|| {
            cluster.run_for(S(stopped - 10));
            cluster.start_event(2, b"young")
        });
        cluster.run_for(S(60 + stopped));
        for node in 1..=8 {
            let times = |id| cluster.observer().times_delivered(id, node);
            let expected = usize::from(node != 1 && (node != 5 || stopped < 60));
            assert_eq!(times(id), expected, "node {node}, after {stopped} s");
            if let Some(young) = young {
                assert_eq!(times(young), usize::from(node != 2), "node {node}, after {stopped} s");
            }
        }
    }
}
