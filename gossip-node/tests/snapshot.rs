//! An agent that is killed comes back from its snapshot to a member that this test plays.

mod played;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use gossip_core::{MemberState, Node, Setup, Snapshot};
use played::{Agent, Member};

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

    let start = |join| {
        Agent::start(there, join, |command| {
            command.arg("--snapshot").arg(&file).args(["--snapshot-interval", "1s"]);
        })
    };

    let mut member = Member::new(&Setup::new(here));
    let first = start(Some(here));
    member.run_until("it joins and writes a snapshot", |node| {
        state(node, there) == Some((MemberState::Alive, 0)) && knows_the_member()
    });
    drop(first);

    let mut second = start(None);
    member.run_until("it comes back", |node| state(node, there) == Some((MemberState::Alive, 1)));
    // It is to hear of this member as well before it says goodbye.
    let back = Instant::now();
    member.run_until("it is answered", |_| back.elapsed() > Duration::from_millis(500));
    std::fs::remove_file(&file).unwrap();
    second.signal("-TERM");
    member.run_until("it says goodbye", |node| state(node, there) == Some((MemberState::Left, 1)));
    assert!(second.0.wait().unwrap().success());
    assert!(knows_the_member(), "written at the goodbye");

    let mut bytes = std::fs::read(&file).unwrap();
    bytes[20] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let _third = start(Some(here));
    member.run_until("it begins anew", |node| {
        state(node, there).is_some_and(|(state, incarnation)| state == MemberState::Alive && incarnation > 1)
    });
}
