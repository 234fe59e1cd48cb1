//! The simulator as a backend: from a plan to a result folder that looks like a master's.
//!
//! The runs of a plan share nothing (see [`conductor`](self)), so they go over threads as they come; their records are written
//! apart and put together in the order of the plan. The log is therefore the same whatever the number of threads.
//!
//! # The axis of time
//! Each run begins at virtual time zero of its own. In the log it has a stretch to itself, as long as the longest run that the plan
//! allows, so that no two runs overlap: stamps of one run are exact against each other, and those of two runs are only apart.

mod conductor;
mod network;
mod progress;
mod recorder;
pub mod verify;

use std::fs::File;
use std::io::{self, Seek as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime};

use event_log::circumstances::{Build, describe, stamp};
use event_log::folder::{self, RECORDS, StoreError};
use event_log::manifest::{Manifest, Simulation};
use event_log::plan::{Action, Backend, Plan, RunKey};
use event_log::trace::Assembly;
use thiserror::Error;

pub use conductor::{RunDone, RunError};
pub use network::network;
pub use progress::{Gauge, Show};
pub use recorder::FORMATION_TOLD_MAX;

use conductor::Conductor;
use progress::Display;

/// What to run, and where the result goes.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// The plan as it was written, kept in the result.
    pub plan_text: &'a str,
    /// Folder of results.
    pub out: &'a Path,
    /// From what the program was built.
    pub build: Build,
    /// Threads: for as many runs at a time, and what is left for within them.
    pub threads: usize,
    /// Whether progress is shown.
    pub show: Show,
}

/// A result.
#[derive(Debug, Clone)]
pub struct Finished {
    /// Its folder.
    pub folder: PathBuf,
    /// Its manifest.
    pub manifest: Manifest,
}

/// Why there is no complete result.
#[derive(Debug, Error)]
pub enum SimError {
    /// The result cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A run was broken off; the records of it and of the others are in the folder.
    #[error("N = {} · {}: {error} (what was recorded is in {})", key.size, key.setting, folder.display())]
    Run {
        /// Which.
        key: RunKey,
        /// Why.
        error: RunError,
        /// The result.
        folder: PathBuf,
    },
    /// Stamps would not fit.
    #[error("the plan allows for {0:?} of virtual time, more than a log can stamp: lower count or limit")]
    TooLong(Duration),
}

/// Runs a plan.
///
/// # Errors
/// [`SimError`].
pub fn run(request: &Request<'_>) -> Result<Finished, SimError> {
    let started = SystemTime::now();
    let plan = request.plan;
    let stretch = stretch(plan)?;
    let (folder, mut manifest) = begin(request, started)?;
    let wrong = |path: &Path| {
        let path = path.to_owned();
        move |source| StoreError { path, source }
    };
    let records = folder.join(RECORDS);
    let mut log = Assembly::create(&records, &manifest).map_err(wrong(&records))?;
    let wall = Instant::now();
    let runs = plan.runs();
    let threads = request.threads.clamp(1, runs.len());
    // Those that no run has to itself serve the runs that there are.
    let threads_each = (request.threads / runs.len()).max(1);
    let parts = parts(&folder, runs.len()).map_err(wrong(&folder))?;
    let outcomes = conduct_all(plan, &runs, stretch, &parts, [threads, threads_each], request.show);
    let mut simulation =
        Simulation { records: 0, virtual_ns: 0, steps: 0, wall_ns: 0, threads: (threads * threads_each) as u32 };
    let mut first_error = None;
    for ((key, outcome), mut part) in runs.into_iter().zip(outcomes).zip(parts) {
        part.rewind().map_err(wrong(&folder))?;
        log.append(part).map_err(wrong(&records))?;
        match outcome {
            Ok(done) => {
                simulation.virtual_ns += done.virtual_time.as_nanos() as u64;
                simulation.steps += done.steps;
            }
            Err(error) => drop(first_error.get_or_insert((key, error))),
        }
    }
    if let Some((key, error)) = first_error {
        return Err(SimError::Run { key, error, folder });
    }
    simulation.records = log.records();
    simulation.wall_ns = wall.elapsed().as_nanos() as u64;
    manifest.trace_hash = Some(log.hash());
    manifest.simulation = Some(simulation);
    log.finish(&manifest).map_err(wrong(&records))?;
    Ok(Finished { folder, manifest })
}

