//! An agent with a file of keys, which changes while it runs, and a member that this test plays.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use gossip_core::{Config, Input, Key, Keyring, Node, Setup};

const PATIENCE: Duration = Duration::from_secs(20);

struct Member {
    node: Node<SocketAddr>,
    socket: UdpSocket,
    start: Instant,
}

impl Member {
    fn new(addr: SocketAddr, keyring: &Keyring) -> Self {
        let socket = UdpSocket::bind(addr).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
        let setup = Setup { session: 1, keyring: Some(keyring), ..Setup::new(addr) };
        let node = Node::new(gossip_core::Instant::ZERO, Config::local(), &setup).unwrap();
        Self { node, socket, start: Instant::now() }
    }

    fn now(&self) -> gossip_core::Instant {
        gossip_core::Instant::from_nanos(self.start.elapsed().as_nanos() as u64)
    }

    fn run_until(&mut self, what: &str, done: impl Fn(&Node<SocketAddr>) -> bool) {
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
struct Agent(Child);

impl Agent {
    fn start(addr: SocketAddr, keyring: &Path, join: SocketAddr) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gossip-node"));
        command.args(["--bind", &addr.to_string(), "--join", &join.to_string()]).arg("--keyring").arg(keyring);
        command.args(["--protocol", r#"{"preset":"local"}"#, "--log", "error"]);
        Self(command.stdin(Stdio::null()).spawn().unwrap())
    }

    fn hang_up(&self) {
        let sent = Command::new("kill").args(["-HUP", &self.0.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn key(id: u8) -> Key {
    Key::new(id, [id; 32])
}

fn write(path: &Path, ids: &[u8]) {
    let lines: String = ids.iter().map(|id| format!("{id} {}\n", format!("{id:02x}").repeat(32))).collect();
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).unwrap();
    std::io::Write::write_all(&mut file, lines.as_bytes()).unwrap();
}

#[test]
fn an_agent_seals_and_reads_its_keys_again_when_it_is_told_to() {
    let ip = |last| Ipv4Addr::new(127, 80, (std::process::id() % 251) as u8, last);
    let [here, there] = [1, 2].map(|last| SocketAddr::from((ip(last), 7400)));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("keys");
    write(&file, &[1]);
    let mut member = Member::new(here, &Keyring::new(&[key(1), key(2)]).unwrap());
    let agent = Agent::start(there, &file, here);
    member.run_until("they find together", |node| node.live_members() == 2);
    assert_eq!(member.node.counters().datagrams_plain, 0);

    write(&file, &[2, 1]);
    agent.hang_up();
    let only_second = Keyring::new(&[key(2)]).unwrap();
    let now = member.now();
    member.node.handle(now, Input::Command(gossip_core::Command::SetKeyring { keyring: Some(&only_second) })).unwrap();
    let accepted = member.node.counters().datagrams_accepted;
    member.run_until("they use the second key", |node| node.counters().datagrams_accepted > accepted + 5);

    std::fs::write(&file, "nonsense").unwrap();
    agent.hang_up();
    let accepted = member.node.counters().datagrams_accepted;
    member.run_until("it goes on with the keys that it has", |node| {
        node.counters().datagrams_accepted > accepted + 5 && node.live_members() == 2
    });
}
