//! What the spreading cost: datagrams, bytes, processor time, memory, per node.
//!
//! Counts are cumulative over a node's life. What a node spent in a run is the difference between its last and its first
//! snapshot in the run's lines; with one snapshot only, the difference to the last one before the run (or to its start).
//! All traffic counts, failure detection and idle rounds included, not only what carried events.

use crate::load::{Experiment, Nanos, Run, Snapshot, Stay, Traffic};
use crate::stats::quantile_sorted;

/// What the nodes of one run spent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrafficSummary {
    /// Nodes with counts.
    pub nodes: usize,
    /// Seconds that the counts span, mean over the nodes.
    pub seconds: f64,
    /// Datagrams sent per node and second, mean over the nodes.
    pub datagrams_per_second: f64,
    /// Bytes of UDP payload sent per node and second, mean over the nodes.
    pub bytes_per_second: f64,
    /// The busiest node's datagrams sent per second.
    pub datagrams_per_second_max: f64,
    /// Datagrams sent per node and event, mean over the nodes; `None` without events.
    pub datagrams_per_event: Option<f64>,
    /// Bytes sent per node and event, mean over the nodes; `None` without events.
    pub bytes_per_event: Option<f64>,
    /// Bytes per datagram sent, mean over all datagrams.
    pub bytes_per_datagram: f64,
    /// Datagrams dropped at full receive buffers, all nodes together.
    pub overflows: u64,
    /// Processor time per node and second, share of one processor, mean over the nodes; `None` where no node tells any.
    pub cpu_share: Option<f64>,
    /// Resident memory at the end, median over the nodes, bytes; `None` where no node tells any.
    pub resident_median: Option<f64>,
    /// Resident memory at the end, greatest, bytes.
    pub resident_max: Option<f64>,
}

/// What one node sent in a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NodeTraffic {
    /// Datagrams.
    pub datagrams: u64,
    /// Bytes of UDP payload.
    pub bytes: u64,
    /// In how long, seconds.
    pub seconds: f64,
    /// Events in that time, if there were any.
    pub events: Option<f64>,
}

/// What each node of `run` sent, of those with counts.
#[must_use]
pub fn per_node(experiment: &Experiment, run: &Run) -> Vec<NodeTraffic> {
    let events = (!run.events.is_empty()).then_some(run.events.len() as f64);
    let sent = |spent: Spent| NodeTraffic {
        datagrams: spent.counts.datagrams_sent,
        bytes: spent.counts.bytes_sent,
        seconds: spent.took as f64 / 1e9,
        events,
    };
    experiment.stays.iter().filter_map(|stay| spent(stay, run.index)).map(sent).collect()
}

/// What one node spent in a run, and in how long, nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Spent {
    counts: Traffic,
    took: Nanos,
}

impl TrafficSummary {
    /// Sums up the traffic of `run`. `None` when the log holds no usable counts of it.
    #[must_use]
    pub fn of(experiment: &Experiment, run: &Run) -> Option<Self> {
        let spent: Vec<Spent> = experiment.stays.iter().filter_map(|stay| spent(stay, run.index)).collect();
        if spent.is_empty() {
            return None;
        }
        let nodes = spent.len() as f64;
        let mean = |of: &dyn Fn(&Spent) -> f64| spent.iter().map(of).sum::<f64>() / nodes;
        let rate = |count: u64, took: Nanos| count as f64 / (took as f64 / 1e9);
        let mut resident: Vec<f64> =
            spent.iter().filter_map(|node| node.counts.resident_bytes).map(|bytes| bytes as f64).collect();
        resident.sort_unstable_by(f64::total_cmp);
        let events = (!run.events.is_empty()).then_some(run.events.len() as f64);
        let datagrams: u64 = spent.iter().map(|node| node.counts.datagrams_sent).sum();
        let bytes: u64 = spent.iter().map(|node| node.counts.bytes_sent).sum();
        Some(Self {
            nodes: spent.len(),
            seconds: mean(&|node| node.took as f64 / 1e9),
            datagrams_per_second: mean(&|node| rate(node.counts.datagrams_sent, node.took)),
            bytes_per_second: mean(&|node| rate(node.counts.bytes_sent, node.took)),
            datagrams_per_second_max: spent
                .iter()
                .map(|node| rate(node.counts.datagrams_sent, node.took))
                .fold(0.0, f64::max),
            datagrams_per_event: events.map(|events| datagrams as f64 / nodes / events),
            bytes_per_event: events.map(|events| bytes as f64 / nodes / events),
            bytes_per_datagram: if datagrams == 0 { 0.0 } else { bytes as f64 / datagrams as f64 },
            overflows: spent.iter().map(|node| node.counts.overflows).sum(),
            cpu_share: cpu_share(&spent),
            resident_median: quantile_sorted(&resident, 0.5),
            resident_max: resident.last().copied(),
        })
    }
}

fn cpu_share(spent: &[Spent]) -> Option<f64> {
    let told = spent.iter().filter_map(|node| Some(node.counts.cpu_ns? as f64 / node.took as f64));
    let (count, sum) = told.fold((0_u32, 0.0), |(count, sum), share| (count + 1, sum + share));
    (count > 0).then(|| sum / f64::from(count))
}

