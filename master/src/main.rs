//! `gossip-master`: runs experiments on clusters of real nodes.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use event_log::plan::{Backend as Kind, Plan};
use master::backend::process::StateFolder;
use master::backend::{Instance, Subnet};
use master::clean;
use master::launch::{self, Choice, INTERRUPTED, LaunchError, Request};

/// Runs experiments on clusters of nodes that gossip: provisions them, orders faults, starts events, collects what the
/// nodes record.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Run a plan and write a result folder.
    Run(Box<Run>),
    /// Remove what a killed master left behind: processes, namespaces, containers, networks.
    Clean(Common),
    /// Read a plan and say what it would run.
    Check {
        /// The plan's file.
        plan: PathBuf,
    },
}

#[derive(Debug, Args)]
struct Common {
    /// Name of everything that is made. Masters with different names can run at the same time.
    #[arg(long, default_value = Instance::DEFAULT, value_parser = Instance::parse)]
    instance: Instance,
}

#[derive(Debug, Args)]
struct Run {
    /// The plan's file.
    plan: PathBuf,
    /// Where the nodes run.
    #[arg(long, value_enum, default_value_t = BackendName::Auto)]
    backend: BackendName,
    /// Folder of results.
    #[arg(long, default_value = "experiments/results")]
    out: PathBuf,
    /// Master seed, instead of the plan's.
    #[arg(long)]
    seed: Option<u64>,
    /// Record all that the nodes are given, in the result's folder `inputs`, for `gossip-sim inputs`.
    #[arg(long)]
    record_inputs: bool,
    #[command(flatten)]
    common: Common,
    /// Network of the nodes, docker and netns: 10.77.0.0/16 unless the instance has another name.
    #[arg(long, value_parser = Subnet::parse)]
    subnet: Option<Subnet>,
    /// Network interface that carries the macvlan network (docker). Without it a veth pair is made.
    #[arg(long)]
    parent: Option<String>,
    /// The agent's program; gossip-node beside this program unless given.
    #[arg(long, env = "HEARSAY_NODE")]
    node_binary: Option<PathBuf>,
    /// Set in the master's own container.
    #[arg(long, hide = true)]
    inside: bool,
    /// `user:group` of the result, set in the master's own container.
    #[arg(long, hide = true, value_parser = parse_owner)]
    owner: Option<(u32, u32)>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum BackendName {
    /// Docker if an engine answers, local processes otherwise.
    Auto,
    /// Containers on a macvlan network.
    Docker,
    /// Network namespaces on a macvlan network.
    Netns,
    /// Processes on 127.x.y.z.
    Local,
}

impl From<BackendName> for Choice {
    fn from(name: BackendName) -> Self {
        match name {
            BackendName::Auto => Self::Auto,
            BackendName::Docker => Self::Fixed(Kind::Docker),
            BackendName::Netns => Self::Fixed(Kind::Netns),
            BackendName::Local => Self::Fixed(Kind::Local),
        }
    }
}

fn parse_owner(text: &str) -> Result<(u32, u32), String> {
    let parsed = text.split_once(':').and_then(|(user, group)| Some((user.parse().ok()?, group.parse().ok()?)));
    parsed.ok_or_else(|| format!("{text:?} is not user:group in numbers"))
}

/// Everything waits for sockets most of the time: one thread suffices, and leaves the others to the nodes.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Task::Run(run) => run_plan(*run).await,
        Task::Clean(common) => clean_up(&common.instance).await,
        Task::Check { plan } => check(&plan),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Not eprintln: it panics where the terminal is gone.
            let _ = writeln!(std::io::stderr(), "error: {error}");
            match error {
                LaunchError::Interrupted(_) => ExitCode::from(u8::try_from(INTERRUPTED).expect("exit codes are bytes")),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

async fn run_plan(run: Run) -> Result<(), LaunchError> {
    raise_file_limit();
    let beside = || std::env::current_exe().unwrap_or_default().with_file_name("gossip-node");
    let request = Request {
        plan: run.plan,
        backend: run.backend.into(),
        out: run.out,
        seed: run.seed,
        record_inputs: run.record_inputs,
        subnet: run.subnet.unwrap_or_else(|| Subnet::of_instance(&run.common.instance)),
        instance: run.common.instance,
        parent: run.parent,
        node_program: run.node_binary.unwrap_or_else(beside),
        inside: run.inside,
        owner: run.owner,
    };
    launch::run(&request).await
}

async fn clean_up(instance: &Instance) -> Result<(), LaunchError> {
    let state = StateFolder::open(instance)?;
    println!("removed: {}", clean::sweep(instance, &state).await?);
    Ok(())
}

fn check(path: &std::path::Path) -> Result<(), LaunchError> {
    let plan = Plan::load(path)?;
    println!("{} is a valid plan: {} runs of {} events", path.display(), plan.runs().len(), plan.events.count);
    for key in plan.runs() {
        let faults = plan.setting(&key.setting).map(|setting| &setting.faults).into_iter().flatten();
        let faults: Vec<String> = faults.map(ToString::to_string).collect();
        let faults = if faults.is_empty() { String::new() } else { format!(": {}", faults.join("; ")) };
        println!("  {} nodes, {}{faults}", key.size, key.setting);
    }
    Ok(())
}

/// One connection for each node, and what a shell grants by default is soon too little.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}
