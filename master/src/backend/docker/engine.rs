//! What is asked of the container engine, over its API.

use std::collections::HashMap;
use std::io::Write;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{
    ContainerCreateBody, EndpointIpamConfig, EndpointSettings, HostConfig, HostConfigLogConfig, Ipam, IpamConfig,
    NetworkCreateRequest, NetworkingConfig,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, InspectContainerOptions, KillContainerOptionsBuilder, ListContainersOptionsBuilder,
    ListNetworksOptionsBuilder, LogsOptionsBuilder, PruneImagesOptionsBuilder, RemoveContainerOptionsBuilder,
    StartContainerOptions,
};
use futures_util::stream::{self, StreamExt};

use super::PARALLEL;
use crate::backend::{BackendError, Instance, Subnet};
use crate::clean::Leftovers;

/// Everything that is made carries this label, and a second one with the instance's name.
const LABEL: &str = "hearsay";
const INSTANCE_LABEL: &str = "hearsay.instance";

/// An engine that does not answer within this time is none.
const ANSWER_LIMIT: Duration = Duration::from_secs(3);

/// What to do about an engine that does not answer.
const HINT: &str =
    "is Docker installed and running, and may this user speak to it? On Debian: apt-get install docker.io";

/// A container to be created.
#[derive(Debug)]
pub struct Spec<'a> {
    /// Its name.
    pub name: &'a str,
    /// The image.
    pub image: &'a str,
    /// Arguments for the image's program.
    pub arguments: Vec<String>,
    /// Its address on the instance's network.
    pub ip: Ipv4Addr,
    /// Folders and files of the host, as `host:container[:ro]`.
    pub binds: Vec<String>,
    /// `NAME=value`.
    pub environment: Vec<String>,
    /// Whether its output is a terminal.
    pub tty: bool,
}

/// Connects to the engine that `DOCKER_HOST` names, or to the machine's own, and agrees on a version of the API.
///
/// # Errors
/// When none answers.
pub async fn connect() -> Result<Docker, BackendError> {
    let what = "reach a container engine";
    let fail = |why: Error| BackendError::new(what, format!("{why} ({HINT})"));
    let engine = Docker::connect_with_defaults().map_err(fail)?;
    match tokio::time::timeout(ANSWER_LIMIT, engine.negotiate_version()).await {
        Ok(Ok(engine)) => Ok(engine),
        Ok(Err(why)) => Err(fail(why)),
        Err(_) => Err(BackendError::new(what, format!("it did not answer within {ANSWER_LIMIT:?}"))),
    }
}

/// Name of one of the instance's images (`node` or `master`).
#[must_use]
pub fn image(instance: &Instance, kind: &str) -> String {
    format!("hearsay-{kind}:{}", instance.as_str())
}

/// The labels of whatever is made for the instance.
#[must_use]
pub fn labels(instance: &Instance) -> HashMap<String, String> {
    HashMap::from([(LABEL.to_owned(), "1".to_owned()), (INSTANCE_LABEL.to_owned(), instance.as_str().to_owned())])
}

fn filters(instance: &Instance, more: &[(&str, &str)]) -> HashMap<String, Vec<String>> {
    let mut filters = HashMap::from([("label".to_owned(), vec![format!("{INSTANCE_LABEL}={}", instance.as_str())])]);
    for (key, value) in more {
        filters.insert((*key).to_owned(), vec![(*value).to_owned()]);
    }
    filters
}

