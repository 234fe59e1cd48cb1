//! What happened in a run, and in many: the proof that the adversary was at work.

use core::time::Duration;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;

use super::run::Watch;
use crate::{Cause, Cluster};

/// Counts of one run, or sums over many.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Runs.
    pub runs: u64,
    /// Acts that were done, by name.
    pub acts: BTreeMap<&'static str, u64>,
    /// Runs in which an act of that name was done.
    pub runs_with: BTreeMap<&'static str, u64>,
    /// Datagrams that did not arrive, by cause, and those that were refused or came twice.
    pub lost: BTreeMap<String, u64>,
    /// What the nodes counted, all lives but those that crashed.
    pub counted: BTreeMap<&'static str, u64>,
    /// Datagrams sent.
    pub datagrams: u64,
    /// Virtual time.
    pub virtual_time: Duration,
    /// Nodes that ever were.
    pub nodes: u64,
    /// How long it took from the end of the trouble until all knew the same; of many runs the longest.
    pub settled_after: Duration,
    /// How long it took until all knew of the crash in the calm, and what had been told was settled; of many the longest.
    pub detected_after: Duration,
}

impl Tally {
    /// Takes in what a cluster counted.
    pub(super) fn collect(&mut self, cluster: &Cluster<SocketAddr, Watch>) {
        let stats = cluster.stats();
        self.runs = 1;
        self.runs_with = self.acts.keys().map(|&name| (name, 1)).collect();
        self.datagrams = stats.datagrams;
        self.virtual_time = cluster.now();
        for cause in CAUSES {
            self.lost.insert(format!("{cause:?}"), stats.dropped_by(cause));
        }
        self.lost.insert("refused by the receiver".into(), stats.refused);
        self.lost.insert("came twice".into(), stats.duplicated);
        for id in cluster.ids() {
            self.nodes += 1;
            for (name, count) in cluster.node(id).counters().iter() {
                *self.counted.entry(name).or_default() += count;
            }
        }
    }

    /// Adds another.
    pub fn add(&mut self, other: &Self) {
        fn sum<K: Ord + Clone>(into: &mut BTreeMap<K, u64>, from: &BTreeMap<K, u64>) {
            for (key, count) in from {
                *into.entry(key.clone()).or_default() += count;
            }
        }
        sum(&mut self.acts, &other.acts);
        sum(&mut self.runs_with, &other.runs_with);
        sum(&mut self.lost, &other.lost);
        sum(&mut self.counted, &other.counted);
        self.runs += other.runs;
        self.datagrams += other.datagrams;
        self.virtual_time += other.virtual_time;
        self.nodes += other.nodes;
        self.settled_after = self.settled_after.max(other.settled_after);
        self.detected_after = self.detected_after.max(other.detected_after);
    }

    /// For people.
    #[must_use]
    pub fn report(&self) -> String {
        let mut out = format!(
            "{} runs, {} nodes, {} datagrams, {} virtual seconds; at one again after {:.1} s at the latest, a crash known after \
             {:.1} s\n",
            self.runs,
            self.nodes,
            self.datagrams,
            self.virtual_time.as_secs(),
            self.settled_after.as_secs_f64(),
            self.detected_after.as_secs_f64()
        );
        out.push_str("acts (in so many runs):\n");
        for (name, count) in &self.acts {
            let _ = writeln!(out, "  {name:<32}{count:>10} ({})", self.runs_with.get(name).copied().unwrap_or(0));
        }
        out.push_str("datagrams:\n");
        for (name, count) in self.lost.iter().filter(|(_, count)| **count > 0) {
            let _ = writeln!(out, "  {name:<32}{count:>10}");
        }
        out.push_str("counted by the nodes:\n");
        for (name, count) in self.counted.iter().filter(|(_, count)| **count > 0) {
            let _ = writeln!(out, "  {name:<32}{count:>10}");
        }
        out
    }
}

const CAUSES: [Cause; Cause::COUNT] = [
    Cause::Asleep,
    Cause::Partitioned,
    Cause::DropNext,
    Cause::Loss,
    Cause::Lost,
    Cause::Blocked,
    Cause::Deaf,
    Cause::TooLong,
    Cause::Nobody,
    Cause::InboxFull,
    Cause::OutboxFull,
];
