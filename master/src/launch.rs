//! From the command line's wishes to a finished result folder.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::SystemTime;

use event_log::circumstances::{self, Build, COMMIT_VARIABLE, DIRTY_VARIABLE};
use event_log::folder::INPUTS;
use event_log::plan::{Backend as Kind, Plan, PlanError};
use thiserror::Error;
use tracing_subscriber::EnvFilter;

use crate::backend::docker::Containers;
use crate::backend::docker::host::{self, Ending};
use crate::backend::local::Local;
use crate::backend::netns::Netns;
use crate::backend::process::StateFolder;
use crate::backend::{Backend, BackendError, Instance, Subnet, arp};
use crate::clean;
use crate::display::Display;
use crate::experiment::conductor::{Conductor, ExperimentError, Options};
use crate::signals::Signals;
use crate::store::{self, Store, StoreError};

/// Exit code after a signal: what a shell reports for a program that Ctrl-C ended, so that a script around this one ends
/// too.
pub const INTERRUPTED: i64 = 130;

/// Which backend is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Docker where it is possible, local processes otherwise.
    Auto,
    /// This one.
    Fixed(Kind),
}

/// What to run, and how.
#[derive(Debug, Clone)]
pub struct Request {
    /// The plan's file.
    pub plan: PathBuf,
    /// Where.
    pub backend: Choice,
    /// Folder of results.
    pub out: PathBuf,
    /// Instead of the plan's seed.
    pub seed: Option<u64>,
    /// Record what the nodes are given, whatever the plan says.
    pub record_inputs: bool,
    /// Name of everything that is made.
    pub instance: Instance,
    /// The nodes' network (docker and netns).
    pub subnet: Subnet,
    /// The interface that carries the macvlan network (docker).
    pub parent: Option<String>,
    /// The agent.
    pub node_program: PathBuf,
    /// True within the master's own container: everything around it was made by the host.
    pub inside: bool,
    /// User and group that shall own the result (within the container only).
    pub owner: Option<(u32, u32)>,
}

