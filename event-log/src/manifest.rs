//! The first line of every log: under what circumstances the rest came to be.

use serde::{Deserialize, Serialize};

use crate::Version;
use crate::plan::{Backend, Plan};

/// Everything that is needed to know what a log is a log of, and to run it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the log's schema. First, so that a reader can look at it before the rest.
    pub schema: Version,
    /// Name of the result folder.
    pub name: String,
    /// The plan with every default written out.
    pub plan: Plan,
    /// SHA-256 of the plan in canonical JSON, hexadecimal.
    pub plan_sha256: String,
    /// The master seed (the plan's, or the one given on the command line).
    pub seed: u64,
    /// Where the nodes ran.
    pub backend: Backend,
    /// Version of the programs.
    pub version: String,
    /// Commit that the programs were built from, `unknown` outside a checkout.
    pub commit: String,
    /// True when the checkout differed from the commit.
    pub dirty: bool,
    /// The machine.
    pub machine: Machine,
    /// Bound of the error when stamps of two nodes are compared, nanoseconds. 0 where all nodes read one clock.
    pub clock_error_ns: u64,
    /// Start, as RFC 3339 in UTC.
    pub started: String,
    /// Start on the master's monotonic clock, nanoseconds: the zero of the result's time axis.
    pub started_ns: u64,
    /// SHA-256 of the records, hexadecimal: what `tail -n +2 records.jsonl | sha256sum` prints. A function of plan, seed and version
    /// alone, since the manifest is not in it. Only simulated results have one: real clusters never run twice alike.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_hash: Option<String>,
    /// What the simulation took, once it is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub simulation: Option<Simulation>,
}

/// What a simulation took. Nothing of this decides what is simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Simulation {
    /// Records of the log.
    pub records: u64,
    /// Simulated time over all runs, nanoseconds.
    pub virtual_ns: u64,
    /// Steps of all runs: datagrams that arrived, timers, orders.
    pub steps: u64,
    /// Wall time, nanoseconds.
    pub wall_ns: u64,
    /// Threads over which the runs were spread.
    pub threads: u32,
}

/// The machine of the master.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Machine {
    /// Model of the processor.
    pub cpu: String,
    /// Processors that the master may use.
    pub cores: u32,
    /// Memory, bytes.
    pub memory_bytes: u64,
    /// Kernel name and release.
    pub kernel: String,
    /// Load average over one minute at the start, as the kernel prints it.
    pub load: String,
}