/// Creates the folder. Two results of one plan within a second get different names.
fn begin(request: &Request<'_>, started: SystemTime) -> Result<(PathBuf, Manifest), StoreError> {
    let base = format!("{}-{}-{}", request.plan.name, Backend::Sim, stamp(started));
    let names = std::iter::once(base.clone()).chain((2..100).map(|number| format!("{base}-{number}")));
    let mut last = None;
    for name in names {
        match folder::create(request.out, &name, request.plan_text) {
            Ok(folder) => {
                let mut manifest = describe(name, request.plan, Backend::Sim, request.build.clone(), started);
                // The axis is virtual time.
                manifest.started_ns = 0;
                return Ok((folder, manifest));
            }
            Err(error) if error.source.kind() == io::ErrorKind::AlreadyExists => last = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(last.expect("a hundred names were taken"))
}

/// The records of each run, until they are put together. These files have no name: they are gone with the process, however it ends.
fn parts(folder: &Path, runs: usize) -> io::Result<Vec<File>> {
    (0..runs).map(|_| tempfile::tempfile_in(folder)).collect()
}

fn conduct_all(
    plan: &Plan,
    runs: &[RunKey],
    stretch: u64,
    parts: &[File],
    [threads, threads_each]: [usize; 2],
    show: Show,
) -> Vec<Result<RunDone, RunError>> {
    let gauges: Vec<Gauge> = runs.iter().map(|_| Gauge::default()).collect();
    // The largest first: the last to end should be short.
    let mut order: Vec<usize> = (0..runs.len()).collect();
    order.sort_by_key(|&index| (std::cmp::Reverse(runs[index].size), index));
    let next = AtomicUsize::new(0);
    let (send, receive) = mpsc::channel();
    let conduct = |index: usize| -> Result<RunDone, RunError> {
        let out = parts[index].try_clone()?;
        let base_ns = index as u64 * stretch;
        Conductor::new(plan, &runs[index], index as u32, base_ns, out, threads_each, &gauges[index])?.run()
    };
    let mut outcomes: Vec<Option<Result<RunDone, RunError>>> = runs.iter().map(|_| None).collect();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (send, next, order, conduct) = (send.clone(), &next, &order, &conduct);
            scope.spawn(move || {
                while let Some(&index) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if send.send((index, conduct(index))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(send);
        let display = Display::new(show);
        loop {
            match receive.recv_timeout(Duration::from_millis(200)) {
                Ok((index, outcome)) => {
                    display.note(&said(&runs[index], &outcome));
                    outcomes[index] = Some(outcome);
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
            }
            display.draw(&shown(runs, &gauges, &outcomes));
        }
        display.finish();
    });
    outcomes.into_iter().map(|outcome| outcome.expect("every run is carried out")).collect()
}

fn said(key: &RunKey, outcome: &Result<RunDone, RunError>) -> String {
    let name = format!("N = {} · {}", key.size, key.setting);
    match outcome {
        Ok(done) => {
            format!("{name}: {:.1} s of virtual time, {} steps", done.virtual_time.as_secs_f64(), done.steps)
        }
        Err(error) => format!("{name}: broken off: {error}"),
    }
}

fn shown<'a>(
    runs: &[RunKey],
    gauges: &'a [Gauge],
    outcomes: &[Option<Result<RunDone, RunError>>],
) -> Vec<(String, f64, &'a Gauge, bool)> {
    let each = runs.iter().zip(gauges).zip(outcomes);
    each.map(|((key, gauge), outcome)| {
        (format!("N = {} · {}", key.size, key.setting), f64::from(key.size), gauge, outcome.is_some())
    })
    .collect()
}

/// How long a run of this plan can take at most, nanoseconds: every wait to its limit.
fn stretch(plan: &Plan) -> Result<u64, SimError> {
    let limit = plan.events.limit.get();
    let fault = |fault: &event_log::plan::Fault| {
        fault.at.get()
            + match fault.action() {
                Ok(Action::Sleep(sleep)) => sleep.duration.get(),
                Ok(Action::Partition(partition)) => partition.duration.get(),
                Ok(Action::Churn(churn)) => churn.duration.get(),
                Ok(Action::Crash(crash)) => crash.restart.unwrap_or_default().get(),
                _ => Duration::ZERO,
            }
    };
    let faults = plan.settings.iter().flat_map(|setting| &setting.faults).map(fault).max().unwrap_or_default();
    // For each event the pause, the wait for somebody who is awake, and the wait for the last who learns of it.
    let pause = plan.protocol.config().map_or(Duration::ZERO, |config| config.gossip_interval);
    let events = (pause + 2 * limit).saturating_mul(plan.events.count);
    let ends = faults + limit + limit.max(Duration::from_secs(60));
    let forming = plan.cluster.convergence_limit.get() + Duration::from_secs(20);
    let all = forming.saturating_add(events).saturating_add(ends) + Duration::from_secs(60);
    let seconds = all.as_secs() + 1;
    // Analysis takes stamps beyond this for nonsense.
    let most = (i64::MAX / 4) as u64 / 1_000_000_000;
    match seconds.checked_mul(plan.runs().len() as u64).filter(|whole| *whole < most) {
        Some(_) => Ok(seconds * 1_000_000_000),
        None => Err(SimError::TooLong(all)),
    }
}
