//! `gossip-sim kernel sweep`: every run of the strategies by size, one JSON object per line, for `gossip-analysis laws`.

use std::io::Write;

use clap::Args;
use gossip_sim::kernel::{
    Detail, HeavyTail, KernelError, Options, Outcome, Spec, Strategy, simulate_chain, simulate_nodes,
};

use super::{json, table};

/// Arguments of `kernel sweep`.
#[derive(Debug, Args)]
pub(crate) struct Sweep {
    /// The master seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Runs per strategy and size.
    #[arg(long, default_value_t = 400)]
    runs: u64,
    /// Threads for what is played node by node.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Largest cluster that is played node by node where there is no exact chain.
    #[arg(long, default_value = "1e6", value_parser = super::count)]
    nodes_max: u64,
}

/// What loss does to those of which an end without it is predicted, beside what the table has.
fn losses() -> Vec<(Strategy, f64)> {
    let push_pull = Strategy::PushPull { fanout: 1 };
    let tail = Strategy::HeavyTail(HeavyTail::new(2.5));
    vec![(push_pull, 0.01), (push_pull, 0.2), (Strategy::PushPullGrow, 0.2), (tail, 0.05), (tail, 0.2)]
}

impl Sweep {
    pub(crate) fn run(&self, out: &mut impl Write) -> Result<(), String> {
        for (strategy, loss) in table::rows().into_iter().chain(losses()) {
            // Every decade from a hundred to the largest.
            for nodes in (2..=18).map(|exponent| 10_u64.pow(exponent)) {
                let spec = Spec { strategy, nodes, loss, seed: self.seed };
                let outcomes = self.outcomes(&spec);
                for (run, outcome) in (0..).zip(&outcomes) {
                    writeln!(out, "{}", json(&spec, run, outcome)).map_err(|error| error.to_string())?;
                }
                let _ = writeln!(std::io::stderr(), "{strategy}, p = {loss}, N = {nodes}: {} runs", outcomes.len());
            }
        }
        out.flush().map_err(|error| error.to_string())
    }

    /// By the exact chain; where there is none, node by node, and fewer the larger they are.
    fn outcomes(&self, spec: &Spec) -> Vec<Outcome> {
        let chain: Result<Vec<Outcome>, KernelError> = (0..self.runs).map(|run| simulate_chain(spec, run)).collect();
        chain.unwrap_or_else(|_| {
            let runs = if spec.nodes > self.nodes_max { 0 } else { (10_000_000 / spec.nodes).clamp(5, self.runs) };
            let options = Options { threads: self.threads, detail: Detail::Fast };
            (0..runs).filter_map(|run| simulate_nodes(spec, run, &options, &mut |_, _| {}).ok()).collect()
        })
    }
}
