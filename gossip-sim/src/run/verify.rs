//! Whether a result is what it says it is, and whether it comes again: both from its folder alone.

use std::fmt;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use event_log::circumstances::Build;
use event_log::folder::{PLAN, RECORDS};
use event_log::manifest::Manifest;
use event_log::plan::{Backend, Plan};
use event_log::read::{ReadError, Visit, visit};
use event_log::record::{Line, MASTER, What};
use event_log::trace::hash_of;
use thiserror::Error;

use super::{Finished, Request, Show, SimError, run};

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whether it is as it should be.
    pub good: bool,
    /// In words.
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", if self.good { "good " } else { "WRONG" }, self.text)
    }
}

/// Why nothing can be said.
#[derive(Debug, Error)]
pub enum VerifyError {
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The log cannot be hashed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The log.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Real clusters never run twice alike.
    #[error("{0} is a result of real nodes ({1}): only a simulated one can be run again")]
    Real(String, Backend),
    /// The result was never finished.
    #[error("{0} was not finished: there is nothing to compare with")]
    Unfinished(String),
    /// It cannot be run again.
    #[error(transparent)]
    Run(#[from] SimError),
}

/// The log that a result folder or a path to a log means.
fn log_of(result: &Path) -> PathBuf {
    if result.is_dir() { result.join(RECORDS) } else { result.to_path_buf() }
}

/// What the lines of a log tell about it.
#[derive(Default)]
struct Tally {
    lines: u64,
    complete: Vec<u32>,
}

impl Visit for Tally {
    fn line(&mut self, line: Line) {
        self.lines += 1;
        if line.node == MASTER && line.record.what == (What::RunEnded { complete: true }) {
            self.complete.push(line.run);
        }
    }
}

/// Looks at everything in a result that can be checked without running it.
///
/// # Errors
/// [`VerifyError`] when it cannot be read.
pub fn verify(result: &Path) -> Result<Vec<Finding>, VerifyError> {
    let path = log_of(result);
    let mut tally = Tally::default();
    let summary = visit(&path, &mut tally)?;
    let manifest = summary.manifest;
    let mut findings = Vec::new();
    let mut found = |good: bool, text: String| findings.push(Finding { good, text });
    found(true, format!("schema {}, {} records, all of them understood", manifest.schema, tally.lines));
    found(!summary.truncated, "the last line is whole".to_owned());
    let plan_hash = manifest.plan.sha256();
    found(plan_hash == manifest.plan_sha256, format!("the plan's hash is {plan_hash}"));
    found(manifest.plan.seed == manifest.seed, format!("the seed is {}", manifest.seed));
    if let Some((good, text)) = plan_file(&path, &manifest) {
        found(good, text);
    }
    let runs = manifest.plan.runs().len() as u32;
    let missing: Vec<String> =
        (0..runs).filter(|run| !tally.complete.contains(run)).map(|run| run.to_string()).collect();
    found(
        missing.is_empty(),
        match missing.as_slice() {
            [] => format!("all {runs} runs are complete"),
            missing => format!("of {runs} runs these are not complete: {}", missing.join(", ")),
        },
    );
    if manifest.backend == Backend::Sim {
        let (hash, _) = hash_of(&path).map_err(|source| VerifyError::Io { path: path.clone(), source })?;
        let told = manifest.trace_hash.as_deref();
        let stands = told.map_or_else(|| "none: it was not finished".to_owned(), str::to_owned);
        found(told == Some(hash.as_str()), format!("the records' hash is {hash}, in the manifest stands {stands}"));
        let records = manifest.simulation.map(|simulation| simulation.records);
        found(records == Some(tally.lines), format!("{} records, in the manifest stand {records:?}", tally.lines));
    } else {
        found(true, format!("backend {}: real nodes never do the same twice, there is no hash", manifest.backend));
    }
    Ok(findings)
}

/// Whether the plan beside the log is the one in the manifest; nothing if there is none that can be read.
fn plan_file(log: &Path, manifest: &Manifest) -> Option<(bool, String)> {
    let mut plan = Plan::load(&log.with_file_name(PLAN)).ok()?;
    plan.seed = manifest.seed;
    Some((plan.sha256() == manifest.plan_sha256, format!("{PLAN} is the plan of the manifest")))
}

/// A result that was run again.
#[derive(Debug)]
pub struct Rerun {
    /// What may make a difference.
    pub warnings: Vec<String>,
    /// The new result.
    pub finished: Finished,
    /// The hash that the old one had.
    pub expected: String,
    /// The first line of the records that differs: its number in the file, what it was, what it is.
    pub difference: Option<(usize, String, String)>,
}

impl Rerun {
    /// Whether it came out the same.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.finished.manifest.trace_hash.as_deref() == Some(self.expected.as_str())
    }
}

/// Runs a result again, from its manifest.
///
/// # Errors
/// [`VerifyError`].
pub fn rerun(result: &Path, out: &Path, build: Build, threads: usize, show: Show) -> Result<Rerun, VerifyError> {
    let path = log_of(result);
    let manifest = event_log::read::manifest_of(&path)?;
    if manifest.backend != Backend::Sim {
        return Err(VerifyError::Real(manifest.name, manifest.backend));
    }
    let Some(expected) = manifest.trace_hash.clone() else { return Err(VerifyError::Unfinished(manifest.name)) };
    let warnings = warnings(&manifest, &build);
    let io = |source| VerifyError::Io { path: path.clone(), source };
    let text = std::fs::read_to_string(path.with_file_name(PLAN)).unwrap_or_default();
    let request = Request { plan: &manifest.plan, plan_text: &text, out, build, threads, show };
    let finished = run(&request)?;
    let same = finished.manifest.trace_hash.as_deref() == Some(expected.as_str());
    let difference = if same { None } else { first_difference(&path, &finished.folder.join(RECORDS)).map_err(io)? };
    Ok(Rerun { warnings, finished, expected, difference })
}

fn warnings(manifest: &Manifest, build: &Build) -> Vec<String> {
    let mut warnings = Vec::new();
    if manifest.version != env!("CARGO_PKG_VERSION") {
        warnings.push(format!("it was made by version {}, this is {}", manifest.version, env!("CARGO_PKG_VERSION")));
    }
    if manifest.commit != build.commit {
        warnings.push(format!("it was made by commit {}, this is {}", manifest.commit, build.commit));
    }
    if manifest.dirty || build.dirty {
        warnings.push("one of the two builds had local changes: a commit does not say what was in them".to_owned());
    }
    warnings
}

/// The first line after the manifest in which two logs differ.
fn first_difference(one: &Path, two: &Path) -> std::io::Result<Option<(usize, String, String)>> {
    let lines = |path: &Path| Ok::<_, std::io::Error>(BufReader::new(std::fs::File::open(path)?).lines().skip(1));
    let (mut one, mut two) = (lines(one)?, lines(two)?);
    for number in 2.. {
        let (was, is) = (one.next().transpose()?, two.next().transpose()?);
        if was.is_none() && is.is_none() {
            break;
        }
        if was != is {
            let text = |line: Option<String>| line.unwrap_or_else(|| "nothing".to_owned());
            return Ok(Some((number, text(was), text(is))));
        }
    }
    Ok(None)
}
