//! `gossip-sim run`: a plan in virtual time.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use event_log::circumstances::Build;
use event_log::plan::{Backend, Plan};
use gossip_sim::run::{Request, Show, run as simulate};

/// What to run.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The plan's file.
    plan: PathBuf,
    /// Folder of results.
    #[arg(long, default_value = "experiments/results")]
    out: PathBuf,
    /// Master seed, instead of the plan's.
    #[arg(long)]
    seed: Option<u64>,
    /// Runs at a time, or threads within a run if there are fewer runs; all processors if not given. The records do not depend on
    /// it, the memory does.
    #[arg(long)]
    threads: Option<usize>,
}

pub(crate) fn run(arguments: &Run) -> Result<ExitCode, String> {
    let mut plan = Plan::load(&arguments.plan).map_err(|error| error.to_string())?;
    plan.check_backend(&arguments.plan, Backend::Sim).map_err(|error| error.to_string())?;
    plan.seed = arguments.seed.unwrap_or(plan.seed);
    let text = std::fs::read_to_string(&arguments.plan).map_err(|error| error.to_string())?;
    let request = Request {
        plan: &plan,
        plan_text: &text,
        out: &arguments.out,
        build: built(&arguments.plan),
        threads: threads(arguments.threads),
        show: Show::Yes,
    };
    let finished = simulate(&request).map_err(|error| error.to_string())?;
    let mut out = std::io::stdout().lock();
    // A terminal that is gone is no failure: the result is written.
    if let Some(simulation) = finished.manifest.simulation {
        let wall = simulation.wall_ns as f64 / 1e9;
        let _ = writeln!(
            out,
            "{:.1} s of virtual time in {wall:.1} s: {:.2} M steps/s, {} records, hash {}",
            simulation.virtual_ns as f64 / 1e9,
            simulation.steps as f64 / wall / 1e6,
            simulation.records,
            finished.manifest.trace_hash.as_deref().unwrap_or_default()
        );
    }
    let _ = writeln!(out, "result: {}", finished.folder.display());
    Ok(ExitCode::SUCCESS)
}

/// From what this program was built: the checkout that holds it, or else the one that holds the plan.
pub(crate) fn built(plan: &Path) -> Build {
    Build::find(&[&std::env::current_exe().unwrap_or_default(), plan])
}

pub(crate) fn threads(wanted: Option<usize>) -> usize {
    wanted.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get))
}
