//! The host's side of the docker backend: everything that the master's container needs, that container itself, and the
//! end of it all.
//!
//! ```text
//! preflight:  engine answers · binaries are static · room in the neighbour table · parent interface · network · images
//! run:        container hearsay-master (same program, --inside), attached; signals are passed on
//! afterwards: containers, network and parent interface are removed, whatever happened
//! ```

use std::fs;
use std::io::{IsTerminal, Read, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::query_parameters::{AttachContainerOptionsBuilder, ResizeContainerTTYOptionsBuilder};
use futures_util::stream::StreamExt;
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

use super::engine::{self, Spec};
use super::{PARENT, PARENT_PEER};
use crate::backend::{BackendError, Instance, Subnet, arp, ip};
use crate::clean::Leftovers;
use crate::signals::Signals;

const DOCKERFILE_NODE: &str = include_str!("../../../../docker/Dockerfile.node");
const DOCKERFILE_MASTER: &str = include_str!("../../../../docker/Dockerfile.master");

/// Where the engine listens when nothing else is said.
const SOCKET: &str = "/var/run/docker.sock";

/// What the host is to start.
#[derive(Debug, Clone)]
pub struct Launch {
    /// Name of everything.
    pub instance: Instance,
    /// The nodes' network.
    pub subnet: Subnet,
    /// The interface that carries it; a veth pair is made when none is given.
    pub parent: Option<String>,
    /// The agent's static binary.
    pub node_program: PathBuf,
    /// The master's static binary: this program.
    pub master_program: PathBuf,
    /// Folder of results, mounted into the master's container at the same place.
    pub out: PathBuf,
    /// The plan's file, mounted at the same place.
    pub plan: PathBuf,
    /// A folder for the images' contexts.
    pub scratch: PathBuf,
    /// The largest cluster.
    pub size_max: u32,
    /// Arguments for the master in the container.
    pub arguments: Vec<String>,
    /// Environment for it.
    pub environment: Vec<String>,
}

/// Whether this machine can run the docker backend, without changing anything.
///
/// # Errors
/// What is missing.
pub async fn feasible(node_program: &Path, parent: Option<&str>) -> Result<(), BackendError> {
    engine::connect().await?;
    let said = docker_cli(&["version", "--format", "{{.Client.Version}}"]).await;
    said.map_err(|why| BackendError::new("run the docker command", why))?;
    if parent.is_none() && !ip::is_installed().await {
        let why = "the command ip is not installed (on Debian: apt-get install iproute2)";
        return Err(BackendError::new("make a parent interface for macvlan", why));
    }
    if parent.is_none() && !rustix::process::geteuid().is_root() {
        return Err(BackendError::new(
            "make a parent interface for macvlan",
            "this needs root; otherwise name a spare network interface with --parent",
        ));
    }
    require_static(node_program)
}

/// How the host's part ended.
#[derive(Debug)]
pub enum Ending {
    /// The master's container ended with this exit code.
    Exit(i64),
    /// This signal came before the master's container was started.
    Interrupted(&'static str),
    /// The engine answers, but does not do what is needed; nothing was started.
    Unprepared(BackendError),
}

/// Runs the experiment in the master's container.
///
/// # Errors
/// [`BackendError`]. Whatever was made is removed before this returns.
pub async fn run(launch: &Launch, signals: &mut Signals, say: &dyn Fn(&str)) -> Result<Ending, BackendError> {
    let prepared = tokio::select! {
        prepared = prepare(launch, say) => prepared.map_err(Ending::Unprepared),
        name = signals.next() => Err(Ending::Interrupted(name)),
    };
    let result = match prepared {
        Ok(engine) => attached(&engine, launch, signals).await.map(Ending::Exit),
        Err(ending) => Ok(ending),
    };
    let swept = tear_down(&launch.instance).await;
    let ending = result?;
    swept?;
    Ok(ending)
}

async fn prepare(launch: &Launch, say: &dyn Fn(&str)) -> Result<Docker, BackendError> {
    feasible(&launch.node_program, launch.parent.as_deref()).await?;
    require_static(&launch.master_program)?;
    let engine = engine::connect().await?;
    if let Some(note) = arp::make_room(launch.size_max).note() {
        say(&note);
    }
    let parent = match &launch.parent {
        Some(parent) if ip::link_exists(parent) => parent.clone(),
        Some(parent) => {
            return Err(BackendError::new(format!("use {parent} as parent"), "there is no such network interface"));
        }
        None => {
            let parent = launch.instance.interface(PARENT);
            ip::make_pair(&parent, &launch.instance.interface(PARENT_PEER)).await?;
            parent
        }
    };
    engine::create_network(&engine, &launch.instance, launch.subnet, &parent).await?;
    build(launch, "node", DOCKERFILE_NODE, &launch.node_program).await?;
    build(launch, "master", DOCKERFILE_MASTER, &launch.master_program).await?;
    engine::prune_images(&engine, &launch.instance).await;
    let IpAddr::V4(address) = launch.subnet.master() else { unreachable!("a subnet is IPv4") };
    let same_place = |path: &Path, mode: &str| format!("{0}:{0}{mode}", path.display());
    let spec = Spec {
        name: &engine::master_name(&launch.instance),
        image: &engine::image(&launch.instance, "master"),
        arguments: launch.arguments.clone(),
        ip: address,
        binds: vec![format!("{}:{SOCKET}", socket()), same_place(&launch.out, ""), same_place(&launch.plan, ":ro")],
        environment: launch.environment.clone(),
        tty: std::io::stderr().is_terminal(),
    };
    engine::create(&engine, &launch.instance, spec).await?;
    Ok(engine)
}

/// Starts the master's container, shows what it says, passes signals on and waits for its end.
async fn attached(engine: &Docker, launch: &Launch, signals: &mut Signals) -> Result<i64, BackendError> {
    let name = engine::master_name(&launch.instance);
    let fail = |why: bollard::errors::Error| BackendError::new(format!("attach to container {name}"), why);
    let options = AttachContainerOptionsBuilder::default().stdout(true).stderr(true).stream(true).build();
    let mut output = engine.attach_container(&name, Some(options)).await.map_err(fail)?.output;
    engine::start(engine, &name).await?;
    resize(engine, &name).await;
    let mut window =
        signal(SignalKind::window_change()).map_err(|why| BackendError::new("watch the size of the terminal", why))?;
    loop {
        tokio::select! {
            chunk = output.next() => match chunk {
                Some(Ok(chunk)) => show(&chunk),
                Some(Err(_)) | None => break,
            },
            signal = signals.next() => {
                tracing::info!(signal, "passed on to the master's container");
                engine::kill(engine, &name, "SIGTERM").await?;
            }
            _ = window.recv() => resize(engine, &name).await,
        }
    }
    // The stream also ends when the engine loses it: only the end of the container is the end.
    loop {
        if let Some(code) = engine::exit_code(engine, &name).await? {
            return Ok(code);
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(300)) => {}
            _ = signals.next() => engine::kill(engine, &name, "SIGTERM").await?,
        }
    }
}

/// Lets the container's terminal be as large as ours.
async fn resize(engine: &Docker, container: &str) {
    if let Ok(size) = rustix::termios::tcgetwinsize(std::io::stderr()) {
        let options = ResizeContainerTTYOptionsBuilder::default().h(size.ws_row.into()).w(size.ws_col.into()).build();
        let _ = engine.resize_container_tty(container, options).await;
    }
}

/// A terminal that is gone must not end the experiment: errors are let pass.
fn show(chunk: &LogOutput) {
    match chunk {
        LogOutput::StdErr { message } | LogOutput::Console { message } | LogOutput::StdIn { message } => {
            let _ = std::io::stderr().write_all(message);
        }
        LogOutput::StdOut { message } => {
            let _ = std::io::stdout().write_all(message);
        }
    }
}

async fn tear_down(instance: &Instance) -> Result<(), BackendError> {
    engine::sweep(instance, &mut Leftovers::default()).await?;
    ip::remove_link(&instance.interface(PARENT)).await?;
    Ok(())
}

/// The engine's socket on the host.
fn socket() -> String {
    let host = std::env::var("DOCKER_HOST").unwrap_or_default();
    host.strip_prefix("unix://").unwrap_or(SOCKET).to_owned()
}

/// Builds an image that holds one static binary.
async fn build(launch: &Launch, kind: &str, dockerfile: &str, program: &Path) -> Result<(), BackendError> {
    let tag = engine::image(&launch.instance, kind);
    let fail = |why: String| BackendError::new(format!("build image {tag}"), why);
    // The context holds what the image needs and nothing else: it is sent to the engine as a whole.
    let context = launch.scratch.join(kind);
    let fill = || -> std::io::Result<()> {
        fs::create_dir(&context)?;
        fs::copy(program, context.join(format!("gossip-{kind}")))?;
        fs::write(context.join("Dockerfile"), dockerfile)
    };
    fill().map_err(|why| fail(format!("{}: {why}", context.display())))?;
    let labels = engine::labels(&launch.instance);
    let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let folder = context.to_string_lossy().into_owned();
    let mut arguments = vec!["build", "--quiet", "--network", "none", "--tag", &tag];
    arguments.extend(labels.iter().flat_map(|label| ["--label", label.as_str()]));
    arguments.push(&folder);
    docker_cli(&arguments).await.map_err(fail)?;
    let _ = fs::remove_dir_all(&context);
    Ok(())
}

async fn docker_cli(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("docker")
        .args(arguments)
        // The builder that every engine has; the newer one needs a plugin.
        .env("DOCKER_BUILDKIT", "0")
        .stdin(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| format!("docker: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}

/// An image from scratch has no loader and no libraries: the program must bring everything along.
fn require_static(program: &Path) -> Result<(), BackendError> {
    let what = || format!("put {} into an image", program.display());
    match needs_loader(program) {
        Ok(false) => Ok(()),
        Ok(true) => Err(BackendError::new(
            what(),
            "it is not linked statically: build it with RUSTFLAGS='-C target-feature=+crt-static' and an explicit \
             --target (experiments/run.sh does)",
        )),
        Err(why) => Err(BackendError::new(what(), why)),
    }
}

/// True when the 64-bit ELF program names a loader (a program header of type `PT_INTERP`).
fn needs_loader(program: &Path) -> std::io::Result<bool> {
    const PT_INTERP: u32 = 3;
    let mut head = Vec::new();
    // The program headers follow the file's header at once; a page is more than they ever take.
    fs::File::open(program)?.take(64 * 1024).read_to_end(&mut head)?;
    let strange = || std::io::Error::other("it is not a 64-bit little-endian ELF program");
    if head.get(..6) != Some(b"\x7fELF\x02\x01") {
        return Err(strange());
    }
    let bytes = |at: usize, length: usize| head.get(at..at + length).ok_or_else(strange);
    let number = |at: usize, length: usize| -> std::io::Result<u64> {
        Ok(bytes(at, length)?.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    };
    let (table, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
    for index in 0..count {
        let at = usize::try_from(table + index * size).map_err(|_| strange())?;
        if number(at, 4)? == u64::from(PT_INTERP) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file header with one program header of the given type.
    fn elf(kind: u32) -> Vec<u8> {
        let mut file = vec![0u8; 64 + 56];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[32] = 64;
        file[54] = 56;
        file[56] = 1;
        file[64..68].copy_from_slice(&kind.to_le_bytes());
        file
    }

    #[test]
    fn a_program_with_a_loader_is_told_from_a_static_one() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("program");
        fs::write(&path, elf(3)).expect("written");
        assert!(needs_loader(&path).expect("it is an ELF program"));
        assert!(require_static(&path).is_err_and(|error| error.to_string().contains("crt-static")));
        fs::write(&path, elf(1)).expect("written");
        assert!(!needs_loader(&path).expect("it is an ELF program"));
        fs::write(&path, "#!/bin/sh\n").expect("written");
        assert!(needs_loader(&path).is_err());
        fs::write(&path, &elf(1)[..70]).expect("written");
        assert!(!needs_loader(&path).expect("the type is there"));
        fs::write(&path, &elf(1)[..66]).expect("written");
        assert!(needs_loader(&path).is_err(), "cut off within the program header");
    }
}