/// Creates a container, without starting it.
///
/// # Errors
/// [`BackendError`].
pub async fn create(engine: &Docker, instance: &Instance, spec: Spec<'_>) -> Result<(), BackendError> {
    let network = instance.as_str().to_owned();
    let endpoint = EndpointSettings {
        ipam_config: Some(EndpointIpamConfig { ipv4_address: Some(spec.ip.to_string()), ..Default::default() }),
        ..Default::default()
    };
    let host = HostConfig {
        network_mode: Some(network.clone()),
        binds: Some(spec.binds),
        // The engine keeps what a container says until it is fetched: enough for any sane run, bounded for an insane one.
        log_config: Some(HostConfigLogConfig {
            typ: Some("json-file".to_owned()),
            config: Some(HashMap::from([("max-size".to_owned(), "8m".to_owned())])),
        }),
        ..Default::default()
    };
    let body = ContainerCreateBody {
        image: Some(spec.image.to_owned()),
        hostname: Some(spec.name.to_owned()),
        cmd: Some(spec.arguments),
        env: Some(spec.environment),
        labels: Some(labels(instance)),
        tty: Some(spec.tty),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        host_config: Some(host),
        networking_config: Some(NetworkingConfig { endpoints_config: Some(HashMap::from([(network, endpoint)])) }),
        ..Default::default()
    };
    let options = CreateContainerOptionsBuilder::default().name(spec.name).build();
    let fail = |why: Error| BackendError::new(format!("create container {}", spec.name), why);
    engine.create_container(Some(options), body).await.map_err(fail)?;
    Ok(())
}

/// Starts a container.
///
/// # Errors
/// [`BackendError`].
pub async fn start(engine: &Docker, container: &str) -> Result<(), BackendError> {
    let fail = |why: Error| BackendError::new(format!("start container {container}"), why);
    engine.start_container(container, None::<StartContainerOptions>).await.map_err(fail)
}

/// Sends a signal to a container; one that has ended already is no error.
///
/// # Errors
/// [`BackendError`].
pub async fn kill(engine: &Docker, container: &str, signal: &str) -> Result<(), BackendError> {
    let options = KillContainerOptionsBuilder::default().signal(signal).build();
    match engine.kill_container(container, Some(options)).await {
        // Not there or not running.
        Ok(()) | Err(Error::DockerResponseServerError { status_code: 404 | 409, .. }) => Ok(()),
        Err(why) => Err(BackendError::new(format!("send {signal} to container {container}"), why)),
    }
}

