//! `gossip-sim verify`: whether a result is what it says it is.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use gossip_sim::run::verify::verify;

/// What to look at.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// A result folder or its log.
    result: PathBuf,
}

pub(crate) fn run(arguments: &Verify) -> Result<ExitCode, String> {
    let findings = verify(&arguments.result).map_err(|error| error.to_string())?;
    let mut out = std::io::stdout().lock();
    for finding in &findings {
        let _ = writeln!(out, "{finding}");
    }
    Ok(if findings.iter().all(|finding| finding.good) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
