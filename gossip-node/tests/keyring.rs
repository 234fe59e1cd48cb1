//! An agent with a file of keys, which changes while it runs, and a member that this test plays.

mod played;

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use gossip_core::{Command, Input, Key, Keyring, Setup};
use played::{Agent, Member};

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
    let both = Keyring::new(&[key(1), key(2)]).unwrap();
    let mut member = Member::new(&Setup { session: 1, keyring: Some(&both), ..Setup::new(here) });
    let agent = Agent::start(there, Some(here), |command| {
        command.arg("--keyring").arg(&file);
    });
    member.run_until("they find together", |node| node.live_members() == 2);
    assert_eq!(member.node.counters().datagrams_plain, 0);

    write(&file, &[2, 1]);
    agent.signal("-HUP");
    let only_second = Keyring::new(&[key(2)]).unwrap();
    let now = member.now();
    member.node.handle(now, Input::Command(Command::SetKeyring { keyring: Some(&only_second) })).unwrap();
    let accepted = member.node.counters().datagrams_accepted;
    member.run_until("they use the second key", |node| node.counters().datagrams_accepted > accepted + 5);

    std::fs::write(&file, "nonsense").unwrap();
    agent.signal("-HUP");
    let accepted = member.node.counters().datagrams_accepted;
    member.run_until("it goes on with the keys that it has", |node| {
        node.counters().datagrams_accepted > accepted + 5 && node.live_members() == 2
    });
}