/// Why there is no complete result.
#[derive(Debug, Error)]
pub enum LaunchError {
    /// The plan cannot be used.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A backend failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The result cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The experiment was broken off.
    #[error(transparent)]
    Experiment(#[from] ExperimentError),
    /// A signal ended it.
    #[error("interrupted by {0}")]
    Interrupted(&'static str),
    /// The engine could not be made use of.
    #[error("docker: {0}")]
    Unprepared(BackendError),
    /// The master in the container has said why.
    #[error("the master's container ended with exit code {0}")]
    Container(i64),
    /// Something that a program needs.
    #[error("{0}: {1}")]
    System(&'static str, std::io::Error),
}

/// Runs a plan and prints where the result is.
///
/// # Errors
/// [`LaunchError`]. Records that were collected before it are in the result folder.
pub async fn run(request: &Request) -> Result<(), LaunchError> {
    let mut plan = Plan::load(&request.plan)?;
    plan.seed = request.seed.unwrap_or(plan.seed);
    plan.record.inputs |= request.record_inputs;
    let mut signals = Signals::install().map_err(|error| LaunchError::System("watch for signals", error))?;
    if let Choice::Fixed(kind) = request.backend {
        plan.check_backend(&request.plan, kind)?;
    }
    if request.inside {
        return run_inside(request, &plan, &mut signals).await;
    }
    let kind = choose(request).await;
    plan.check_backend(&request.plan, kind)?;
    let state = StateFolder::open(&request.instance)?;
    let found = clean::sweep(&request.instance, &state).await?;
    if !found.0.is_empty() {
        say(&format!("removed what an earlier run left behind: {found}"));
    }
    match kind {
        Kind::Docker => match run_host(request, &plan, &state, &mut signals).await {
            Err(LaunchError::Unprepared(reason)) if request.backend == Choice::Auto => {
                say(&format!("backend: local processes after all, because docker failed: {reason}"));
                run_local(request, &plan, state, &mut signals).await
            }
            result => result,
        },
        Kind::Netns => {
            if let Some(note) = arp::make_room(size_max(&plan)).note() {
                say(&note);
            }
            let program = program(request)?;
            let folder = begin(request, &plan, kind)?;
            let logs = folder.path.join("nodes");
            let backend = Netns::set_up(&request.instance, state, request.subnet, program, logs).await?;
            conduct(backend, &plan, folder, &mut signals).await
        }
        Kind::Local => run_local(request, &plan, state, &mut signals).await,
        Kind::Sim => Err(BackendError::new("run in virtual time", "the simulator is a program of its own").into()),
    }
}

async fn run_local(
    request: &Request,
    plan: &Plan,
    state: StateFolder,
    signals: &mut Signals,
) -> Result<(), LaunchError> {
    let program = program(request)?;
    let folder = begin(request, plan, Kind::Local)?;
    let backend = Local::new(&request.instance, state, program, folder.path.join("nodes"));
    conduct(backend, plan, folder, signals).await
}

/// From what the programs were built: the checkout that holds them, or else the one that holds the plan.
fn built(request: &Request) -> Build {
    let program = std::env::current_exe().unwrap_or_default();
    Build::find(&[&program, &request.plan])
}

fn size_max(plan: &Plan) -> u32 {
    plan.cluster.sizes.iter().copied().max().unwrap_or(0)
}

fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// The agent's program, made absolute: it is started from other folders.
fn program(request: &Request) -> Result<PathBuf, BackendError> {
    request.node_program.canonicalize().map_err(|why| {
        let hint = "build it with: cargo build --release -p gossip-node, or name it with --node-binary";
        BackendError::new(format!("find the agent {}", request.node_program.display()), format!("{why}; {hint}"))
    })
}

async fn choose(request: &Request) -> Kind {
    match request.backend {
        Choice::Fixed(kind) => kind,
        Choice::Auto => match host::feasible(&request.node_program, request.parent.as_deref()).await {
            Ok(()) => {
                say("backend: docker (an engine answers)");
                Kind::Docker
            }
            Err(reason) => {
                say(&format!("backend: local processes, because docker is not possible: {reason}"));
                Kind::Local
            }
        },
    }
}

/// A result folder that was begun.
struct Folder {
    path: PathBuf,
    store: Store,
    /// Where the nodes record what they are given, if they shall.
    inputs: Option<PathBuf>,
}

/// Creates the result folder and sends the log for people there.
fn begin(request: &Request, plan: &Plan, kind: Kind) -> Result<Folder, LaunchError> {
    let started = SystemTime::now();
    let text =
        std::fs::read_to_string(&request.plan).map_err(|source| StoreError { path: request.plan.clone(), source })?;
    let name = format!("{}-{kind}-{}", plan.name, circumstances::stamp(started));
    let path = store::create_folder(&request.out, &name, &text)?;
    let manifest = circumstances::describe(name, plan, kind, built(request), started);
    log_to(&path.join("master.log"))?;
    tracing::info!(plan = %request.plan.display(), seed = plan.seed, backend = %kind, "begin");
    let store = Store::create(&path, &manifest)?;
    let inputs = plan.record.inputs.then(|| make_inputs(&path)).transpose()?;
    Ok(Folder { path, store, inputs })
}

/// The folder for the nodes' recordings, made absolute: containers get it under the same name.
fn make_inputs(result: &Path) -> Result<PathBuf, StoreError> {
    let path = result.join(INPUTS);
    let made = std::fs::create_dir(&path).and_then(|()| path.canonicalize());
    made.map_err(|source| StoreError { path, source })
}

fn log_to(path: &Path) -> Result<(), StoreError> {
    let fail = |source| StoreError { path: path.to_owned(), source };
    let file = std::fs::File::create_new(path).map_err(fail)?;
    let filter = EnvFilter::try_from_env("HEARSAY_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(Mutex::new(file));
    // In a test many masters run in one process: the first one's log stays.
    let _ = subscriber.try_init();
    Ok(())
}

/// Conducts the experiment to its end, its failure or a signal, and tears everything down.
async fn conduct<B: Backend>(
    backend: B,
    plan: &Plan,
    folder: Folder,
    signals: &mut Signals,
) -> Result<(), LaunchError> {
    let Folder { path, store, inputs } = folder;
    let options = Options { inputs, ..Options::default() };
    let mut conductor = Conductor::new(backend, plan.clone(), options, store, Display::new()).await?;
    let outcome = tokio::select! {
        result = conductor.run_plan() => result.map_err(LaunchError::from),
        name = signals.next() => Err(LaunchError::Interrupted(name)),
    };
    if let Err(error) = &outcome {
        tracing::error!(%error, "broken off");
        conductor.display.note("broken off: saving what was recorded, then stopping all nodes");
        tokio::select! {
            () = conductor.break_off() => {}
            // Whoever is in such a hurry does without the last collection.
            _ = signals.next() => {}
        }
    }
    // From here on a signal changes nothing: what was started is ended.
    let stopped = conductor.shut_down().await;
    // The terminal may be gone by now, which is no reason to end otherwise than intended.
    let _ = writeln!(std::io::stdout(), "result: {}", path.display());
    outcome?;
    Ok(stopped?)
}

async fn run_host(
    request: &Request,
    plan: &Plan,
    state: &StateFolder,
    signals: &mut Signals,
) -> Result<(), LaunchError> {
    let system = |what| move |error| LaunchError::System(what, error);
    std::fs::create_dir_all(&request.out).map_err(system("create the folder of results"))?;
    let out = request.out.canonicalize().map_err(system("find the folder of results"))?;
    let plan_path = request.plan.canonicalize().map_err(system("find the plan"))?;
    let build = built(request);
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let arguments = [
        ("--backend", "docker".to_owned()),
        ("--out", text(&out)),
        ("--seed", plan.seed.to_string()),
        ("--instance", request.instance.as_str().to_owned()),
        ("--subnet", request.subnet.to_string()),
        ("--owner", format!("{user}:{group}")),
    ];
    let arguments = arguments.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]);
    let arguments = arguments.chain(plan.record.inputs.then(|| "--record-inputs".to_owned()));
    let head = ["run".to_owned(), text(&plan_path), "--inside".to_owned()];
    let launch = host::Launch {
        instance: request.instance.clone(),
        subnet: request.subnet,
        parent: request.parent.clone(),
        node_program: program(request)?,
        master_program: std::env::current_exe().map_err(system("find the master's own program"))?,
        out,
        plan: plan_path,
        scratch: state.scratch()?,
        size_max: size_max(plan),
        arguments: head.into_iter().chain(arguments).collect(),
        environment: vec![
            format!("{COMMIT_VARIABLE}={}", build.commit),
            format!("{DIRTY_VARIABLE}={}", build.dirty),
            format!("TERM={}", std::env::var("TERM").unwrap_or_default()),
        ],
    };
    match host::run(&launch, signals, &say).await? {
        Ending::Exit(0) => Ok(()),
        Ending::Exit(INTERRUPTED) => Err(LaunchError::Interrupted("a signal")),
        Ending::Exit(code) => Err(LaunchError::Container(code)),
        Ending::Interrupted(name) => Err(LaunchError::Interrupted(name)),
        Ending::Unprepared(reason) => Err(LaunchError::Unprepared(reason)),
    }
}

async fn run_inside(request: &Request, plan: &Plan, signals: &mut Signals) -> Result<(), LaunchError> {
    let folder = begin(request, plan, Kind::Docker)?;
    let path = folder.path.clone();
    let result = match Containers::connect(&request.instance, request.subnet, path.join("nodes")).await {
        Ok(backend) => conduct(backend.with_folder(folder.inputs.clone()), plan, folder, signals).await,
        Err(error) => Err(error.into()),
    };
    if let Some(owner) = request.owner {
        let given = give_away(&path, owner).and_then(|()| give_away(&request.out.join("latest"), owner));
        given.map_err(|error| LaunchError::System("give the result to its owner", error))?;
    }
    result
}

/// Gives what the container's root wrote to the user who asked for it.
fn give_away(path: &Path, (user, group): (u32, u32)) -> std::io::Result<()> {
    if std::fs::symlink_metadata(path)?.is_dir() {
        for entry in std::fs::read_dir(path)? {
            give_away(&entry?.path(), (user, group))?;
        }
    }
    std::os::unix::fs::lchown(path, Some(user), Some(group))
}
