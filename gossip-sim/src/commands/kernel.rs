//! `gossip-sim kernel`: rounds of rumor spreading on the complete graph.

mod sweep;
mod table;

use std::io::Write as _;
use std::num::NonZeroUsize;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use gossip_sim::kernel::{Cap, Detail, HeavyTail, Options, Outcome, Spec, Strategy, simulate_chain, simulate_nodes};

/// What the kernel can be asked for.
#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// Simulates one strategy and prints one line per run.
    Run(Box<Run>),
    /// Prints rounds and traffic of all strategies by size, as Markdown.
    Table(table::Table),
    /// Prints every run of all strategies at every decade of sizes, one JSON object per line, for `gossip-analysis laws`.
    Sweep(sweep::Sweep),
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Name {
    Push,
    Pull,
    PushPull,
    /// Push-pull whose fan-out grows with the cluster.
    Grow,
    /// Push-pull whose fan-out doubles with the age of the rumor.
    Aging,
    /// Push-pull with a fan-out per node from a power law.
    HeavyTail,
    /// Push-pull that falls silent by counters.
    MedianCounter,
    /// Push-pull where only one incoming call is answered.
    OneAnswer,
    /// Push-pull with Poisson clocks.
    Poisson,
    /// A √N-split tree with push-pull beside it.
    SqrtTree,
    /// The clusters of Haeupler and Malkhi.
    Cluster,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum MethodName {
    /// The exact chain, to 10¹⁸ nodes.
    Exact,
    /// Every node, to 10⁹ and more.
    Nodes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DetailName {
    /// Calls that can change nothing are counted, not drawn.
    Fast,
    /// Every call is drawn.
    EveryCall,
    /// Every call is drawn, and the load of each node counted.
    Loads,
}

/// Arguments of `kernel run`.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// How nodes spread the rumor.
    #[arg(long, value_enum)]
    strategy: Name,
    /// Calls per node and round, for push, pull and push-pull.
    #[arg(long)]
    fanout: Option<u32>,
    /// Nodes: 1000, 1_000 or 1e3.
    #[arg(long, value_parser = count)]
    nodes: u64,
    /// Probability that a datagram is lost.
    #[arg(long, default_value_t = 0.0)]
    loss: f64,
    /// The master seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Independent runs.
    #[arg(long, default_value = "1", value_parser = count)]
    runs: u64,
    /// How to simulate.
    #[arg(long, value_enum, default_value = "exact")]
    method: MethodName,
    /// Threads for --method nodes; they change nothing but the time. Default: as many as the machine has.
    #[arg(long)]
    threads: Option<NonZeroUsize>,
    /// How much --method nodes draws and counts; "fast" where not given.
    #[arg(long, value_enum)]
    detail: Option<DetailName>,
    /// Exponent of the heavy tail.
    #[arg(long)]
    beta: Option<f64>,
    /// Greatest fan-out of the heavy tail: a number, "natural" for N^(1/(β−1)), or "none".
    #[arg(long, value_parser = cap)]
    cap: Option<Cap>,
    /// Mean fan-out to rescale the heavy tail to.
    #[arg(long)]
    budget: Option<f64>,
    /// Most sub-ranges that a node of the tree splits its range into.
    #[arg(long)]
    smax: Option<u32>,
    /// The tree without push-pull beside it.
    #[arg(long)]
    no_repair: bool,
    /// One JSON object per line.
    #[arg(long)]
    json: bool,
    /// The number informed after each round as well.
    #[arg(long)]
    curve: bool,
}

pub(crate) fn run(task: Task) -> Result<ExitCode, String> {
    match task {
        Task::Run(run) => run.run(),
        Task::Sweep(sweep) => sweep.run(&mut std::io::stdout().lock()).map(|()| ExitCode::SUCCESS),
        Task::Table(table) => table.run(&mut std::io::stdout().lock()).map(|()| ExitCode::SUCCESS),
    }
}

impl Run {
    fn run(&self) -> Result<ExitCode, String> {
        if self.method == MethodName::Exact && (self.threads.is_some() || self.detail.is_some()) {
            return Err("--threads and --detail are for --method nodes: the exact chain needs neither".to_owned());
        }
        let spec = Spec { strategy: self.strategy()?, nodes: self.nodes, loss: self.loss, seed: self.seed };
        let mut out = std::io::stdout().lock();
        for run in 0..self.runs {
            let outcome = match self.method {
                MethodName::Exact => simulate_chain(&spec, run),
                MethodName::Nodes => simulate_nodes(&spec, run, &self.options(), &mut progress(&spec, run)),
            };
            let outcome = outcome.map_err(|error| error.to_string())?;
            let line = if self.json {
                self.with_curve(json(&spec, run, &outcome), &outcome)
            } else {
                self.text(&spec, run, &outcome)
            };
            if writeln!(out, "{line}").is_err() {
                break;
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    fn options(&self) -> Options {
        let threads = self.threads.or_else(|| std::thread::available_parallelism().ok());
        let detail = match self.detail {
            None | Some(DetailName::Fast) => Detail::Fast,
            Some(DetailName::EveryCall) => Detail::EveryCall,
            Some(DetailName::Loads) => Detail::Loads,
        };
        Options { threads: threads.map_or(1, NonZeroUsize::get), detail }
    }

    /// The strategy with its parameters; a parameter that it does not have is refused.
    fn strategy(&self) -> Result<Strategy, String> {
        let only = |given: bool, flag: &str, right: bool, whose: &str| {
            if given && !right { Err(format!("{flag} is a parameter of {whose} alone")) } else { Ok(()) }
        };
        let fanned = matches!(self.strategy, Name::Push | Name::Pull | Name::PushPull);
        only(self.fanout.is_some(), "--fanout", fanned, "push, pull and push-pull")?;
        let tail = matches!(self.strategy, Name::HeavyTail);
        only(self.beta.is_some(), "--beta", tail, "heavy-tail")?;
        only(self.cap.is_some(), "--cap", tail, "heavy-tail")?;
        only(self.budget.is_some(), "--budget", tail, "heavy-tail")?;
        let tree = matches!(self.strategy, Name::SqrtTree);
        only(self.smax.is_some(), "--smax", tree, "sqrt-tree")?;
        only(self.no_repair, "--no-repair", tree, "sqrt-tree")?;
        let fanout = self.fanout.unwrap_or(1);
        Ok(match self.strategy {
            Name::Push => Strategy::Push { fanout },
            Name::Pull => Strategy::Pull { fanout },
            Name::PushPull => Strategy::PushPull { fanout },
            Name::Grow => Strategy::PushPullGrow,
            Name::Aging => Strategy::PushPullAging,
            Name::HeavyTail => Strategy::HeavyTail(HeavyTail {
                beta: self.beta.unwrap_or(2.5),
                cap: self.cap.unwrap_or(Cap::None),
                budget: self.budget,
            }),
            Name::MedianCounter => Strategy::MedianCounter,
            Name::OneAnswer => Strategy::OneAnswer,
            Name::Poisson => Strategy::Poisson,
            Name::Cluster => Strategy::Cluster,
            Name::SqrtTree => Strategy::SqrtTree { split_max: self.smax, repair: !self.no_repair },
        })
    }

    fn text(&self, spec: &Spec, run: u64, outcome: &Outcome) -> String {
        let (reached, traffic) = (&outcome.reached, &outcome.traffic);
        let time = |time: Option<f64>| time.map_or("never".to_owned(), |time| format!("{time}"));
        let most = |most: Option<u64>| most.map_or("-".to_owned(), |most| most.to_string());
        let mut line = format!(
            "run {run}: {}, N = {}, loss {}: rounds to 50 % {}, 90 % {}, 99 % {}, all {}; per node {:.3} copies, {:.3} \
             datagrams; greatest per round: out {}, answers {}, in {}",
            spec.strategy,
            spec.nodes,
            spec.loss,
            time(reached.half),
            time(reached.ninety),
            time(reached.ninety_nine),
            time(reached.all),
            traffic.rumor as f64 / spec.nodes as f64,
            traffic.datagrams as f64 / spec.nodes as f64,
            traffic.out_max,
            most(traffic.answers_max),
            most(traffic.in_max),
        );
        if self.curve {
            let curve: Vec<String> = outcome.curve.iter().map(u64::to_string).collect();
            line.push_str(&format!("; informed {}", curve.join(" ")));
        }
        line
    }

    fn with_curve(&self, mut value: serde_json::Value, outcome: &Outcome) -> String {
        if self.curve {
            value["informed"] = outcome.curve.clone().into();
        }
        value.to_string()
    }
}

/// A run as it is written for other programs.
fn json(spec: &Spec, run: u64, outcome: &Outcome) -> serde_json::Value {
    let (reached, traffic) = (&outcome.reached, &outcome.traffic);
    serde_json::json!({
        "strategy": spec.strategy.to_string(), "nodes": spec.nodes, "loss": spec.loss, "seed": spec.seed, "run": run,
        "rounds_50": reached.half, "rounds_90": reached.ninety, "rounds_99": reached.ninety_nine,
        "rounds_all": reached.all,
        "copies_per_node": traffic.rumor as f64 / spec.nodes as f64,
        "datagrams_per_node": traffic.datagrams as f64 / spec.nodes as f64,
        "out_max": traffic.out_max, "answers_max": traffic.answers_max, "in_max": traffic.in_max,
    })
}

/// Tells on standard error how far a long run is.
fn progress(spec: &Spec, run: u64) -> impl FnMut(u64, u64) + use<> {
    let nodes = spec.nodes;
    move |round, informed| {
        if nodes >= 100_000_000 {
            let percent = informed as f64 / nodes as f64 * 100.0;
            let _ = writeln!(std::io::stderr(), "run {run}, round {round}: {informed} informed ({percent:.4} %)");
        }
    }
}

/// A count as people write it: 1000000, 1_000_000 or 1e6.
fn count(text: &str) -> Result<u64, String> {
    let plain: String = text.chars().filter(|&c| c != '_').collect();
    if let Ok(count) = plain.parse() {
        return Ok(count);
    }
    let wrong = || format!("\"{text}\" is not a whole number such as 1000, 1_000 or 1e3");
    let (digits, exponent) = plain.split_once(['e', 'E']).ok_or_else(wrong)?;
    let exponent: u32 = exponent.parse().map_err(|_| wrong())?;
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mantissa: u64 = format!("{whole}{fraction}").parse().map_err(|_| wrong())?;
    let zeros = u32::try_from(fraction.len()).ok().and_then(|places| exponent.checked_sub(places)).ok_or_else(wrong)?;
    10_u64
        .checked_pow(zeros)
        .and_then(|power| mantissa.checked_mul(power))
        .ok_or_else(|| format!("{text} is too large"))
}

fn cap(text: &str) -> Result<Cap, String> {
    match text {
        "none" => Ok(Cap::None),
        "natural" => Ok(Cap::Natural),
        _ => {
            count(text).map(Cap::At).map_err(|_| format!("\"{text}\" is neither a number nor \"natural\" nor \"none\""))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_as_people_write_them() {
        let read =
            [("1000", 1000), ("1_000", 1000), ("1e3", 1000), ("2.5e3", 2500), ("1E18", 1_000_000_000_000_000_000)];
        for (text, value) in read {
            assert_eq!(count(text), Ok(value));
        }
        for text in ["", "1.5", "1e-3", "2.55e1", "x", "1e99", "-1"] {
            assert!(count(text).is_err(), "{text}");
        }
    }
}