/// Waits until a container has ended; kills it when it does not by itself.
///
/// # Errors
/// [`BackendError`].
pub async fn await_end(engine: &Docker, container: &str, limit: Duration) -> Result<(), BackendError> {
    let deadline = tokio::time::Instant::now() + limit;
    while exit_code(engine, container).await?.is_none() {
        if tokio::time::Instant::now() >= deadline {
            return kill(engine, container, "SIGKILL").await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// The exit code of a container, none while it runs.
///
/// # Errors
/// [`BackendError`].
pub async fn exit_code(engine: &Docker, container: &str) -> Result<Option<i64>, BackendError> {
    let fail = |why: Error| BackendError::new(format!("look at container {container}"), why);
    let state = engine.inspect_container(container, None::<InspectContainerOptions>).await.map_err(fail)?.state;
    let state = state.unwrap_or_default();
    Ok(if state.running == Some(true) { None } else { Some(state.exit_code.unwrap_or(0)) })
}

/// The instance's containers that have ended, and the engine's words about it.
///
/// # Errors
/// [`BackendError`].
pub async fn ended(engine: &Docker, instance: &Instance) -> Result<Vec<(String, String)>, BackendError> {
    let containers = list(engine, &filters(instance, &[("status", "exited")])).await?;
    Ok(containers.into_iter().map(|(_, name, status)| (name, status)).collect())
}

/// Identity, name and status of the containers that pass the filters.
async fn list(
    engine: &Docker,
    filters: &HashMap<String, Vec<String>>,
) -> Result<Vec<(String, String, String)>, BackendError> {
    let options = ListContainersOptionsBuilder::default().all(true).filters(filters).build();
    let fail = |why: Error| BackendError::new("list containers", why);
    let containers = engine.list_containers(Some(options)).await.map_err(fail)?;
    let describe = |container: bollard::models::ContainerSummary| {
        let name = container.names.unwrap_or_default().into_iter().next().unwrap_or_default();
        let name = name.trim_start_matches('/').to_owned();
        (container.id.unwrap_or_default(), name, container.status.unwrap_or_default())
    };
    Ok(containers.into_iter().map(describe).collect())
}

/// Writes what a container has said to `path`.
///
/// # Errors
/// [`BackendError`].
pub async fn save_log(engine: &Docker, container: &str, path: &Path) -> Result<(), BackendError> {
    let what = || format!("save what container {container} said to {}", path.display());
    let options = LogsOptionsBuilder::default().stdout(true).stderr(true).build();
    let mut output = engine.logs(container, Some(options));
    let mut file = std::fs::File::create(path).map_err(|why| BackendError::new(what(), why))?;
    while let Some(chunk) = output.next().await {
        let chunk = chunk.map_err(|why| BackendError::new(what(), why))?;
        file.write_all(&chunk.into_bytes()).map_err(|why| BackendError::new(what(), why))?;
    }
    Ok(())
}

/// Removes a container, running or not; one that is gone already is no error.
///
/// # Errors
/// [`BackendError`].
pub async fn remove(engine: &Docker, container: &str) -> Result<(), BackendError> {
    let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
    match engine.remove_container(container, Some(options)).await {
        // Gone, or somebody else is about to remove it.
        Ok(()) | Err(Error::DockerResponseServerError { status_code: 404 | 409, .. }) => Ok(()),
        Err(why) => Err(BackendError::new(format!("remove container {container}"), why)),
    }
}

/// Creates the instance's macvlan network on the interface `parent`.
///
/// # Errors
/// [`BackendError`].
pub async fn create_network(
    engine: &Docker,
    instance: &Instance,
    subnet: Subnet,
    parent: &str,
) -> Result<(), BackendError> {
    let pool = IpamConfig {
        subnet: Some(subnet.to_string()),
        gateway: Some(subnet.gateway().to_string()),
        ..Default::default()
    };
    let request = NetworkCreateRequest {
        name: instance.as_str().to_owned(),
        driver: Some("macvlan".to_owned()),
        ipam: Some(Ipam { config: Some(vec![pool]), ..Default::default() }),
        options: Some(HashMap::from([("parent".to_owned(), parent.to_owned())])),
        labels: Some(labels(instance)),
        ..Default::default()
    };
    let fail = |why: Error| {
        let hint = "is the subnet or the parent in use by another network? See --subnet and --parent";
        let what = format!("create network {} ({subnet} on {parent})", instance.as_str());
        BackendError::new(what, format!("{why} ({hint})"))
    };
    engine.create_network(request).await.map_err(fail)?;
    Ok(())
}

/// Removes images of the instance that a newer build has replaced.
pub async fn prune_images(engine: &Docker, instance: &Instance) {
    let filters = filters(instance, &[("dangling", "true")]);
    let options = PruneImagesOptionsBuilder::default().filters(&filters).build();
    if let Err(error) = engine.prune_images(Some(options)).await {
        tracing::warn!(%error, "images that were replaced stay");
    }
}

/// Removes the containers and the network of the instance. Without an engine there is nothing to remove.
///
/// # Errors
/// [`BackendError`].
pub async fn sweep(instance: &Instance, found: &mut Leftovers) -> Result<(), BackendError> {
    let Ok(engine) = connect().await else { return Ok(()) };
    let containers = list(&engine, &filters(instance, &[])).await?;
    // The master first: it would start what is being removed.
    let (masters, nodes): (Vec<_>, Vec<_>) =
        containers.into_iter().partition(|(_, name, _)| *name == master_name(instance));
    found.add(masters.len(), "master container");
    found.add(nodes.len(), "node container");
    for (id, _, _) in &masters {
        remove(&engine, id).await?;
    }
    let removals = nodes.iter().map(|(id, _, _)| remove(&engine, id));
    let results: Vec<Result<(), BackendError>> = stream::iter(removals).buffer_unordered(PARALLEL).collect().await;
    results.into_iter().collect::<Result<(), BackendError>>()?;
    let options = ListNetworksOptionsBuilder::default().filters(&filters(instance, &[])).build();
    let fail = |why: Error| BackendError::new("list networks", why);
    let networks = engine.list_networks(Some(options)).await.map_err(fail)?;
    found.add(networks.len(), "network");
    for id in networks.into_iter().filter_map(|network| network.id) {
        let fail = |why: Error| BackendError::new(format!("remove network {}", instance.as_str()), why);
        engine.remove_network(&id).await.map_err(fail)?;
    }
    Ok(())
}

/// Name of the master's container.
#[must_use]
pub fn master_name(instance: &Instance) -> String {
    format!("{}-master", instance.as_str())
}
