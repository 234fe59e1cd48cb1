//! `gossip-sim shrink SEED|PLAN`: a smaller plan that breaks the same promise.
//!
//! Each candidate runs in a process of its own: a broken invariant ends the process, and a run that does not end is ended.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use gossip_sim::chaos::Plan;
use gossip_sim::chaos::shrink::shrink;

use super::replay::read;
use super::seeds::say;

/// Arguments of `shrink`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A seed, or a file with a plan.
    plan: String,
    /// Where the smaller plan is written.
    #[arg(long, default_value = "small.toml")]
    out: PathBuf,
    /// Most runs.
    #[arg(long, default_value_t = 2_000)]
    runs: usize,
}

/// A run that takes longer does not end.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) fn run(args: &Args) -> Result<ExitCode, String> {
    let plan = read(&args.plan)?;
    let candidate = args.out.with_extension("candidate.toml");
    let failure = fails(&plan, &candidate)?.ok_or("the plan does not fail")?;
    say(&format!("fails: {failure}"));
    let mut runs = 0;
    let small = shrink(&plan, args.runs, |smaller| {
        runs += 1;
        fails(smaller, &candidate).is_ok_and(|found| found.as_ref() == Some(&failure))
    });
    let _ = std::fs::remove_file(&candidate);
    std::fs::write(&args.out, small.to_text()).map_err(|error| format!("{}: {error}", args.out.display()))?;
    say(&format!(
        "{} of {} acts and {} of {} nodes are left after {runs} runs\n    gossip-sim replay {}",
        small.acts.len(),
        plan.acts.len(),
        small.hosts().len(),
        plan.hosts().len(),
        args.out.display()
    ));
    Ok(ExitCode::SUCCESS)
}

/// The checker that a plan fails with, if it does.
fn fails(plan: &Plan, file: &Path) -> Result<Option<String>, String> {
    std::fs::write(file, plan.to_text()).map_err(|error| format!("{}: {error}", file.display()))?;
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut child = Command::new(program)
        .args(["replay", "--quiet"])
        .arg(file)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| error.to_string())?;
    let begin = Instant::now();
    while child.try_wait().map_err(|error| error.to_string())?.is_none() {
        if begin.elapsed() > PATIENCE {
            let _ = child.kill();
            let _ = child.wait();
            return Ok(Some("it does not end".into()));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(None);
    }
    let said = String::from_utf8_lossy(&output.stdout);
    let checker = said.strip_prefix("FAILED: ").and_then(|rest| rest.split(' ').next());
    Ok(Some(checker.map_or_else(|| "an invariant".to_owned(), str::to_owned)))
}
