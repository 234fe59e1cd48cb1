//! An agent that is killed comes back from its snapshot to a member that this test plays.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use gossip_core::{Config, Input, MemberState, Node, Setup, Snapshot};

const PATIENCE: Duration = Duration::from_secs(20);

struct Member {
    node: Node<SocketAddr>,
    socket: UdpSocket,
    start: Instant,
}

impl Member {
    fn new(addr: SocketAddr) -> Self {
        let socket = UdpSocket::bind(addr).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
        let node = Node::new(gossip_core::Instant::ZERO, Config::local(), &Setup::new(addr)).unwrap();
        Self { node, socket, start: Instant::now() }
    }

    fn run_until(&mut self, what: &str, done: impl Fn(&Node<SocketAddr>) -> bool) {
        let begin = Instant::now();
        let mut buffer = [0; 2048];
        while !done(&self.node) {
            assert!(begin.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
            let now = gossip_core::Instant::from_nanos(self.start.elapsed().as_nanos() as u64);
            while let Some(transmit) = self.node.poll_transmit(now, &mut buffer) {
                let _ = self.socket.send_to(&buffer[..transmit.len], transmit.to);
            }
            while self.node.poll_event().is_some() {}
            let received = self.socket.recv_from(&mut buffer);
            let now = gossip_core::Instant::from_nanos(self.start.elapsed().as_nanos() as u64);
            match received {
                Ok((len, from)) => drop(self.node.handle(now, Input::Datagram { from, bytes: &buffer[..len] })),
                Err(_) => drop(self.node.handle(now, Input::Timeout)),
            }
        }
    }
}

/// An agent, ended when it goes out of scope.
struct Agent(Child);

impl Agent {
    fn start(addr: SocketAddr, file: &Path, join: Option<SocketAddr>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gossip-node"));
        command.args(["--bind", &addr.to_string(), "--protocol", r#"{"preset":"local"}"#, "--log", "error"]);
        command.arg("--snapshot").arg(file).args(["--snapshot-interval", "1s"]);
        if let Some(join) = join {
            command.args(["--join", &join.to_string()]);
        }
        Self(command.stdin(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn state(node: &Node<SocketAddr>, of: SocketAddr) -> Option<(MemberState, u32)> {
    node.member(&of).map(|member| (member.state, member.incarnation))
}

#[test]
fn a_killed_agent_comes_back_from_its_snapshot_and_a_damaged_one_is_no_obstacle() {
    let ip = |last| Ipv4Addr::new(127, 79, (std::process::id() % 251) as u8, last);
    let [here, there] = [1, 2].map(|last| SocketAddr::from((ip(last), 7400)));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("node.snapshot");
    let knows_the_member = || {
        let bytes = std::fs::read(&file).unwrap_or_default();
        Snapshot::<SocketAddr>::parse(&bytes).is_ok_and(|snapshot| snapshot.members().eq([here]))
    };

    let mut member = Member::new(here);
    let first = Agent::start(there, &file, Some(here));
    member.run_until("it joins and writes a snapshot", |node| {
        state(node, there) == Some((MemberState::Alive, 0)) && knows_the_member()
    });
    drop(first);

    let mut second = Agent::start(there, &file, None);
    member.run_until("it comes back", |node| state(node, there) == Some((MemberState::Alive, 1)));
    // It is to hear of this member as well before it says goodbye.
    let back = Instant::now();
    member.run_until("it is answered", |_| back.elapsed() > Duration::from_millis(500));
    std::fs::remove_file(&file).unwrap();
    let killed = Command::new("kill").args(["-TERM", &second.0.id().to_string()]).status().unwrap();
    assert!(killed.success());
    member.run_until("it says goodbye", |node| state(node, there) == Some((MemberState::Left, 1)));
    assert!(second.0.wait().unwrap().success());
    assert!(knows_the_member(), "written at the goodbye");

    let mut bytes = std::fs::read(&file).unwrap();
    bytes[20] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let _third = Agent::start(there, &file, Some(here));
    member.run_until("it begins anew", |node| {
        state(node, there).is_some_and(|(state, incarnation)| state == MemberState::Alive && incarnation > 1)
    });
}
