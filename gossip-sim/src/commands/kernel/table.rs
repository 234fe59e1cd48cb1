//! `gossip-sim kernel table`: the strategies by size, as Markdown.

use std::io::Write;

use clap::Args;
use gossip_sim::kernel::{
    Detail, HeavyTail, KernelError, Options, Outcome, Spec, Strategy, simulate_chain, simulate_nodes,
};

/// Arguments of `kernel table`.
#[derive(Debug, Args)]
pub(crate) struct Table {
    /// The master seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Runs per cell of the exact chains.
    #[arg(long, default_value_t = 1000)]
    runs: u64,
    /// Threads for what is played node by node.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Largest cluster that is played node by node; greater ones are left out of its rows.
    #[arg(long, default_value = "1e6", value_parser = super::count)]
    nodes_max: u64,
}

const SIZES: [u64; 8] =
    [100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 1_000_000_000_000, 1_000_000_000_000_000_000];

/// Strategies and losses, as rows.
pub(super) fn rows() -> Vec<(Strategy, f64)> {
    let tree = |repair| Strategy::SqrtTree { split_max: None, repair };
    vec![
        (Strategy::Push { fanout: 1 }, 0.0),
        (Strategy::Pull { fanout: 1 }, 0.0),
        (Strategy::PushPull { fanout: 1 }, 0.0),
        (Strategy::PushPull { fanout: 1 }, 0.05),
        (Strategy::Push { fanout: 3 }, 0.0),
        (Strategy::PushPull { fanout: 3 }, 0.0),
        (Strategy::HeavyTail(HeavyTail::new(2.5)), 0.0),
        (Strategy::PushPullGrow, 0.0),
        (Strategy::PushPullGrow, 0.05),
        (Strategy::PushPullAging, 0.0),
        (Strategy::PushPullAging, 0.05),
        (Strategy::OneAnswer, 0.0),
        (Strategy::Poisson, 0.0),
        (Strategy::MedianCounter, 0.0),
        (tree(false), 0.0),
        (tree(true), 0.05),
        (Strategy::Cluster, 0.0),
    ]
}

/// The size at which traffic and loads are shown.
const TRAFFIC_NODES: u64 = 1_000_000;

impl Table {
    pub(crate) fn run(&self, out: &mut impl Write) -> Result<(), String> {
        self.rounds(out).and_then(|()| self.traffic(out)).map_err(|error| error.to_string())
    }

    fn rounds(&self, out: &mut impl Write) -> std::io::Result<()> {
        writeln!(out, "Rounds to all ± standard error (to 99 %), seed {}.\n", self.seed)?;
        let sizes: Vec<String> = SIZES.iter().map(|&size| format!("10^{}", size.ilog10())).collect();
        writeln!(out, "| strategy | runs | {} |", sizes.join(" | "))?;
        writeln!(out, "|---|---|{}", "---|".repeat(sizes.len()))?;
        for (strategy, loss) in rows() {
            let mut cells = Vec::new();
            let mut most = 0;
            for nodes in SIZES {
                let spec = Spec { strategy, nodes, loss, seed: self.seed };
                let outcomes = self.outcomes(&spec);
                most = most.max(outcomes.len());
                cells.push(cell(&outcomes));
                let _ = writeln!(std::io::stderr(), "{strategy}, p = {loss}, N = {nodes}: done");
            }
            writeln!(out, "| {} | {most} | {} |", title(strategy, loss), cells.join(" | "))?;
        }
        Ok(())
    }

    /// By the exact chain; where there is none, node by node, and fewer the larger they are.
    fn outcomes(&self, spec: &Spec) -> Vec<Outcome> {
        let chain: Result<Vec<Outcome>, KernelError> = (0..self.runs).map(|run| simulate_chain(spec, run)).collect();
        chain.unwrap_or_else(|_| {
            let runs =
                if spec.nodes > self.nodes_max { 0 } else { (20_000_000 / spec.nodes).clamp(5, self.runs.max(5)) };
            (0..runs).filter_map(|run| self.play(spec, run, Detail::Fast).ok()).collect()
        })
    }

    fn play(&self, spec: &Spec, run: u64, detail: Detail) -> Result<Outcome, KernelError> {
        simulate_nodes(spec, run, &Options { threads: self.threads, detail }, &mut |_, _| {})
    }

    fn traffic(&self, out: &mut impl Write) -> std::io::Result<()> {
        let runs = 5;
        writeln!(
            out,
            "\nPer node and run at N = 10^6, {runs} runs node by node: copies of the rumor, all datagrams, and the greatest"
        )?;
        writeln!(out, "number of calls, answers and arrivals of one node in one round of any run.\n")?;
        writeln!(out, "| strategy | copies | datagrams | calls | answers | arrivals |\n|---|---|---|---|---|---|")?;
        for (strategy, loss) in rows() {
            let spec = Spec { strategy, nodes: TRAFFIC_NODES, loss, seed: self.seed };
            let outcomes: Vec<Outcome> =
                (0..runs).filter_map(|run| self.play(&spec, run, Detail::Loads).ok()).collect();
            let per_node = |count: fn(&Outcome) -> u128| {
                let sum: u128 = outcomes.iter().map(count).sum();
                sum as f64 / outcomes.len() as f64 / spec.nodes as f64
            };
            let most = |count: fn(&Outcome) -> Option<u64>| {
                outcomes.iter().filter_map(count).max().map_or("-".to_owned(), |most| most.to_string())
            };
            writeln!(
                out,
                "| {} | {:.2} | {:.2} | {} | {} | {} |",
                title(strategy, loss),
                per_node(|o| o.traffic.rumor),
                per_node(|o| o.traffic.datagrams),
                most(|o| Some(o.traffic.out_max)),
                most(|o| o.traffic.answers_max),
                most(|o| o.traffic.in_max),
            )?;
        }
        Ok(())
    }
}

fn title(strategy: Strategy, loss: f64) -> String {
    if loss == 0.0 { strategy.to_string() } else { format!("{strategy}, p={loss}") }
}

fn cell(outcomes: &[Outcome]) -> String {
    let times = |time: fn(&Outcome) -> Option<f64>| -> Vec<f64> { outcomes.iter().filter_map(time).collect() };
    let (all, most) = (times(|o| o.reached.all), times(|o| o.reached.ninety_nine));
    let mean = |times: &[f64]| times.iter().sum::<f64>() / times.len() as f64;
    if all.is_empty() {
        return String::new();
    }
    let center = mean(&all);
    let variance = all.iter().map(|time| (time - center).powi(2)).sum::<f64>() / (all.len() as f64 - 1.0).max(1.0);
    let missed = outcomes.len() - all.len();
    let note = if missed > 0 { format!(", {missed} never") } else { String::new() };
    format!("{center:.2} ± {:.2} ({:.2}){note}", (variance / all.len() as f64).sqrt(), mean(&most))
}
