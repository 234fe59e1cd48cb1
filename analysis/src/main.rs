//! The command `gossip-analysis`: from a result folder to its report.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use analysis::load::{load, log_path};
use analysis::report::{terminal, write};
use analysis::study::Study;
use clap::Parser;

/// Reads the log of an experiment and writes its report: report.html, report.md, plots/*.svg and *.png, curves.csv, times.csv.
#[derive(Debug, Parser)]
#[command(name = "gossip-analysis", version)]
struct Arguments {
    /// A result folder (its log is records.jsonl) or a log.
    result: PathBuf,
    /// Where to write; the result folder if not given.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            let _ = writeln!(std::io::stderr(), "gossip-analysis: {message}");
            ExitCode::FAILURE
        }
    }
}

fn say(study: &Study, page: &Path) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    write!(out, "{}", terminal::render(study))?;
    if study.experiment.truncated {
        writeln!(out, "The log's last line is cut off; everything above it is in the report.")?;
    }
    writeln!(out, "report: {}", page.display())
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let experiment = load(&arguments.result).map_err(|error| error.to_string())?;
    let folder = arguments.out.clone().unwrap_or_else(|| {
        let log = log_path(&arguments.result);
        log.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_path_buf()
    });
    let study = Study::of(experiment);
    let page = write(&study, &folder).map_err(|error| error.to_string())?;
    // The report is written: a terminal that is gone is no failure.
    let _ = say(&study, &page);
    Ok(())
}