/// The difference of counters; a level (memory) stays as it is.
fn since(later: Traffic, earlier: Traffic) -> Traffic {
    Traffic {
        datagrams_sent: later.datagrams_sent.saturating_sub(earlier.datagrams_sent),
        bytes_sent: later.bytes_sent.saturating_sub(earlier.bytes_sent),
        datagrams_received: later.datagrams_received.saturating_sub(earlier.datagrams_received),
        bytes_received: later.bytes_received.saturating_sub(earlier.bytes_received),
        overflows: later.overflows.saturating_sub(earlier.overflows),
        cpu_ns: later.cpu_ns.map(|ns| ns.saturating_sub(earlier.cpu_ns.unwrap_or(0))),
        resident_bytes: later.resident_bytes,
    }
}

fn spent(stay: &Stay, run: u32) -> Option<Spent> {
    let last = stay.traffic.iter().rfind(|snapshot| snapshot.run == run)?;
    let same_life = |snapshot: &&Snapshot<Traffic>| snapshot.life == last.life && snapshot.at < last.at;
    let within = stay.traffic.iter().filter(same_life).find(|snapshot| snapshot.run == run);
    let before = stay.traffic.iter().filter(same_life).rfind(|snapshot| snapshot.run < run);
    let (base, from) = match within.or(before) {
        Some(snapshot) => (snapshot.counts, snapshot.at),
        None => (Traffic::default(), stay.from),
    };
    let took = last.at - from;
    (took > 0).then(|| Spent { counts: since(last.counts, base), took })
}

#[cfg(test)]
mod tests {
    use event_log::plan::Plan;

    use super::*;
    use crate::load::tests::empty;

    fn snapshot(run: u32, seconds: i64, life: u32, datagrams_sent: u64) -> Snapshot<Traffic> {
        let counts =
            Traffic { datagrams_sent, bytes_sent: 100 * datagrams_sent, resident_bytes: Some(7), ..Traffic::default() };
        Snapshot { run, at: seconds * 1_000_000_000, life, counts }
    }

    fn stay(traffic: Vec<Snapshot<Traffic>>) -> Stay {
        Stay {
            name: "a".into(),
            addr: None,
            from: 0,
            gone: None,
            stopped: None,
            traffic,
            faults: vec![],
            counters: vec![],
        }
    }

    #[test]
    fn a_run_is_charged_from_its_first_to_its_last_snapshot() {
        let stay =
            stay(vec![snapshot(0, 1, 0, 50), snapshot(1, 2, 0, 60), snapshot(1, 3, 0, 65), snapshot(1, 6, 0, 90)]);
        let spent = spent(&stay, 1).expect("counts");
        assert_eq!((spent.counts.datagrams_sent, spent.counts.bytes_sent, spent.took), (30, 3000, 4_000_000_000));
        assert_eq!(spent.counts.resident_bytes, Some(7), "memory is a level, not a difference");
    }

    #[test]
    fn with_one_snapshot_the_run_is_charged_from_the_one_before_it() {
        let stay = stay(vec![snapshot(0, 1, 0, 50), snapshot(1, 6, 0, 90)]);
        assert_eq!(spent(&stay, 1).expect("counts").counts.datagrams_sent, 40);
        assert_eq!(spent(&stay, 0).expect("counts").counts.datagrams_sent, 50, "and the first from the node's start");
        assert_eq!(spent(&stay, 2), None);
    }

    #[test]
    fn rates_are_per_second_and_the_processor_share_is_a_share() {
        let mut last = snapshot(0, 5, 0, 80);
        last.counts.cpu_ns = Some(1_000_000_000);
        let mut first = snapshot(0, 1, 0, 40);
        first.counts.cpu_ns = Some(0);
        let plan = Plan::parse("t", "name = \"t\"\n[cluster]\nsizes = [2]\n").expect("a plan");
        let mut experiment = empty(plan);
        experiment.stays = vec![stay(vec![first, last]), stay(vec![snapshot(0, 1, 0, 0), snapshot(0, 5, 0, 20)])];
        let summary = TrafficSummary::of(&experiment, &experiment.runs[0]).expect("counts");
        assert_eq!(summary.datagrams_per_second, 7.5, "10 and 5 per second");
        assert_eq!(summary.bytes_per_second, 750.0);
        assert_eq!(summary.datagrams_per_second_max, 10.0);
        assert_eq!(summary.cpu_share, Some(0.25), "a quarter of a processor at the one node that tells");
        assert_eq!(summary.resident_median, Some(7.0));
        assert_eq!(summary.seconds, 4.0);
        assert_eq!(summary.datagrams_per_event, None, "there were no events");
    }

    #[test]
    fn counts_of_an_earlier_life_are_not_subtracted() {
        let stay = stay(vec![snapshot(0, 1, 0, 500), snapshot(1, 6, 1, 90)]);
        assert_eq!(spent(&stay, 1).expect("counts").counts.datagrams_sent, 90);
    }
}
