//! Nodes in network namespaces of their own, without a container engine.
//!
//! ```text
//!  namespace hearsay-n001        namespace hearsay-n002            host
//!   eth0 10.77.0.1/16             eth0 10.77.0.2/16            hsv1 10.77.255.253/16  (the master listens here)
//!      └───────── macvlan ───────────────┴──────── hsv0 ═══ veth ═══┘
//! ```
//!
//! The macvlan interfaces reach each other directly (bridge mode) and the master through the pair. Needs root and `ip`.

use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::process::Command;

use super::ip::{ip, is_installed, make_pair, remove_link};
use super::process::{Processes, StateFolder, kill_all};
use super::{Backend, BackendError, CONTROL_PORT, Instance, NodeSpec, Subnet};
use crate::clean::Leftovers;

/// The pair's ends: the parent of the macvlan interfaces, and the master's side.
const PARENT: &str = "hsv0";
const OUTSIDE: &str = "hsv1";

/// Namespaces on this machine.
#[derive(Debug)]
pub struct Netns {
    instance: Instance,
    program: PathBuf,
    subnet: Subnet,
    processes: Processes,
    namespaces: Vec<String>,
}

impl Netns {
    /// Makes the pair of interfaces. Nodes are started from the agent's `program`; what they say goes to `logs`.
    ///
    /// # Errors
    /// [`BackendError`]: without root or `ip`, or when the machine has a route into `subnet` already.
    pub async fn set_up(
        instance: &Instance,
        state: StateFolder,
        subnet: Subnet,
        program: PathBuf,
        logs: PathBuf,
    ) -> Result<Self, BackendError> {
        refuse_used(subnet).await?;
        let mut netns = Self {
            instance: instance.clone(),
            program,
            subnet,
            processes: Processes::new(state, logs),
            namespaces: Vec::new(),
        };
        match netns.make_links().await {
            Ok(()) => Ok(netns),
            Err(error) => {
                let _ = netns.stop_all().await;
                Err(error)
            }
        }
    }

    async fn make_links(&self) -> Result<(), BackendError> {
        let outside = self.instance.interface(OUTSIDE);
        make_pair(&self.instance.interface(PARENT), &outside).await?;
        let address = format!("{}/{}", self.subnet.master(), self.subnet.prefix());
        ip(&["addr", "add", &address, "dev", &outside]).await?;
        Ok(())
    }

    fn namespace(&self, name: &str) -> String {
        format!("{}-{name}", self.instance.as_str())
    }

    async fn make_namespace(&mut self, node: &NodeSpec) -> Result<(), BackendError> {
        let namespace = self.namespace(&node.name);
        if self.namespaces.contains(&namespace) {
            return Ok(());
        }
        ip(&["netns", "add", &namespace]).await?;
        self.namespaces.push(namespace.clone());
        let parent = self.instance.interface(PARENT);
        let link = ["link", "add", "link", &parent, "name", "eth0", "netns", &namespace];
        ip(&[link.as_slice(), &["type", "macvlan", "mode", "bridge"]].concat()).await?;
        let address = format!("{}/{}", node.addr.ip(), self.subnet.prefix());
        ip(&["-n", &namespace, "addr", "add", &address, "dev", "eth0"]).await?;
        ip(&["-n", &namespace, "link", "set", "eth0", "up"]).await?;
        ip(&["-n", &namespace, "link", "set", "lo", "up"]).await?;
        Ok(())
    }
}

impl Backend for Netns {
    fn gossip_addr(&self, index: u32) -> Result<SocketAddr, BackendError> {
        self.subnet.gossip_addr(index)
    }

    fn control_addr(&self) -> SocketAddr {
        SocketAddr::new(self.subnet.master(), CONTROL_PORT)
    }

    fn batch(&self) -> usize {
        4
    }

    async fn start(&mut self, nodes: &[NodeSpec]) -> Result<(), BackendError> {
        for node in nodes {
            self.make_namespace(node).await?;
            let mut command = Command::new("ip");
            // `ip netns exec` becomes the agent: its process id is the agent's.
            command.args(["netns", "exec", &self.namespace(&node.name)]).arg(&self.program).args(&node.arguments);
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
        let mut first_error = None;
        for namespace in std::mem::take(&mut self.namespaces) {
            if let Err(error) = ip(&["netns", "del", &namespace]).await {
                first_error.get_or_insert(error);
            }
        }
        if let Err(error) = remove_link(&self.instance.interface(PARENT)).await {
            first_error.get_or_insert(error);
        }
        first_error.map_or(Ok(()), Err)
    }
}

/// A subnet into which this machine has a route already would be shadowed, or shadow something.
async fn refuse_used(subnet: Subnet) -> Result<(), BackendError> {
    let routes = ip(&["-4", "route", "show", "root", &subnet.to_string()]).await?;
    match routes.lines().next() {
        None => Ok(()),
        Some(route) => Err(BackendError::new(
            format!("use the network {subnet}"),
            format!("this machine has a route into it already ({}): give another with --subnet", route.trim()),
        )),
    }
}

/// Removes the namespaces and the pair that a killed master left behind.
///
/// # Errors
/// [`BackendError`], also when something is there and this user may not remove it.
pub async fn sweep(instance: &Instance, found: &mut Leftovers) -> Result<(), BackendError> {
    if !is_installed().await {
        return Ok(());
    }
    let namespaces = leftovers(&ip(&["netns", "list"]).await?, instance);
    for namespace in &namespaces {
        let pids = ip(&["netns", "pids", namespace]).await?;
        kill_all(pids.split_whitespace().filter_map(|pid| pid.parse().ok()))?;
        ip(&["netns", "del", namespace]).await?;
    }
    found.add(namespaces.len(), "network namespace");
    found.add(usize::from(remove_link(&instance.interface(PARENT)).await?), "pair of network interfaces");
    Ok(())
}

/// The instance's namespaces in the output of `ip netns list` (`name (id: 3)`, one a line).
fn leftovers(list: &str, instance: &Instance) -> Vec<String> {
    let prefix = format!("{}-n", instance.as_str());
    let ours = |name: &&str| {
        let number = name.strip_prefix(&prefix);
        number.is_some_and(|number| number.len() >= 3 && number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let names = list.lines().filter_map(|line| line.split_whitespace().next());
    names.filter(ours).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_namespaces_of_the_instance_are_taken_for_leftovers() {
        let list = "hearsay-n002 (id: 1)\nhearsay-n1001\nhearsay-net\nhearsay-two-n001\nother-n001\nhearsay-n1\n";
        let instance = Instance::parse("hearsay").expect("valid");
        assert_eq!(leftovers(list, &instance), ["hearsay-n002", "hearsay-n1001"]);
        let two = Instance::parse("hearsay-two").expect("valid");
        assert_eq!(leftovers(list, &two), ["hearsay-two-n001"]);
    }
}
