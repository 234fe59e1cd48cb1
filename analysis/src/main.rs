//! The command `gossip-analysis`: from a result folder to its report.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use analysis::compare::Comparison;
use analysis::goodness::{self, Goodness};
use analysis::laws;
use analysis::load::{Experiment, load, log_path};
use analysis::peers::Peers;
use analysis::report::{comparison, terminal, write};
use analysis::study::Study;
use clap::{Parser, Subcommand};

/// Reads the log of an experiment and writes its report: report.html, report.md, plots/*.svg and *.png, curves.csv, times.csv.
#[derive(Debug, Parser)]
#[command(name = "gossip-analysis", version, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct Arguments {
    #[command(subcommand)]
    task: Option<Task>,
    /// A result folder (its log is records.jsonl) or a log.
    #[arg(required = true)]
    result: Option<PathBuf>,
    /// Where to write; the result folder if not given.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// How rounds grow with N, from the runs of `gossip-sim kernel sweep`: laws.html, laws.md, plots.
    Laws {
        /// The runs, one JSON object per line.
        runs: PathBuf,
        /// Where to write.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Seed of the bootstrap.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Hold real clusters against the model without fitted parameters, strategy by strategy: goodness.html, goodness.md, plots.
    Goodness {
        /// Result folders or logs.
        #[arg(required = true)]
        results: Vec<PathBuf>,
        /// Where to write.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// This agent's results beside another agent's under the same plans: peers.html, peers.md, a plot.
    Peers {
        /// Result folders or logs of this agent.
        #[arg(required = true)]
        ours: Vec<PathBuf>,
        /// Those of the other.
        #[arg(long, required = true, num_args = 1..)]
        theirs: Vec<PathBuf>,
        /// What the other is called.
        #[arg(long, default_value = "peer")]
        name: String,
        /// Where to write.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Hold results against each other, run by run: comparison.html, comparison.md, plots.
    Compare {
        /// A result folder or a log.
        a: PathBuf,
        /// What it is held against. Several of them, of other seeds, tell how much clusters of one kind differ.
        #[arg(required = true)]
        b: Vec<PathBuf>,
        /// More results on the side of the first.
        #[arg(long, value_name = "RESULT")]
        beside: Vec<PathBuf>,
        /// Where to write; `comparison` in the last result's folder if not given.
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match (&arguments.task, &arguments.result) {
        (Some(Task::Laws { runs, out, seed }), _) => laws(runs, out, *seed),
        (Some(Task::Goodness { results, out }), _) => goodness(results, out),
        (Some(Task::Peers { ours, theirs, name, out }), _) => peers(ours, theirs, name, out),
        (Some(Task::Compare { a, b, beside, out }), _) => compare(a, beside, b, out.as_deref()),
        (None, Some(result)) => run(result, arguments.out.as_deref()),
        (None, None) => unreachable!("one of the two is required"),
    };
    match done {
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

/// The folder in which a result's log is.
fn folder_of(result: &Path) -> PathBuf {
    let log = log_path(result);
    log.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_path_buf()
}

fn run(result: &Path, out: Option<&Path>) -> Result<(), String> {
    let experiment = load(result).map_err(|error| error.to_string())?;
    let folder = out.map_or_else(|| folder_of(result), Path::to_path_buf);
    let study = Study::of(experiment);
    let page = write(&study, &folder).map_err(|error| error.to_string())?;
    // The report is written: a terminal that is gone is no failure.
    let _ = say(&study, &page);
    Ok(())
}

fn laws(runs: &Path, out: &Path, seed: u64) -> Result<(), String> {
    let place = |error: &dyn std::fmt::Display| format!("{}: {error}", runs.display());
    let file = std::fs::File::open(runs).map_err(|error| place(&error))?;
    let series = laws::runs::read(file).map_err(|error| place(&error))?;
    let studies: Vec<laws::study::Study> =
        series.into_iter().map(|series| laws::study::Study::of(series, seed)).collect();
    let page = laws::report::write(&studies, out).map_err(|error| error.to_string())?;
    let mut text = String::new();
    for study in &studies {
        text.push_str(&format!("{}: {}\n", study.series.title(), study.all.verdict().words()));
    }
    let _ = writeln!(std::io::stdout().lock(), "{text}report: {}", page.display());
    Ok(())
}

fn goodness(results: &[PathBuf], out: &Path) -> Result<(), String> {
    let results = read_all(results)?;
    let judged = Goodness::of(&results, |cell| {
        let mut line = format!("{}, N = {}, {}:", cell.strategy, cell.size, cell.setting);
        for test in cell.tests.iter().flatten() {
            line.push_str(&format!(" {} p = {:.3};", test.quantity.name(), test.p));
        }
        let _ = writeln!(std::io::stdout().lock(), "{line} {} of {} events complete", cell.complete, cell.events);
    });
    let page = goodness::report::write(&judged, out).map_err(|error| error.to_string())?;
    let mut text = String::new();
    for setting in judged.settings() {
        let wrong = goodness::report::wrong_order(&judged.under(setting));
        let order = if wrong.is_empty() { "as the model says".to_owned() } else { wrong.join("; ") };
        text.push_str(&format!("order under {setting}: {order}\n"));
    }
    text.push_str(&goodness::report::verdict(&judged));
    let _ = writeln!(std::io::stdout().lock(), "{text}\nreport: {}", page.display());
    Ok(())
}

fn peers(ours: &[PathBuf], theirs: &[PathBuf], name: &str, out: &Path) -> Result<(), String> {
    let [ours, theirs] = [read_all(ours)?, read_all(theirs)?];
    let page = Peers::of(["hearsay".to_owned(), name.to_owned()], [&ours, &theirs]).write(out);
    let page = page.map_err(|error| error.to_string())?;
    let _ = writeln!(std::io::stdout().lock(), "report: {}", page.display());
    Ok(())
}

fn read_all(results: &[PathBuf]) -> Result<Vec<Experiment>, String> {
    results.iter().map(|path| load(path).map_err(|error| error.to_string())).collect()
}

fn compare(a: &Path, beside: &[PathBuf], b: &[PathBuf], out: Option<&Path>) -> Result<(), String> {
    let read = |path: &Path| load(path).map_err(|error| error.to_string());
    let first = std::iter::once(a).chain(beside.iter().map(PathBuf::as_path));
    let first = first.map(read).collect::<Result<Vec<_>, _>>()?;
    let second = b.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>()?;
    let compared = Comparison::of([&first, &second]);
    let last = b.last().expect("one is required");
    let folder = out.map_or_else(|| folder_of(last).join("comparison"), Path::to_path_buf);
    let page = comparison::write(&compared, &folder).map_err(|error| error.to_string())?;
    let _ = say_comparison(&compared, &page);
    if compared.runs.is_empty() { Err("there is no run with events that all results have".to_owned()) } else { Ok(()) }
}

fn say_comparison(compared: &Comparison, page: &Path) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for note in &compared.notes {
        writeln!(out, "{note}")?;
    }
    for run in &compared.runs {
        writeln!(out, "{}: {}", run.title, comparison::verdict(compared, run))?;
    }
    writeln!(out, "comparison: {}", page.display())
}
