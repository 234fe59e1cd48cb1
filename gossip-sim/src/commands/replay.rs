//! `gossip-sim replay SEED|PLAN`: one plan again, with what happens written down.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use gossip_sim::chaos::{Outcome, Plan, Trace, plan_of, run as run_plan};

use super::seeds::say;

/// Arguments of `replay`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A seed, or a file with a plan.
    plan: String,
    /// From this virtual second on.
    #[arg(long, default_value_t = 0.0)]
    from: f64,
    /// Up to this virtual second.
    #[arg(long, default_value_t = 1e9)]
    to: f64,
    /// Only what concerns this node.
    #[arg(long)]
    node: Option<u32>,
    /// Say only what came of it.
    #[arg(long)]
    quiet: bool,
    /// Print the plan and do not run it.
    #[arg(long)]
    print: bool,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, String> {
    let plan = read(&args.plan)?;
    if args.print {
        say(&plan.to_text());
        return Ok(ExitCode::SUCCESS);
    }
    let seconds = |value: f64| Duration::try_from_secs_f64(value).map_err(|error| error.to_string());
    let (from, to) = (seconds(args.from)?, seconds(args.to)?);
    let trace = (!args.quiet).then(|| {
        let mut out = std::io::BufWriter::new(std::io::stdout());
        Trace::new(from, to, args.node, move |line| {
            let _ = writeln!(out, "{line}");
        })
    });
    let Outcome { violation, tally } = run_plan(&plan, trace);
    match violation {
        Some(violation) => {
            say(&format!("FAILED: {violation}"));
            Ok(ExitCode::FAILURE)
        }
        None => {
            say(&format!(
                "well after {} virtual seconds and {} datagrams",
                tally.virtual_time.as_secs(),
                tally.datagrams
            ));
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The plan of a seed or of a file.
pub(super) fn read(what: &str) -> Result<Plan, String> {
    if let Ok(seed) = what.parse() {
        return Ok(plan_of(seed));
    }
    let text = std::fs::read_to_string(what).map_err(|error| format!("{what}: {error}"))?;
    Plan::parse(&text).map_err(|error| format!("{what}: {error}"))
}
