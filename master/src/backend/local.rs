//! Nodes as plain processes, each on a loopback address of its own: `127.77.0.1:7400`, `127.77.0.2:7400`, …

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use tokio::process::Command;

use super::process::{Processes, StateFolder};
use super::{Backend, BackendError, GOSSIP_PORT, Instance, NodeSpec};

/// Processes on this machine.
#[derive(Debug)]
pub struct Local {
    program: PathBuf,
    octet: u8,
    processes: Processes,
}

impl Local {
    /// Nodes are started from the agent's `program`; what they say goes to `logs`.
    #[must_use]
    pub fn new(instance: &Instance, state: StateFolder, program: PathBuf, logs: PathBuf) -> Self {
        Self { program, octet: instance.octet(), processes: Processes::new(state, logs) }
    }
}

impl Backend for Local {
    fn gossip_addr(&self, index: u32) -> Result<SocketAddr, BackendError> {
        let number = u16::try_from(index + 1).ok().filter(|number| *number < u16::MAX);
        let [high, low] = number
            .ok_or_else(|| BackendError::new(format!("an address for node {}", index + 1), "127.x.0.0/16 is full"))?
            .to_be_bytes();
        Ok(SocketAddr::from((Ipv4Addr::new(127, self.octet, high, low), GOSSIP_PORT)))
    }

    fn control_addr(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
    }

    fn batch(&self) -> usize {
        16
    }

    async fn start(&mut self, nodes: &[NodeSpec]) -> Result<(), BackendError> {
        for node in nodes {
            let mut command = Command::new(&self.program);
            command.args(&node.arguments);
            self.processes.start(&node.name, command).await?;
        }
        Ok(())
    }

    async fn kill(&mut self, name: &str) -> Result<(), BackendError> {
        self.processes.kill(name).await
    }

    async fn ended(&mut self) -> Vec<(String, String)> {
        self.processes.ended()
    }

    async fn stop_all(&mut self) -> Result<(), BackendError> {
        self.processes.stop_all().await;
        Ok(())
    }
}
