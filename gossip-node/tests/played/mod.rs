//! A member that a test plays, and an agent that it meets.

use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use gossip_core::{Config, Input, Node, Setup};

const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Member {
    pub(crate) node: Node<SocketAddr>,
    socket: UdpSocket,
    start: Instant,
}

impl Member {
    pub(crate) fn new(setup: &Setup<'_, SocketAddr>) -> Self {
        let socket = UdpSocket::bind(setup.local).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
        let node = Node::new(gossip_core::Instant::ZERO, Config::local(), setup).unwrap();
        Self { node, socket, start: Instant::now() }
    }

    pub(crate) fn now(&self) -> gossip_core::Instant {
        gossip_core::Instant::from_nanos(self.start.elapsed().as_nanos() as u64)
    }

    pub(crate) fn run_until(&mut self, what: &str, done: impl Fn(&Node<SocketAddr>) -> bool) {
        let begin = Instant::now();
        let mut buffer = [0; 2048];
        while !done(&self.node) {
            assert!(begin.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
            while let Some(transmit) = self.node.poll_transmit(self.now(), &mut buffer) {
                let _ = self.socket.send_to(&buffer[..transmit.len], transmit.to);
            }
            while self.node.poll_event().is_some() {}
            let received = self.socket.recv_from(&mut buffer);
            let now = self.now();
            match received {
                Ok((len, from)) => drop(self.node.handle(now, Input::Datagram { from, bytes: &buffer[..len] })),
                Err(_) => drop(self.node.handle(now, Input::Timeout)),
            }
        }
    }
}

/// An agent, ended when it goes out of scope.
pub(crate) struct Agent(pub(crate) Child);

impl Agent {
    /// With preset `local`, and flags of the test's own.
    pub(crate) fn start(addr: SocketAddr, join: Option<SocketAddr>, flags: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gossip-node"));
        command.args(["--bind", &addr.to_string(), "--protocol", r#"{"preset":"local"}"#, "--log", "error"]);
        if let Some(join) = join {
            command.args(["--join", &join.to_string()]);
        }
        flags(&mut command);
        Self(command.stdin(Stdio::null()).spawn().unwrap())
    }

    /// Sends it a signal, such as `-TERM`.
    pub(crate) fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.0.id().to_string()]).status().unwrap().success());
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
