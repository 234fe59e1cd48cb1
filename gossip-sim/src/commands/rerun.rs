//! `gossip-sim rerun`: a simulated result once more, from its folder alone.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use gossip_sim::run::Show;
use gossip_sim::run::verify::rerun;

/// What to run again.
#[derive(Debug, Args)]
pub(crate) struct Again {
    /// A result folder or its log.
    result: PathBuf,
    /// Folder of results for the new one; without it the new one is only compared.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Runs at a time; all processors if not given.
    #[arg(long)]
    threads: Option<usize>,
}

pub(crate) fn run(arguments: &Again) -> Result<ExitCode, String> {
    let scratch = tempfile::tempdir().map_err(|error| error.to_string())?;
    let out = arguments.out.as_deref().unwrap_or(scratch.path());
    let build = super::run::built(&arguments.result);
    let again = rerun(&arguments.result, out, build, super::run::threads(arguments.threads), Show::Yes)
        .map_err(|error| error.to_string())?;
    let mut screen = std::io::stdout().lock();
    for warning in &again.warnings {
        let _ = writeln!(screen, "note: {warning}");
    }
    if arguments.out.is_some() {
        let _ = writeln!(screen, "result: {}", again.finished.folder.display());
    }
    if again.is_same() {
        let _ = writeln!(screen, "the same: {}", again.expected);
        return Ok(ExitCode::SUCCESS);
    }
    let is = again.finished.manifest.trace_hash.as_deref().unwrap_or_default();
    let _ = writeln!(screen, "DIFFERENT: {is}, it was {}", again.expected);
    if let Some((line, was, is)) = &again.difference {
        let _ = writeln!(screen, "line {line} was {was}\nline {line} is  {is}");
    }
    Ok(ExitCode::FAILURE)
}
