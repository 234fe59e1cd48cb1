//! Nodes as containers on a macvlan network.
//!
//! The host cannot reach macvlan containers through their parent interface, so the master is a container of its own on
//! the same network ([`host`] starts it). Within that container [`Containers`] provisions the nodes through the engine's
//! API.

pub mod engine;
pub mod host;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use bollard::Docker;
use futures_util::future::try_join_all;
use futures_util::stream::{self, StreamExt};
use tokio::time::Instant;

use self::engine::Spec;
pub use self::engine::sweep;
use super::{Backend, BackendError, CONTROL_PORT, Instance, NodeSpec, Subnet};

/// One end of the veth pair that is made when no parent interface is given, and the other.
pub const PARENT: &str = "hsp0";
pub(crate) const PARENT_PEER: &str = "hsp1";

/// How many containers are started or removed at a time: two are quicker than one, more are not quicker than two.
const PARALLEL: usize = 2;

/// The engine is asked at most so often which containers have ended.
const ENDED_INTERVAL: Duration = Duration::from_secs(3);

/// A container that shall end by itself gets so long.
const END_LIMIT: Duration = Duration::from_secs(8);

/// The nodes' containers, as the master's container sees them.
#[derive(Debug)]
pub struct Containers {
    engine: Docker,
    instance: Instance,
    subnet: Subnet,
    logs: PathBuf,
    /// A folder of the host that every node has under the same name.
    folder: Option<PathBuf>,
    created: BTreeSet<String>,
    asked_ended: Option<Instant>,
}

impl Containers {
    /// Connects to the engine. What the nodes say goes to `logs` when they are removed.
    ///
    /// # Errors
    /// When no engine answers.
    pub async fn connect(instance: &Instance, subnet: Subnet, logs: PathBuf) -> Result<Self, BackendError> {
        let engine = engine::connect().await?;
        let instance = instance.clone();
        Ok(Self { engine, instance, subnet, logs, folder: None, created: BTreeSet::new(), asked_ended: None })
    }

    /// Every node gets this folder of the host, under the same name, to write into. What is in there outlives the node, however
    /// that ends, and takes no way over the network.
    #[must_use]
    pub fn with_folder(mut self, folder: Option<PathBuf>) -> Self {
        self.folder = folder;
        self
    }

    fn container(&self, name: &str) -> String {
        format!("{}-{name}", self.instance.as_str())
    }

    async fn start_one(&self, node: &NodeSpec) -> Result<(), BackendError> {
        let container = self.container(&node.name);
        if self.created.contains(&node.name) {
            engine::await_end(&self.engine, &container, END_LIMIT).await?;
        } else {
            let IpAddr::V4(ip) = node.addr.ip() else {
                return Err(BackendError::new(format!("create {container}"), "its address is not IPv4"));
            };
            let spec = Spec {
                name: &container,
                image: &engine::image(&self.instance, "node"),
                arguments: node.arguments.clone(),
                ip,
                binds: self.folder.iter().map(|folder| format!("{0}:{0}", folder.display())).collect(),
                environment: Vec::new(),
                tty: false,
            };
            engine::create(&self.engine, &self.instance, spec).await?;
        }
        engine::start(&self.engine, &container).await
    }
}

impl Backend for Containers {
    fn gossip_addr(&self, index: u32) -> Result<SocketAddr, BackendError> {
        self.subnet.gossip_addr(index)
    }

    fn control_addr(&self) -> SocketAddr {
        SocketAddr::new(self.subnet.master(), CONTROL_PORT)
    }

    fn batch(&self) -> usize {
        PARALLEL
    }

    async fn start(&mut self, nodes: &[NodeSpec]) -> Result<(), BackendError> {
        for pair in nodes.chunks(PARALLEL) {
            try_join_all(pair.iter().map(|node| self.start_one(node))).await?;
            self.created.extend(pair.iter().map(|node| node.name.clone()));
        }
        Ok(())
    }

    async fn kill(&mut self, name: &str) -> Result<(), BackendError> {
        engine::kill(&self.engine, &self.container(name), "SIGKILL").await
    }

    async fn ended(&mut self) -> Vec<(String, String)> {
        if self.asked_ended.is_some_and(|asked| asked.elapsed() < ENDED_INTERVAL) {
            return Vec::new();
        }
        self.asked_ended = Some(Instant::now());
        let prefix = self.container("");
        // An engine that does not answer now will say so when something is wanted of it.
        let ended = engine::ended(&self.engine, &self.instance).await.unwrap_or_default();
        ended
            .into_iter()
            .filter_map(|(container, status)| {
                let name = container.strip_prefix(&prefix)?.to_owned();
                Some((name, format!("its container ended: {status}")))
            })
            .collect()
    }

    async fn stop_all(&mut self) -> Result<(), BackendError> {
        let this = &*self;
        let removals = self.created.iter().map(|name| async move {
            let container = this.container(name);
            let log = this.logs.join(format!("{name}.log"));
            if let Err(error) = engine::save_log(&this.engine, &container, &log).await {
                tracing::warn!(%error, "a node's log is lost");
            }
            engine::remove(&this.engine, &container).await
        });
        let results: Vec<Result<(), BackendError>> = stream::iter(removals).buffer_unordered(PARALLEL).collect().await;
        self.created.clear();
        results.into_iter().collect()
    }
}
